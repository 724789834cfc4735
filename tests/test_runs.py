"""The run folder is complete or absent, and says which of its files is damaged."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.errors import UserError
from toolkit.runs import FORMAT, RunWriter, load_run, write_bytes


def write(path: Path, text: str = "hello", replace: bool = False) -> None:
    with RunWriter(path, "test", {"seed": 3}, replace=replace) as run:
        run.file("images/a.txt").write_text(text)
        with run.timed("drawing"):
            pass


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_run_lists_every_file_with_its_checksum(tmp_path: Path) -> None:
    write(tmp_path / "one")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert manifest["format"] == FORMAT
    assert manifest["files"] == {"images/a.txt": hashlib.sha256(b"hello").hexdigest()}
    assert manifest["config"] == {"seed": 3}
    assert set(manifest["timings"]) == {"drawing", "total"}
    assert manifest["versions"]["python"].startswith("3.")
    assert load_run(tmp_path / "one").manifest == manifest
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_run_is_gone(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), RunWriter(tmp_path / "one", "test", {}) as run:
        run.file("images/a.txt").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_replacement_leaves_the_old_run(tmp_path: Path) -> None:
    write(tmp_path / "one", "old")
    with pytest.raises(RuntimeError), RunWriter(tmp_path / "one", "test", {}, replace=True) as run:
        run.file("images/a.txt").write_text("new")
        raise RuntimeError
    assert (load_run(tmp_path / "one").path / "images/a.txt").read_text() == "old"


def dead_pid() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_what_a_killed_command_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / f".one.partial-{dead_pid()}").mkdir()
    alive = tmp_path / f".one.partial-{os.getppid()}"
    alive.mkdir()
    write(tmp_path / "one")
    assert hidden(tmp_path) == [alive.name]


def test_a_kill_between_the_two_renames_brings_the_old_run_back(tmp_path: Path) -> None:
    write(tmp_path / "one", "old")
    (tmp_path / "one").rename(tmp_path / f".one.partial-{dead_pid()}-old")
    with pytest.raises(UserError, match="exists"):
        write(tmp_path / "one", "new")
    assert (tmp_path / "one" / "images/a.txt").read_text() == "old"


def test_a_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    write(tmp_path / "one", "old")
    with pytest.raises(UserError, match="add --replace"):
        write(tmp_path / "one", "new")
    write(tmp_path / "one", "new", replace=True)
    assert (tmp_path / "one" / "images/a.txt").read_text() == "new"
    assert hidden(tmp_path) == []


def test_a_folder_that_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(UserError, match="is not a run"):
        write(tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"


def test_damage_is_named(tmp_path: Path) -> None:
    write(tmp_path / "one")
    (tmp_path / "one" / "images/a.txt").write_text("hallo")
    with pytest.raises(UserError, match=r"images/a\.txt is damaged"):
        load_run(tmp_path / "one")
    (tmp_path / "one" / "images/a.txt").unlink()
    with pytest.raises(UserError, match=r"images/a\.txt is missing"):
        load_run(tmp_path / "one")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is damaged"),
        ('{"format": "pellucid-run/1"}', "is damaged"),
        ('{"format": "pellucid-run/9", "files": {}}', "has the format 'pellucid-run/9'"),
        ('{"format": "pellucid-run/1", "files": {"../x": "0"}}', "outside of the run"),
    ],
)
def test_a_bad_manifest_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=sentence):
        load_run(tmp_path)


def test_no_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no run"):
        load_run(tmp_path / "none")
    with pytest.raises(UserError, match="is not a run"):
        load_run(tmp_path)


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "a", b"old")

    def full(*_) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_bytes(tmp_path / "a", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
