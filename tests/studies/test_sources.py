"""A user's own pictures as sources: ours bring their manifest, strangers' bring pixels alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safety import Ledger, release_image
from safety.content_credentials import read_credentials
from safety.keys import keys
from safety.metadata import Facts
from toolkit.errors import UserError
from toolkit.studies.sources import sources_of
from toolkit.world import render, sample

FACTS = Facts("an old chef", 3, "unclip", "portraits")


def test_whose_manifest_comes_along(tmp_path: Path) -> None:
    mine, stranger = keys(tmp_path / "mine"), keys(tmp_path / "stranger")
    picture = render(sample("test", 1, 5)[0])
    for name, who in (("ours.png", mine), ("theirs.png", stranger)):
        ledger = Ledger(tmp_path / f"ledger-{name}", who.ledger)
        release_image(picture, FACTS, tmp_path / name, keys=who, ledger=ledger)
    Image.fromarray(picture).save(tmp_path / "plain.bmp")
    paths = [tmp_path / name for name in ("ours.png", "theirs.png", "plain.bmp")]
    ours, theirs, plain = sources_of(paths, mine.anchors, "input")
    assert ours.data == paths[0].read_bytes()
    for source, path in ((theirs, paths[1]), (plain, paths[2])):
        assert read_credentials(source.data, source.mime).state == "none"
        assert b"Pellucid" not in source.data and b"chef" not in source.data
        with Image.open(io.BytesIO(source.data)) as one, Image.open(path) as two:
            assert np.array_equal(np.asarray(one), np.asarray(two.convert("RGB")))
    (tmp_path / "no.png").write_text("hi")
    with pytest.raises(UserError, match=r"no\.png can't be read as a picture"):
        sources_of([tmp_path / "no.png"], mine.anchors, "edited")


def test_what_is_made_from_a_source_says_so(tmp_path: Path) -> None:
    mine = keys(tmp_path / "mine")
    ledger, picture = Ledger(tmp_path / "ledger", mine.ledger), render(sample("test", 1, 6)[0])
    release_image(picture, FACTS, tmp_path / "a.png", keys=mine, ledger=ledger)
    made = sources_of([tmp_path / "a.png"], mine.anchors, "edited")
    release_image(picture, FACTS, tmp_path / "b.png", keys=mine, ledger=ledger, sources=made)
    found = read_credentials((tmp_path / "b.png").read_bytes(), anchors=mine.anchors)
    assert [step.partition(" ")[0].rstrip(",") for step in found.steps] == [
        "created", "watermarked", "opened", "edited", "watermarked"
    ]  # fmt: skip
