"""Laws' fields on files whose marks and manifests are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from safety import Facts, Ledger, release_image, verify_file
from safety.keys import keys
from safety.laws import CALIFORNIA, COUNTED, EU, UNCOUNTED, Seen, fields

FACTS = Facts("a doctor", 3, "unclip", "portraits", "ab" * 32, "1.2.3")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A released file and one that was saved anew, its mark alone left."""
    folder = tmp_path_factory.mktemp("laws")
    mine = keys(folder / "keys")
    ledger = Ledger(folder / "ledger", mine.ledger)
    picture = np.asarray(Image.fromarray(data.astronaut()).resize((128, 128)))
    release_image(picture, FACTS, folder / "whole.png", keys=mine, ledger=ledger)
    with Image.open(folder / "whole.png") as opened:
        opened.convert("RGB").save(folder / "saved.png")
    return folder / "whole.png", folder / "saved.png"


def seen(path: Path, **more) -> Seen:
    mine = keys(path.parent / "keys")
    ledger = Ledger(path.parent / "ledger", public=mine.ledger_public)
    return Seen(verify_file(path, mine.watermark, mine.anchors, ledger), None, **more)


def results(files: list[Seen]) -> dict[str, str]:
    return {f"{one.section} {one.place}": one.result for one in fields(files)}


def test_a_released_file_has_every_field_that_is_read_from_files(released) -> None:
    whole = seen(released[0], survived={"JPEG": True})
    found = fields([whole, whole])
    assert len(found) == len(COUNTED) + len(UNCOUNTED)
    for one in found:
        if one.n:
            assert (one.result, one.met) == ("pass", "2 of 2"), one.asks
    # What no file shows stays open; the visible label that nobody can ask for fails.
    assert {one.result for one in found if not one.n} == {"open", "fail"}
    assert [one.section for one in found if one.result == "fail"] == ["22757.3(a)"]
    dated = next(one for one in found if one.section == "22757.3(b)(1)(C)")
    assert dated.law == CALIFORNIA and whole.found.credentials.when is not None


def test_a_file_saved_anew_fails_what_its_manifest_had(released) -> None:
    both = [seen(one, survived={"JPEG": True}) for one in released]
    found = {one.section + one.place: one for one in fields(both)}
    signed = found["50(2)C2PA: c2pa.created with its digitalSourceType"]
    assert (signed.result, signed.met) == ("fail", "1 of 2") and signed.law == EU
    marked = found["50(2)the invisible mark in the pixels"]
    assert (marked.result, marked.met) == ("pass", "2 of 2")
    assert found["22757.3(b)(1)(B)C2PA: claim generator"].met == "1 of 2"


def test_a_mark_that_is_lost_or_a_name_that_shows_fails(released) -> None:
    lost = fields([seen(released[0], survived={"JPEG": True, "half": False})])
    assert {one.section for one in lost if one.n and one.result == "fail"} == {
        "50(2)", "22757.3(b)(4)",
    }  # fmt: skip
    named = fields([seen(released[0], private=("somebody",))])
    assert [one.section for one in named if one.n and one.result == "fail"] == ["22757.2(a)(3)"]


def test_without_a_file_or_a_trial_nothing_is_claimed(released) -> None:
    assert {one.result for one in fields([]) if one.place} == {"open"}
    untried = [one for one in fields([seen(released[0])]) if "common changes" in one.place]
    assert len(untried) == 2 and all(one.result == "open" and not one.n for one in untried)
