"""The harness of the figures: rows, targets, groups and where per-item rows go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rows import Row, as_json, as_markdown, as_table, keeps, write_items

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("value", "target", "kept"),
    [
        (0.7, "at least 0.7", True),
        (0.69, "at least 0.7", False),
        (240, "at most 240 s", True),
        (241, "at most 240 s", False),
        (0.15, "under 0.15", False),
        (0.1, "under 0.15", True),
        (1, "as good as we can", None),
    ],
)
def test_targets_are_read_as_written(value: float, target: str, kept: bool | None) -> None:
    assert keeps(value, target) is kept


def test_a_row_has_the_fields_that_were_promised() -> None:
    row = Row("steer_flip", "random", "pellucid", 0.1, "under 0.15", 40, (0.03, 0.24))
    assert list(as_json([row])[0]) == ["figure", "case", "system", "value", "target", "n", "ci95"]
    assert json.loads(json.dumps(as_json([row])))[0]["ci95"] == [0.03, 0.24]
    assert "kept" in as_table([row])
    assert "SHORT" in as_table([Row("a", "b", "pellucid", 0.2, "under 0.15", 40)])
    assert Row("a", "b", "pellucid", 0.2, None, 40).met is None


def test_markdown_has_a_line_a_row_and_marks_what_is_short() -> None:
    rows = [
        Row("a", "one|two", "pellucid", 0.98765, "at least 0.9", 40, (0.91, 1.0)),
        Row("b", "three", "baseline", 0.2, "at least 0.9", 4),
    ]
    lines = as_markdown(rows).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == "| `a` | one/two | pellucid | 0.9877 | 0.91 to 1 | at least 0.9 | 40 |"
    assert lines[3] == "| `b` | three | baseline | **0.2** |  | at least 0.9 | 4 |"


def test_items_are_written_beside(tmp_path: Path) -> None:
    path = write_items(tmp_path / "new", "spine-0-steering", [{"item": 1}, {"item": 2}])
    assert [json.loads(line)["item"] for line in path.read_text().splitlines()] == [1, 2]


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    order = [sys.executable, "-m", "benchmarks", *argv]
    return subprocess.run(order, cwd=ROOT, capture_output=True, text=True, check=False)


def test_groups_are_listed_and_a_wrong_one_is_a_sentence() -> None:
    listed = run("--list")
    assert listed.returncode == 0
    assert any(line.startswith("spine  ") for line in listed.stdout.splitlines())
    assert "_measures" not in listed.stdout and "rows" not in listed.stdout
    wrong = run("spin", "--json")
    assert wrong.returncode == 2
    assert "no group is named 'spin'; there is: " in wrong.stderr
    assert wrong.stdout == ""
    assert run("spine", "--seed", "-3").returncode == 2
