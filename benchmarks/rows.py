"""One measured figure, and the files and tables that figures go to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """A figure: what was measured, for which case and system, against which target.

    `system` is `pellucid` or a baseline's name. `ci95` is the interval's two ends, or None where
    the figure has none. `target` is a sentence such as "at least 0.85", or None.
    """

    figure: str
    case: str
    system: str
    value: float
    target: str | None
    n: int
    ci95: tuple[float, float] | None = None

    @property
    def met(self) -> bool | None:
        """Whether the value keeps the target; None where there is none, or no number in it."""
        return None if self.target is None else keeps(self.value, self.target)


def keeps(value: float, target: str) -> bool | None:
    """Whether a value keeps "at least 0.7", "at most 240" or "under 0.15"."""
    for words, holds in (
        ("at least ", lambda limit: value >= limit),
        ("at most ", lambda limit: value <= limit),
        ("under ", lambda limit: value < limit),
    ):
        if target.startswith(words):
            return holds(float(target.removeprefix(words).split()[0]))
    return None


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as plain dictionaries in the order of their fields."""
    return [asdict(row) for row in rows]


def as_table(rows: Sequence[Row]) -> str:
    """Rows as aligned text for a terminal, with what keeps its target and what does not."""
    head = ("figure", "case", "system", "value", "ci95", "target", "n", "")
    marks = {None: "", True: "kept", False: "SHORT"}
    cells = [
        (
            row.figure,
            row.case,
            row.system,
            f"{row.value:.4g}",
            f"[{row.ci95[0]:.3g}, {row.ci95[1]:.3g}]" if row.ci95 else "",
            row.target or "",
            str(row.n),
            marks[row.met],
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *cells)
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, as README has its figures; bold where a target is missed."""
    lines = ["| figure | case | system | value | 95 % interval | target | n |", "|---" * 7 + "|"]
    for row in rows:
        value = f"{row.value:.4g}"
        ends = f"{row.ci95[0]:.3g} to {row.ci95[1]:.3g}" if row.ci95 else ""
        cells = (
            f"`{row.figure}`", row.case, row.system, f"**{value}**" if row.met is False else value,
            ends, row.target or "", str(row.n),
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


def write_items(folder: Path, name: str, items: Sequence[dict[str, Any]]) -> Path:
    """Per-item rows beside the figures, as JSON lines: what a figure was made of."""
    from toolkit.runs import write_bytes

    path = folder / f"{name}.jsonl"
    write_bytes(path, "".join(json.dumps(item) + "\n" for item in items).encode())
    return path
