"""The rule of the house: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("toolkit", "probes", "safety", "dashboards", "benchmarks")
MAY = {
    "probes": set(),
    "safety": set(),
    "toolkit": {"probes", "safety"},
    "dashboards": {"toolkit", "probes", "safety"},
    "benchmarks": {"toolkit", "probes", "safety"},
}
# `pellucid dashboard` has to name the pages that it opens; it is the shell around all rooms.
ALSO = {"toolkit/cli/serve.py": {"dashboards"}}


def imported(tree: ast.AST) -> set[str]:
    """Top-level names that a module imports anywhere in it, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def rooms_imported_by(room: str) -> dict[str, set[str]]:
    """For each file of a room, the other rooms that it imports."""
    found = {}
    for path in sorted((ROOT / room).rglob("*.py")):
        others = (imported(ast.parse(path.read_text())) & set(ROOMS)) - {room}
        found[str(path.relative_to(ROOT))] = others
    return found


def test_imported_sees_every_form() -> None:
    code = "import safety.marks\ndef f():\n    from toolkit.clip import load_clip\nfrom . import x"
    assert imported(ast.parse(code)) == {"safety", "toolkit"}


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_what_it_may(room: str) -> None:
    for file, others in rooms_imported_by(room).items():
        extra = others - MAY[room] - ALSO.get(file, set())
        assert not extra, f"{file} imports {', '.join(sorted(extra))}"


def test_no_cycle_among_the_rooms_of_the_toolkit() -> None:
    """Imports at import time form no cycle; late ones, inside functions, may."""
    modules = {}
    for path in (ROOT / "toolkit").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {name: _early(path, modules) for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph[name] - {name}:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def _early(path: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of the toolkit that a file imports when it is imported."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            within = {f"{node.module}.{alias.name}" for alias in node.names} & set(modules)
            # A submodule import names that module; its package runs too but is no dependency.
            found |= within or {node.module}
    return found & set(modules)


def test_importing_the_command_line_is_light() -> None:
    """`pellucid --help` must not wait for torch, pandas or any other heavy library."""
    import subprocess
    import sys

    code = "import sys, toolkit.cli; toolkit.cli.parser(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {
        "torch",
        "numpy",
        "pandas",
        "umap",
        "sklearn",
        "diffusers",
        "streamlit",
        "PIL",
        "scipy",
    }
    assert not heavy & set(done.stdout.split())
