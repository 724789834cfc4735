"""What `pellucid verify` says of files that are whole, re-encoded, changed, foreign or unmarked."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from safety import Ledger, Mark, release_image
from safety.keys import keys
from safety.metadata import Facts
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.studies.checkup import home
from toolkit.studies.verify import verify_upload
from toolkit.world import render, sample

FACTS = Facts("an old chef", 3, "unclip", "portraits")


def edited(png: bytes, old: bytes, new: bytes) -> bytes:
    """A PNG with other words in its texts, the chunks' own checksums put right."""
    out, at = png[:8], 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4])
        chunk = png[at + 4 : at + 8 + size].replace(old, new)
        out += png[at : at + 4] + chunk + crc32(chunk).to_bytes(4)
        at += 12 + size
    return out


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A picture released into a run's folders with this session's keys."""
    mine = keys(home() / "keys")
    ledger = Ledger(tmp_path / "run" / "ledger", mine.ledger)
    path = tmp_path / "run" / "images" / "un-0001.png"
    release_image(render(sample("test", 1, 5)[0]), FACTS, path, keys=mine, ledger=ledger)
    return path


def told(capsys: pytest.CaptureFixture[str], code: int, *files: Path) -> list[dict]:
    assert main(["verify", *map(str, files), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_released_file_is_verified(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = told(capsys, 0, released)
    assert row["verdict"] == "verified"
    assert (row["watermark"], row["metadata"], row["c2pa"]) == ("present, 0", "ours", "trusted")
    assert row["ledger"] == "sealed, entry 0"
    assert row["p_value"] < 1e-6


def test_a_file_alone_is_verified_from_the_key(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "elsewhere" / "deep" / "a.png"
    alone.parent.mkdir(parents=True)
    alone.write_bytes(released.read_bytes())
    (row,) = told(capsys, 0, alone)
    assert (row["verdict"], row["ledger"]) == ("verified", "not asked")


def test_after_jpeg_the_mark_is_left(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(released) as picture:
        picture.convert("RGB").save(tmp_path / "a.jpg", quality=90)
    (row,) = told(capsys, 1, tmp_path / "a.jpg")
    assert row["verdict"] == "partial"
    assert row["watermark"] == "present, 0"
    assert (row["metadata"], row["c2pa"]) == ("none", "none")


def test_a_changed_file_is_broken(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(edited(released.read_bytes(), b"an old", b"a  new"))
    (row,) = told(capsys, 1, tmp_path / "a.png")
    assert row["verdict"] == "broken"
    assert row["c2pa"] == "broken"


def test_a_plain_picture_and_a_foreign_machine(
    released: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.fromarray(render(sample("test", 1, 5)[0])).save(tmp_path / "plain.png")
    (row,) = told(capsys, 1, tmp_path / "plain.png")
    assert row["verdict"] == "missing"
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "other"))
    keys(home() / "keys")
    (row,) = told(capsys, 1, released)
    assert row["verdict"] != "verified"
    assert row["c2pa"] == "signed by someone not pinned here"


def test_no_key_and_no_picture_are_one_sentence(
    released: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.png").write_bytes(np.arange(200, dtype=np.uint8).tobytes())
    assert main(["verify", str(tmp_path / "a.png")]) == 2
    assert "a.png can't be read as an image" in capsys.readouterr().err
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "none"))
    assert main(["verify", str(released)]) == 2
    assert "there is no key" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_checkpoint_kept_elsewhere_is_heeded(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.json"
    ledger = released.parent.parent / "ledger"
    kept.write_bytes((ledger / "checkpoint.json").read_bytes())
    assert main(["verify", str(released), "--checkpoint", str(kept)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "origin drawn by an AI model (portraits) on 20" in said and "number 0 (p = " in said
    (ledger / "entries.jsonl").write_bytes(b"")
    (ledger / "checkpoint.json").unlink()
    assert main(["verify", str(released), "--checkpoint", str(kept)]) == 1
    assert "truncated" in capsys.readouterr().out
    kept.write_text("[" * 100_000)
    assert main(["verify", str(released), "--checkpoint", str(kept)]) == 2
    assert "is no ledger checkpoint" in capsys.readouterr().err


def test_one_damaged_file_does_not_hide_the_others(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.png").write_bytes(released.read_bytes()[:-300])
    assert main(["verify", str(tmp_path / "cut.png"), str(released), "--json"]) == 2
    told = capsys.readouterr()
    assert [row["verdict"] for row in json.loads(told.out)] == ["verified"]
    assert "cut.png can't be read as an image" in told.err


def test_a_run_is_named_for_its_ledger_and_the_next_step_is_told(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(released) as picture:
        picture.convert("RGB").save(tmp_path / "a.jpg", quality=80)
    (row,) = told(capsys, 1, tmp_path / "a.jpg")
    assert row["ledger"] == "not asked" and "--ledger RUN" in row["next"][0]
    run = str(released.parent.parent)
    assert main(["verify", str(tmp_path / "a.jpg"), "--ledger", run, "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["ledger"] == "other bytes, entry 0" and row["next"] == []
    assert main(["verify", str(released), "--ledger", str(released.parent)]) == 2
    assert "there is no ledger in" in capsys.readouterr().err


def test_an_upload_is_read_like_a_file(released: Path) -> None:
    row = verify_upload(released.read_bytes(), "handed-in.png", released.parent.parent)
    assert (row["verdict"], row["file"], row["ledger"]) == (
        "verified", "handed-in.png", "sealed, entry 0",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"x\.png can't be read as an image"):
        verify_upload(b"hello", "x.png")


def test_of_several_runs_that_which_has_the_file_is_asked(
    released: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run counts from 0: another run's number 0 is no contradiction."""
    mine = keys(home() / "keys")
    for name in ("another", "yet-another"):
        ledger = Ledger(tmp_path / name / "ledger", mine.ledger)
        path = tmp_path / name / "images" / "un-0001.png"
        release_image(render(sample("test", 1, 6)[0]), FACTS, path, keys=mine, ledger=ledger)
    (tmp_path / "yet-another" / "ledger" / "entries.jsonl").write_bytes(b"damaged")
    alone = tmp_path / "a.png"
    alone.write_bytes(released.read_bytes())
    assert main(["verify", str(alone), "--ledger", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["ledger"], row["ledgers_asked"]) == ("sealed, entry 0", 3)
    assert main(["verify", str(alone), "--ledger", str(tmp_path / "another"), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    said = "the file names entry 0 of the ledger, which is of another picture"
    assert row["verdict"] == "broken" and row["contradictions"][0] == said
    Image.fromarray(Mark(mine.watermark).embed(render(sample("test", 1, 7)[0]), 0)).save(alone)
    assert main(["verify", str(alone), "--ledger", str(tmp_path), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["verdict"], row["ledger"], row["next"]) == ("partial", "in none of 3", [])
    assert "ledger: none of the 3 ledgers asked has this file, or this picture" in row["notes"]
    moved = PngInfo()  # the metadata of one picture on another's pixels
    with Image.open(released) as picture:
        picture.load()
        moved.add_itxt("pellucid", picture.info["pellucid"])
    Image.fromarray(render(sample("test", 1, 7)[0])).save(alone, pnginfo=moved)
    assert main(["verify", str(alone), "--ledger", str(tmp_path), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["verdict"], row["ledger"]) == ("broken", "other picture, entry 0")
