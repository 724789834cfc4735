"""Pictures that were mirrored, turned by quarters or cropped are found, at the stated rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from safety import Ledger, Mark, chance, release_image, tile
from safety.attacks import crop, crop_back
from safety.brightness import brightness_map
from safety.cells import find_anyhow, find_cells, patterns
from safety.crops import find_crop
from safety.keys import Keys, keys
from safety.manifest_store import ManifestStore
from safety.metadata import Facts
from safety.orientation import AS_IT_LIES, OTHERS, Orientation
from safety.verify import verify_file
from safety.watermark import compare, phases
from toolkit.world import render_all, sample

FACTS = Facts("a doctor", 7, "unclip", "portraits", "ab" * 32, "0.1.0")
PICTURES = render_all(sample("test", 40, seed=31))
EVERY = (AS_IT_LIES, *OTHERS)
IDS = [lies.words or "as it lies" for lies in EVERY]


def done(lies: Orientation, pixels: np.ndarray) -> np.ndarray:
    """What `undo` undoes, by Pillow."""
    image = Image.fromarray(pixels)
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if lies.mirrored else image
    return np.asarray(image.rotate(90 * lies.quarters, expand=True))


@pytest.mark.parametrize("lies", EVERY, ids=IDS)
def test_undone_is_as_before_and_boxes_go_along(lies: Orientation) -> None:
    pixels = PICTURES[0][:40, :56].copy()
    pixels[8:24, 7:14] = (255, 0, 255)
    seen = done(lies, pixels)
    np.testing.assert_array_equal(lies.undo(seen), pixels)
    left, top, right, bottom = lies.box((7 / 56, 8 / 40, 14 / 56, 24 / 40))
    height, width = seen.shape[:2]
    rows, columns = np.nonzero((seen == (255, 0, 255)).all(2))
    ends = (columns.min() / width, rows.min() / height,
            (columns.max() + 1) / width, (rows.max() + 1) / height)  # fmt: skip
    assert (left, top, right, bottom) == pytest.approx(ends)


@pytest.mark.parametrize("lies", EVERY, ids=IDS)
def test_phases_turn_as_pixels_do(lies: Orientation) -> None:
    """The shortcut gives what turning the picture back and looking anew does."""
    key = b"a key of 32 bytes for this test."
    pixels = PICTURES[1]
    turned = compare(lies.phases(tile.seen(done(lies, pixels))), key)
    assert turned.agreement == pytest.approx(compare(tile.seen(pixels), key).agreement, rel=1e-3)


@pytest.mark.parametrize("side", [64, 150])
def test_the_mark_is_found_whichever_way_it_lies(side: int) -> None:
    mark = Mark(b"a key of 32 bytes for this test.")
    picture = np.asarray(Image.fromarray(PICTURES[2]).resize((side, side)))
    marked = mark.embed(picture, 77)
    for lies in EVERY[:: 1 if side == 64 else 3]:
        found = mark.detect(done(lies, marked), anyhow=True)
        assert (found.payload, found.lies) == (77, lies)
    assert mark.detect(done(OTHERS[3], marked)).verdict != "present"
    upright = mark.detect(marked)
    assert upright.lies == AS_IT_LIES and upright.payload == 77


def test_a_large_picture_resized_and_mirrored_is_found() -> None:
    mark = Mark(b"a key of 32 bytes for this test.")
    picture = np.kron(PICTURES[3], np.ones((8, 8, 1), np.uint8))
    marked = Image.fromarray(mark.embed(picture, 5)).resize((400, 400), Image.Resampling.BICUBIC)
    lies = Orientation(True, 3)
    found = mark.detect(done(lies, np.asarray(marked)), anyhow=True)
    assert (found.payload, found.lies) == (5, lies)
    assert found.scale == pytest.approx(400 / 512, rel=0.01)


def least_of_eight(seen: np.ndarray, drawn: list[bytes]) -> list[float]:
    """What `detect` says of phase factors (308,) for each of many keys, all keys at a time."""
    lain = np.stack([lies.phases(seen) for lies in EVERY])  # (8, 308)
    rows, columns = tile.BAND[tile.PILOT].T
    plane = np.zeros((len(drawn), len(EVERY), tile.SIDE, tile.SIDE // 2 + 1), complex)
    turned = lain[None] * np.stack([phases(key) for key in drawn])[:, None].conj()
    plane[:, :, rows, columns] = turned[:, :, tile.PILOT]
    best = np.fft.irfft2(plane, (tile.SIDE, tile.SIDE)).max((2, 3)) * tile.SIDE**2 / 2
    return [
        min(lies.corrected(chance.best_shift(float(one), len(tile.PILOT)))
            for lies, one in zip(EVERY, row, strict=True)) for row in best
    ]  # fmt: skip


def test_false_alarms_of_all_eight_together_come_no_more_often_than_stated() -> None:
    """Unmarked portraits and random keys: 2,000 pairs for the mark, 60 for that of drawing."""
    rng = np.random.default_rng(5)
    p = []
    for picture in PICTURES:
        drawn = [rng.bytes(16) for _ in range(50)]
        p += least_of_eight(tile.seen(picture), drawn)
        if len(p) <= 150:
            found = Mark(drawn[0]).detect(picture, anyhow=True)
            assert found.p_value == pytest.approx(p[-50])
    guided = [find_anyhow(PICTURES[i % 40], rng.bytes(16))[0].p_value for i in range(60)]
    for all_ in (p, guided):
        for level in (0.1, 0.01):
            hits = int((np.array(all_) <= level).sum())
            assert binomtest(hits, len(all_), level, alternative="greater").pvalue > 0.01
    assert (np.array(p) <= 0.1).mean() > 0.04  # not merely always 1


def test_the_mark_of_drawing_is_found_whichever_way_it_lies() -> None:
    key = b"a key of 32 bytes for this test."
    flat = np.full((64, 64, 3), 120, np.uint8)
    pushed = (flat + 2.0 * np.kron(patterns(key)[3, 0], np.ones((4, 4)))[..., None]).astype(
        np.uint8
    )
    for lies in EVERY:
        found, lay = find_anyhow(done(lies, pushed), key)
        assert found.p_value < 1e-30 and lay == lies
    assert find_cells(done(OTHERS[2], pushed)[None], key)[0].p_value > 1e-3


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys, ManifestStore]:
    folder = tmp_path_factory.mktemp("room")
    secret, store = keys(folder / "keys"), ManifestStore(folder / "store")
    ledger = Ledger(folder / "ledger", secret.ledger)
    for i, picture in enumerate(PICTURES[:6]):
        release_image(picture, FACTS, folder / f"{i}.png", keys=secret, ledger=ledger, store=store)
    return folder, secret, store


def look(room: tuple[Path, Keys, ManifestStore], pixels: np.ndarray):
    folder, secret, store = room
    Image.fromarray(pixels).save(folder / "seen.png")
    ledger = Ledger(folder / "ledger", public=secret.ledger_public)
    return verify_file(folder / "seen.png", secret.watermark, secret.anchors, ledger, store=store)


def released(room: tuple[Path, Keys, ManifestStore], i: int) -> np.ndarray:
    return np.asarray(Image.open(room[0] / f"{i}.png").convert("RGB"))


@pytest.mark.parametrize("lies", OTHERS, ids=IDS[1:])
def test_verify_says_how_a_picture_was_turned(room, lies: Orientation) -> None:
    edited = released(room, 4).copy()
    edited[32:44, 16:32] = (200, 30, 30)
    found = look(room, done(lies, edited))
    assert found.mark.payload == 4 and found.lies == lies
    assert found.recovered is not None and found.recovered.by == "mark"
    assert found.recovered.compared.kind == "edited"
    assert found.recovered.compared.where == pytest.approx(lies.box((0.25, 0.5, 0.5, 0.6875)))
    assert f"since then: the picture was {lies.words}" in found.summary
    whole = look(room, done(lies, released(room, 4)))
    assert (whole.ledger.state, whole.agrees) == ("other bytes", True)
    # Without its mark, looks lead to the same; a mirrored portrait is too like another.
    unmarked = look(room, done(lies, PICTURES[4]))
    if not lies.quarters:
        assert unmarked.recovered is None and unmarked.lies == AS_IT_LIES
        return
    assert unmarked.mark.payload is None and unmarked.recovered is not None
    assert (unmarked.recovered.by, unmarked.lies) == ("looks", lies)
    assert unmarked.recovered.credentials.payload == 4


@pytest.mark.parametrize("cut", [crop, crop_back])
def test_a_crop_of_a_small_picture_leads_to_its_manifest(room, cut) -> None:
    rng = np.random.default_rng(6)
    for share in (0.1, 0.2, 0.25):
        found = look(room, cut(released(room, 2), rng, share))
        assert found.recovered is not None and found.recovered.credentials.payload == 2
        assert found.recovered.compared.kind == "cropped"
        kept = found.recovered.compared.cut
        assert kept is not None
        assert kept[2] - kept[0] == pytest.approx(1 - share, abs=0.02)
        assert any(line.startswith("since then: cropped") for line in found.summary)
    other = look(room, cut(PICTURES[20], rng, 0.2))
    assert other.recovered is None and other.lies == AS_IT_LIES


def test_where_a_crop_was_cut_is_told_and_other_pictures_do_not_fit() -> None:
    maps = np.stack([np.frombuffer(brightness_map(x), np.uint8) for x in PICTURES[:30]])
    found = find_crop(maps, np.ascontiguousarray(PICTURES[7][4:54, 9:61]))
    assert found is not None and found[0] == 7
    assert found[1].cut == pytest.approx((9 / 64, 4 / 64, 61 / 64, 54 / 64), abs=1e-9)
    assert all(find_crop(maps, x[6:58, 6:58].copy()) is None for x in PICTURES[30:34])
    assert find_crop(maps[:0], PICTURES[0]) is None
    assert find_crop(maps, np.full((50, 50, 3), 9, np.uint8)) is None
    assert find_crop(maps, PICTURES[0][:1, :9].copy()) is None
