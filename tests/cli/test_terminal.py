"""How the command line speaks: examples first, one sentence for a mistake, the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import cli
from toolkit.cli import main

COMMANDS = (
    "demo",
    "generate",
    "embed",
    "map",
    "name",
    "erase",
    "associate",
    "discover",
    "steer",
    "prove",
    "audit",
    "verify",
    "world",
    "compare",
    "sd",
    "train",
    "dashboard",
    "doctor",
)
ROOT = Path(__file__).parent.parent.parent


def outcome(argv: list[str]) -> int:
    """The exit code, whichever way the command ends."""
    try:
        return main(argv)
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples_before_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"  pellucid {command}" in text
    assert text.index("examples:") < text.index("options:")


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"pellucid {command}" in readme, command


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["generate"], "required: prompt"),
        (["generate", "a chef", "--seed", "-1"], "'-1' is not a whole number"),
        (["generate", "a chef", "--seed", "x"], "'x' is not a whole number"),
        (["generate", "a chef", "--edit", "glasses"], "not of the form FACTOR=STRENGTH"),
        (["generate", "a chef", "--edit", "glasses=much"], "not of the form FACTOR=STRENGTH"),
        (["generate", "a chef", "--pipeline", "dream"], "no pipeline is named 'dream'"),
        (["generate", "a chef", "--count", "0"], "at least 1"),
        (["discover", "height"], "no factor is named 'height'"),
        (["embed", "no-such-folder", "--out", "s"], "there is no folder no-such-folder"),
        (["map", "no-such-store"], "there is no store at no-such-store"),
        (["audit", "no-such-folder"], "there is no folder no-such-folder"),
        (["dashboard", "no-such-run"], "there is no run at no-such-run"),
        (["world"], "sheet or sample"),
        (["world", "sample", "--split", "trian"], "no split is named 'trian'"),
        (["world", "sample", "--n", "0"], "at least 1"),
        (["train", "everything"], "no recipe is named 'everything'"),
        (["train", "clip", "--budget", "soon"], "the budget 'soon' can't be read"),
        (["verify", "no-such-file.png"], "no-such-file.png"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    argv: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outcome(argv) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("pellucid")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_is_130_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("toolkit.studies.portraits.described", stopped)
    assert main(["world", "sample"]) == 130
    assert "nothing half-written" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m toolkit world sample --n 2000 --json | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_samples_of_the_world_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "sample", "--n", "3", "--seed", "5", "--json"]) == 0
    told = capsys.readouterr()
    rows = json.loads(told.out)
    assert len(rows) == 3
    assert set(rows[0]["truth"]["hair_color"]) == {"level", "defined", "visible"}
    assert main(["world", "sample", "--n", "3", "--seed", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows


def test_pictures_of_the_world_as_an_image_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    assert main(["world", "sample", "--n", "4", "--out", str(folder)]) == 0
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert sorted(row["file_name"] for row in rows) == sorted(p.name for p in folder.glob("*.png"))
    assert main(["world", "sample", "--n", "4", "--out", str(folder)]) == 2
    assert "exists" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["pictures"]


def test_a_contact_sheet(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "sheet.png"
    assert main(["world", "sheet", "--n", "5", "--out", str(path)]) == 0
    with Image.open(path) as picture:
        assert picture.width > 5 * 128


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pellucid 0.")


def test_ctrl_c_within_exec_is_an_orderly_end(tmp_path: Path) -> None:
    """Libraries make classes by `exec` of a string; Python then calls the interrupt unhandled."""
    (tmp_path / "late.py").write_text(
        "import argparse, os, signal, sys\n"
        "from toolkit import cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "stop = 'import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)'\n"
        "top = argparse.ArgumentParser()\n"
        "top.set_defaults(version=False, command='late', run=lambda args: exec(stop))\n"
        "cli.parser = lambda: top\n"
        "sys.exit(cli.main([]))\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    ended = subprocess.run(
        [sys.executable, "-m", "late"], env=os.environ | {"PYTHONPATH": paths},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "pellucid: stopped; nothing half-written was left\n"
