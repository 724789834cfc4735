"""Verifying: what each kind of file tells, and that lies do not agree."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from safety.keys import Keys, keys
from safety.ledger import Ledger
from safety.metadata import Facts, read_metadata
from safety.release import release_image, seal
from safety.verify import verify_file
from toolkit.world import render_all, sample

FACTS = Facts("a doctor", 7, "unclip", "small", "ab" * 32, "0.1.0")


@dataclasses.dataclass(frozen=True)
class Room:
    """Three released portraits, their keys and ledger."""

    folder: Path
    keys: Keys
    ledger: Ledger
    images: np.ndarray

    def verify(self, name: str):
        return verify_file(self.folder / name, self.keys.watermark, self.keys.anchors, self.ledger)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Room:
    folder = tmp_path_factory.mktemp("room")
    secret = keys(folder / "keys")
    ledger = Ledger(folder / "ledger", secret.ledger)
    images = render_all(sample("test", 4, seed=12))
    for i, image in enumerate(images[:3]):
        release_image(image, FACTS, folder / f"{i}.png", keys=secret, ledger=ledger)
    return Room(folder, secret, ledger, images)


@pytest.fixture
def room(made: Room, tmp_path: Path) -> Room:
    """A copy to spoil."""
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    ledger = Ledger(tmp_path / "ledger", made.keys.ledger)
    return dataclasses.replace(made, folder=tmp_path, ledger=ledger)


def test_a_whole_file(room: Room) -> None:
    found = room.verify("1.png")
    assert found.agrees is True and found.format == "PNG" and found.file == "1.png"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["mark"]["payload"] == 1
    assert str(room.folder) not in json.dumps(found.to_json())
    assert found.summary[-1] == "agreement: yes" and "p = " in found.summary[0]


def test_from_the_file_and_the_key_alone(room: Room) -> None:
    found = verify_file(room.folder / "1.png", room.keys.watermark)
    assert found.mark.payload == found.metadata.index == 1 and found.agrees is True
    assert found.credentials.state == "untrusted" and found.ledger.state == "not asked"


def test_a_jpeg_keeps_the_mark(room: Room) -> None:
    Image.open(room.folder / "2.png").save(room.folder / "2.jpg", quality=90)
    found = room.verify("2.jpg")
    assert found.format == "JPEG" and found.mark.payload == 2 and found.mark.p_value < 1e-6
    assert found.credentials.state == "none" and found.metadata.record is None
    assert (found.ledger.state, found.ledger.index, found.agrees) == ("other bytes", 2, True)


def test_a_saved_again_png_keeps_the_mark(room: Room) -> None:
    Image.open(room.folder / "2.png").save(room.folder / "again.png")
    found = room.verify("again.png")
    assert found.mark.payload == 2 and found.credentials.state == "none"


def test_an_unmarked_picture_has_nothing(room: Room) -> None:
    Image.fromarray(room.images[3]).save(room.folder / "plain.png")
    found = room.verify("plain.png")
    assert found.mark.verdict != "present" and found.metadata.record is None
    assert found.credentials.state == "none" and found.ledger.state == "missing"
    assert found.agrees is None


def test_another_key_sees_the_claims_only(room: Room) -> None:
    found = verify_file(room.folder / "0.png", b"another key" * 4, room.keys.anchors)
    assert found.mark.verdict != "present" and found.metadata.index == 0


def test_a_record_moved_onto_another_picture_is_caught(room: Room) -> None:
    """The chunk of one released image, copied into another's pixels."""
    with Image.open(room.folder / "0.png") as image:
        image.load()
        chunk = image.info["pellucid"]
    extra = PngInfo()
    extra.add_itxt("pellucid", chunk)
    with Image.open(room.folder / "1.png") as image:
        image.save(room.folder / "forged.png", pnginfo=extra)
    found = room.verify("forged.png")
    assert (found.mark.payload, found.metadata.index, found.agrees) == (1, 0, False)
    told = "they name different numbers: the mark 1, the metadata 0, the ledger 1"
    assert found.contradictions[-1] == told


