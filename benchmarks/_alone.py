"""A part of a group in a process of its own: one thread, and the processor's own kernels.

OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE make numpy and scikit-learn use the kernels of another
processor, which would slow the other side of a comparison: they are unset together. One thread
for both sides, so that neither gains by waiting busily for the other core.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.rows import Row

OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
ONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def environment() -> dict[str, str]:
    """This process's, with no kernel imposed and one thread."""
    kept = {name: value for name, value in os.environ.items() if name not in OVERRIDES}
    return kept | dict.fromkeys(ONE, "1")


def alone(module: str, part: str, seed: int, quick: bool) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows and per-item rows of `benchmarks.MODULE.PART`, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks._alone", module, part, str(seed), str(int(quick))],
        env=environment(), cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    rows = [
        Row(**{**row, "ci95": tuple(row["ci95"]) if row["ci95"] else None}) for row in found["rows"]
    ]
    return rows, found["items"]


def main() -> None:
    module = importlib.import_module(f"benchmarks.{sys.argv[1]}")
    part, seed, quick = getattr(module, sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1"
    rows: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for found, details in part(seed, module.QUICK if quick else module.FULL):
        rows += [asdict(row) for row in found]
        items += details
    sys.stdout.write(json.dumps({"rows": rows, "items": items}) + "\n")


if __name__ == "__main__":
    main()
