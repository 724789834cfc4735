"""Reference pages from the docstrings: `make docs` writes one page a room."""

from __future__ import annotations

import importlib
import inspect
import re
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


def _text(thing: object) -> str:
    """A docstring as Markdown; the paragraph that says when something misleads stands out."""
    return re.sub(r"^Misleads when", "**Misleads when**", inspect.getdoc(thing) or "", flags=re.M)


def _methods(thing: type) -> list[str]:
    """What a class defines itself and documents, one section a method."""
    parts = []
    for name, method in vars(thing).items():
        inner = method.__func__ if isinstance(method, classmethod | staticmethod) else method
        if not name.startswith("_") and inspect.isfunction(inner) and inner.__doc__:
            head = _signature(f"{thing.__name__}.{name}", getattr(thing, name))
            parts.append(f"\n```python\n{head}\n```\n\n{_text(inner)}")
    return parts


def page(room: str) -> str:
    """One room as Markdown: its docstring, then every public name with its own."""
    module = importlib.import_module(room)
    parts = [f"# {room}\n", inspect.getdoc(module) or ""]
    for name in sorted(public(module), key=str.lower):
        thing = getattr(module, name)
        parts.append(f"\n## {name}\n\n```python\n{_signature(name, thing)}\n```\n")
        if inspect.isclass(thing) or inspect.isroutine(thing):
            parts.append(_text(thing))
        if inspect.isclass(thing):
            parts += _methods(thing)
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/api")
    for room in ROOMS:
        write_bytes(folder / f"{room}.md", page(room).encode())
    sys.stdout.write(f"{len(ROOMS)} pages in {folder}\n")


if __name__ == "__main__":
    main()
