"""The page that reads a file handed in, and shows an attack bench that lies beside the run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dashboards.app_pages.provenance import boxes, glance, put_right
from dashboards.frames import outlined
from safety import Ledger, release_image
from safety.keys import keys
from safety.metadata import Facts
from tests.dashboards.test_pages import page_of, words
from toolkit.runs import load_run
from toolkit.studies.attack_bench import attack_bench
from toolkit.studies.checkup import home
from toolkit.studies.verify import verify_upload
from toolkit.world import render_all, sample

PICTURES = render_all(sample("test", 2, 8))


@pytest.fixture
def released(bare_run: Path) -> bytes:
    """A file of a run beside the one that is open, which has released others."""
    mine = keys(home() / "keys")
    for name, picture in zip(("one", "two"), PICTURES, strict=True):
        folder = bare_run.parent / name
        release_image(
            picture, Facts("an old chef", 3, "unclip", "portraits"), folder / "images" / "a.png",
            keys=mine, ledger=Ledger(folder / "ledger", mine.ledger),
        )  # fmt: skip
    return (bare_run.parent / "two" / "images" / "a.png").read_bytes()


def handed_in(run: Path, name: str, data: bytes):
    at = page_of(run, "provenance")
    at.file_uploader[0].set_value((name, data, "image/png"))
    return at.run()


def test_a_file_handed_in_is_answered_in_words(bare_run: Path, released: bytes) -> None:
    at = handed_in(bare_run, "mine.png", released)
    assert not at.exception and not at.error
    said = words(at)
    assert "Verified: all that a released file carries" in said and "number 0" in said
    (table,) = (frame.value for frame in at.dataframe)
    told = dict(zip(table["layer"], table["what it says"], strict=True))
    assert told["ledger"].startswith("entry 0 has this very file") and told["agreement"] == "yes"
    assert not list(bare_run.parent.glob("**/mine*"))  # nothing of it is kept


@pytest.mark.parametrize("name", ["<b>cut</b>.png", "none.png"])
def test_a_file_that_is_no_picture_is_one_sentence(
    bare_run: Path, released: bytes, name: str
) -> None:
    at = handed_in(bare_run, name, released[:-300] if "cut" in name else b"")
    (error,) = at.error
    assert "can't be read as an image" in error.value and "<b>" not in error.value
    assert not at.exception and "No attack bench lies beside" in words(at)


def test_an_edit_is_framed() -> None:
    keys(home() / "keys")
    edited = PICTURES[0].copy()
    edited[32:44, 16:32] = (200, 30, 30)
    row = {"parts": [], "edited_within": (0.25, 0.5, 0.5, 0.6875)}
    ((where, color, what),) = boxes(row)
    assert "brightness" in what
    shown = outlined(edited, [(where, color)], 128)
    assert shown.shape == (128, 128, 3)
    red = np.array([0xA3, 0x30, 0x2A])
    assert (shown[64, 32:64] == red).all() and not (shown[:30] == red).all(2).any()
    large = outlined(np.zeros((3000, 2000, 3), np.uint8), [], 128)
    assert max(large.shape) <= 256
    data = io.BytesIO()
    Image.fromarray(edited).save(data, "PNG")
    assert verify_upload(data.getvalue(), "e.png")["edited_within"] is None  # it was not released


def test_a_bench_beside_the_run_is_shown(bare_run: Path, tmp_path: Path) -> None:
    for index, picture in enumerate(render_all(sample("test", 4, 9))):
        Image.fromarray(picture).save(tmp_path / f"p{index}.png")
    given = [str(path) for path in sorted(tmp_path.glob("p*.png"))]
    out = str(bare_run.parent / "bench")
    attack_bench(out, given=given, systems=["pellucid"], attacks=["jpeg"], n=2, held=2, seed=0)
    at = page_of(bare_run, "provenance")
    assert not at.exception and not at.error
    facts = load_run(out).json("bench.json")
    (row,) = glance(facts)
    assert row["mark"] == "pellucid" and row["found untouched"].startswith("100% [")
    table, numbers = (frame.value for frame in at.dataframe)
    assert table["mark"].tolist() == ["pellucid"] and "JPEG 10" in numbers["attack"].tolist()


def test_a_mirrored_file_is_shown_the_right_way_round(bare_run: Path, released: bytes) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(released)).convert("RGB"))
    data = io.BytesIO()
    Image.fromarray(pixels[:, ::-1]).save(data, "PNG")
    at = handed_in(bare_run, "mirrored.png", data.getvalue())
    assert not at.exception and not at.error
    said = words(at)
    assert "the picture was mirrored" in said and "the file was mirrored" in said
    row = verify_upload(data.getvalue(), "mirrored.png")
    assert row["verdict"] == "partial" and row["lies"]["words"] == "mirrored"
    np.testing.assert_array_equal(put_right(pixels[:, ::-1], row), pixels)