def test_changed_facts_do_not_open_the_commitment(room: Room) -> None:
    with Image.open(room.folder / "0.png") as image:
        record = read_metadata(image).record
        assert record is not None and isinstance(record["facts"], dict)
        record["facts"]["prompt"] = "something else"
        extra = PngInfo()
        extra.add_itxt("pellucid", json.dumps(record))
        image.save(room.folder / "changed.png", pnginfo=extra)
    found = room.verify("changed.png")
    assert found.ledger.commitment is False and found.agrees is False
    assert found.contradictions == (
        "its metadata do not say what entry 0 of the ledger committed to",
    )


def test_another_runs_ledger_is_noticed(room: Room) -> None:
    """The same key, the same index, another picture."""
    other = Ledger(room.folder / "other", room.keys.ledger)
    release_image(room.images[3], FACTS, room.folder / "x.png", keys=room.keys, ledger=other)
    Image.open(room.folder / "0.png").save(room.folder / "0.jpg", quality=90)
    for name in ("0.png", "0.jpg"):
        path = room.folder / name
        found = verify_file(path, room.keys.watermark, room.keys.anchors, other)
        assert found.ledger.state == "other picture"
        # Of the JPEG only the mark is left, which a crop of the right picture would carry too.
        assert found.agrees is (False if name == "0.png" else None)


def test_sealed_but_never_logged(room: Room) -> None:
    data = seal(room.images[3], FACTS, 77, room.keys).data
    (room.folder / "unlogged.png").write_bytes(data)
    found = room.verify("unlogged.png")
    assert found.credentials.state == "trusted" and found.mark.payload == 77
    assert found.ledger.state == "missing" and found.agrees is False


def test_a_broken_ledger_vouches_for_nothing(room: Room) -> None:
    path = room.folder / "ledger" / "entries.jsonl"
    path.write_text(path.read_text().replace('"index":2', '"index":5'))
    found = room.verify("0.png")
    assert found.ledger.state == "broken" and found.agrees is False and found.ledger.problems


def test_a_checkpoint_kept_elsewhere_is_heeded(room: Room) -> None:
    short = Ledger(room.folder / "short", room.keys.ledger)
    short.append({"kind": "test"})
    kept = room.ledger.checkpoint()
    found = verify_file(room.folder / "0.png", room.keys.watermark, None, short, kept)
    assert found.ledger.state == "broken" and "truncated" in found.ledger.problems[0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"hello",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-300],
        lambda data: data[:20] + b"\xff" * 8 + data[28:],
        lambda data: data[:16] + b"\x7f\xff\xff\xff\x7f\xff\xff\xff" + data[24:],
    ],
)
def test_a_corrupted_file_is_one_sentence(room: Room, spoil) -> None:
    (room.folder / "bad.png").write_bytes(spoil((room.folder / "0.png").read_bytes()))
    with pytest.raises(ValueError, match=r"bad.png can't be read as an image"):
        room.verify("bad.png")
    with pytest.raises(ValueError, match=r"can't be read"):
        room.verify("absent.png")
    with pytest.raises(ValueError, match=r"can't be read"):
        room.verify("keys")


def test_random_damage_never_escapes_as_another_error(room: Room) -> None:
    whole = (room.folder / "0.png").read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(150):
        spoiled = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            spoiled[at] = int(rng.integers(256))
        (room.folder / "bad.png").write_bytes(spoiled)
        try:
            found = room.verify("bad.png")
        except ValueError as error:
            assert "bad.png" in str(error)
        else:
            assert found.ledger.state != "sealed" or bytes(spoiled) == whole


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_kinds_of_image(room: Room, mode: str) -> None:
    name = "other.jpg" if mode == "CMYK" else "other.png"
    Image.fromarray(room.images[3]).convert(mode).save(room.folder / name)
    assert room.verify(name).mark.verdict != "present"
    Image.new(mode, (20, 30)).save(room.folder / name)
    found = room.verify(name)
    assert found.mark.verdict == "inconclusive" and (found.width, found.height) == (20, 30)
