"""Reference pages from the docstrings: `make docs` writes one page a room."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

from toolkit.runs import write_bytes

ROOMS = (
    "toolkit.world",
    "toolkit.clip",
    "toolkit.pipelines",
    "toolkit.priors",
    "toolkit.judges",
    "toolkit.training",
    "toolkit.runs",
    "toolkit.studies.generate",
    "toolkit.studies.audit",
    "probes",
    "safety",
)


def public(module: ModuleType) -> list[str]:
    """The names of a room's public face: `__all__`, else what it defines without an underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


def _signature(name: str, thing: object) -> str:
    if not callable(thing):
        return name
    try:
        return f"{name}{inspect.signature(thing)}"
    except (ValueError, TypeError):
        return name


def page(room: str) -> str:
    """One room as Markdown: its docstring, then every public name with its own."""
    module = importlib.import_module(room)
    parts = [f"# {room}\n", inspect.getdoc(module) or ""]
    for name in sorted(public(module), key=str.lower):
        thing = getattr(module, name)
        parts.append(f"\n## {name}\n\n```python\n{_signature(name, thing)}\n```\n")
        if inspect.isclass(thing) or inspect.isroutine(thing):
            parts.append(inspect.getdoc(thing) or "")
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api")
    for room in ROOMS:
        write_bytes(folder / f"{room}.md", page(room).encode())
    sys.stdout.write(f"{len(ROOMS)} pages in {folder}\n")


if __name__ == "__main__":
    main()
