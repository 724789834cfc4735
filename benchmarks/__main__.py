"""`python -m benchmarks GROUP --json --seed N [--out DIR]`, or `--list`."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, as_json, as_markdown, as_table, write_items

HERE = Path(__file__).parent
NOT_GROUPS = {"__init__", "__main__", "rows"}


def groups() -> dict[str, str]:
    """Group names with the first line of their docstrings, without importing them."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        if path.stem not in NOT_GROUPS and not path.stem.startswith("_"):
            doc = ast.get_docstring(ast.parse(path.read_text())) or ""
            found[path.stem] = doc.partition("\n")[0]
    return found


def measure(
    group: str, seed: int, quick: bool
) -> tuple[list[Row], dict[str, list[dict[str, Any]]]]:
    """Run a group. Returns its rows and whatever per-item rows it kept."""
    run = importlib.import_module(f"benchmarks.{group}").run
    items: dict[str, list[dict[str, Any]]] = {}
    extra = {"items": items} if "items" in inspect.signature(run).parameters else {}
    return run(seed=seed, quick=quick, **extra), items


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure a group of figures.\n\nexamples:\n"
        "  python -m benchmarks --list\n  python -m benchmarks spine --json --seed 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("group", nargs="?", help="which group; --list names them")
    made.add_argument("--list", action="store_true", help="name the groups")
    shape = made.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print rows as a JSON list")
    shape.add_argument("--markdown", action="store_true", help="print rows as a Markdown table")
    made.add_argument("--seed", type=int, default=0, help="what everything drawn follows from (0)")
    made.add_argument(
        "--quick", action="store_true", help="fewer items: a smoke test, not a figure"
    )
    made.add_argument(
        "--out", type=Path, default=Path("runs/bench"), help="per-item rows (runs/bench)"
    )
    return made


def main() -> int:
    args = parser().parse_args()
    known = groups()
    if args.list:
        for name, does in known.items():
            sys.stdout.write(f"{name}  {does}\n")
        return 0
    if args.group not in known:
        named = f"no group is named {args.group!r}" if args.group else "name a group"
        sys.stderr.write(f"benchmarks: {named}; there is: {', '.join(known) or 'none yet'}\n")
        return 2
    if args.seed < 0:
        sys.stderr.write(f"benchmarks: the seed is {args.seed}; give a whole number from 0 up\n")
        return 2
    rows, items = measure(args.group, args.seed, args.quick)
    for name, kept in items.items():
        path = write_items(args.out, f"{args.group}-{args.seed}-{name}", kept)
        sys.stderr.write(f"per-item rows: {path}\n")
    text = json.dumps(as_json(rows), indent=2) if args.json else as_table(rows)
    sys.stdout.write((as_markdown(rows) if args.markdown else text) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
