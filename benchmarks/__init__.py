"""Every figure that we claim, measured by a command that prints JSON.

A group is a module `benchmarks/GROUP.py` with `run(seed, quick) -> list[Row]`; the first line of
its docstring says what it measures. A group that keeps per-item rows takes a third argument,
`items`: a dictionary it fills with lists of plain rows by name.
"""

from benchmarks.rows import Row

__all__ = ["Row"]
