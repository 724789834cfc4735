"""Provenance: formats, sidecars, sources, the linter, the map of brightness, recovery."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from safety import Ledger, release_image
from safety.assertions import lint
from safety.brightness import brightness_map, compare
from safety.content_credentials import (
    AI_EDITED,
    AI_MADE,
    Source,
    Statement,
    read_credentials,
    sign_image,
    stated,
)
from safety.keys import Keys, keys
from safety.manifest_store import ManifestStore
from safety.metadata import Facts, read_metadata
from safety.verify import verify_file
from toolkit.world import render_all, sample

FACTS = Facts("a doctor", 7, "unclip", "/home/alice/models/small", "ab" * 32, "0.1.0")
PICTURES = render_all(sample("test", 4, seed=21))


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys") / "k")


@pytest.fixture
def store(tmp_path: Path) -> ManifestStore:
    return ManifestStore(tmp_path / "store")


def release(folder: Path, secret: Keys, name: str, picture=PICTURES[0], **more) -> Path:
    ledger = Ledger(folder / "ledger", secret.ledger)
    release_image(picture, FACTS, folder / name, keys=secret, ledger=ledger, **more)
    return folder / name


def look(path: Path, secret: Keys, store: ManifestStore | None = None):
    ledger = Ledger(path.parent / "ledger", public=secret.ledger_public)
    return verify_file(path, secret.watermark, secret.anchors, ledger, store=store)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("sidecar", [False, True])
def test_every_format_carries_everything(
    tmp_path: Path, secret: Keys, name: str, sidecar: bool
) -> None:
    path = release(tmp_path, secret, name, sidecar=sidecar)
    found = look(path, secret)
    assert found.agrees is True and found.ledger.state == "sealed" and found.ledger.commitment
    assert found.credentials.state == "trusted" and not found.credentials.doubts
    assert found.manifest == ("sidecar" if sidecar else "file")
    assert (tmp_path / f"{name}.c2pa").exists() is sidecar
    assert found.compared is not None and found.compared.kind == "same"
    assert found.metadata.parameters is not None and "Seed: 7" in found.metadata.parameters
    assert found.summary[0].startswith("origin: drawn by an AI model (small) on 20")
    assert "signed by 'Pellucid" in found.summary[0] and "(p = " in found.summary[0]
    assert found.summary[1] == "since then: nothing: its bytes are those that were signed"


def test_no_folder_gets_into_file_or_ledger(tmp_path: Path, secret: Keys) -> None:
    path = release(tmp_path, secret, "a.png")
    for data in (path.read_bytes(), (tmp_path / "ledger" / "entries.jsonl").read_bytes()):
        assert b"alice" not in data and b"/home" not in data
    assert look(path, secret).credentials.model == "small"
    edited = Facts("p", 1, "C:\\Users\\bob\\x", "owner/model", edits=(("/tmp/bob/glasses", 2.0),))
    assert (edited.pipeline, edited.model, edited.edits) == (
        "x",
        "owner/model",
        (("glasses", 2.0),),
    )


def test_a_pixel_of_a_file_with_a_sidecar_is_missed(tmp_path: Path, secret: Keys) -> None:
    path = release(tmp_path, secret, "a.png", sidecar=True)
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    found = look(path, secret)
    assert found.credentials.state == "invalid" and found.agrees is False


def test_what_a_picture_was_made_from_is_told(tmp_path: Path, secret: Keys) -> None:
    first = release(tmp_path, secret, "first.png").read_bytes()
    plain = io.BytesIO()
    Image.fromarray(PICTURES[2]).save(plain, "JPEG")
    for use, source, first_word in (("edited", AI_EDITED, "opened"), ("input", AI_MADE, "created")):
        for index, given in enumerate(
            [Source(first, "image/png", use), Source(plain.getvalue(), "image/jpeg", use)]
        ):
            name = f"{use}-{index}.png"
            found = look(release(tmp_path, secret, name, PICTURES[1], sources=(given,)), secret)
            assert found.credentials.state == "trusted" and found.agrees is True
            assert found.credentials.source == source and not found.credentials.doubts
            steps = found.credentials.steps
            if index == 0:  # the source's own steps come first
                assert steps[0].startswith("created (trainedAlgorithmicMedia)")
                assert steps[2].startswith(first_word)
            else:
                assert steps[0].endswith("a file without a manifest")
    bad = Source(b"no picture", "image/png")
    with pytest.raises(ValueError, match="c2pa refused"):
        release(tmp_path, secret, "bad.png", PICTURES[1], sources=(bad,))
    assert not (tmp_path / "bad.png").exists() and not list(tmp_path.glob(".*.part"))


def test_a_manifest_adds_at_most_six_kilobytes(secret: Keys) -> None:
    plain = io.BytesIO()
    Image.fromarray(PICTURES[0]).save(plain, "PNG")
    full = Statement(2**63, "0.1.0", "portraits", "ab" * 32, bytes(256), "cd" * 32)
    signed = sign_image(plain.getvalue(), "image/png", secret.credentials, full)
    assert len(signed.data) - len(plain.getvalue()) <= 6144
    found = read_credentials(signed.data, anchors=secret.anchors)
    assert (found.payload, found.ledger, found.map) == (2**63, "cd" * 32, "00" * 256)


def saved(path: Path, name: str, change=lambda picture: picture, **how) -> Path:
    """A picture opened, changed and saved elsewhere, as somebody's program does it."""
    with Image.open(path) as picture:
        change(picture.convert("RGB")).save(path.with_name(name), **how)
    return path.with_name(name)


def test_a_stripped_manifest_is_recovered(
    tmp_path: Path, secret: Keys, store: ManifestStore
) -> None:
    for index, picture in enumerate(PICTURES[:3]):
        release(tmp_path, secret, f"{index}.png", picture, store=store)
    for name, how in (("s.png", {}), ("s.jpg", {"quality": 90}), ("s.webp", {"lossless": True})):
        found = look(saved(tmp_path / "1.png", name, **how), secret, store)
        assert found.credentials.state == "none" and found.agrees is True
        assert found.recovered is not None and found.recovered.by == "mark"
        assert found.recovered.signed and found.recovered.credentials.payload == 1
        assert found.recovered.compared.kind == "same"
        assert found.ledger.bits is not None and found.ledger.bits <= 31  # PDQ's own bar
        assert found.recovered.released == sha256((tmp_path / "1.png").read_bytes()).hexdigest()
        assert "number 1 (p = " in found.summary[0]
        assert "it is number 1 of those released here (brightness" in found.summary[0]
        assert "since then: the manifest and metadata were taken out" in found.summary
    Image.fromarray(PICTURES[3]).save(tmp_path / "other.png")
    assert look(tmp_path / "other.png", secret, store).recovered is None


def test_without_the_mark_looks_alone_can_lead_to_it(
    tmp_path: Path, secret: Keys, store: ManifestStore
) -> None:
    release(tmp_path, secret, "0.png", store=store)
    Image.fromarray(PICTURES[0]).save(tmp_path / "unmarked.png")
    found = look(tmp_path / "unmarked.png", secret, store)
    assert found.mark.payload is None
    assert found.recovered is not None and found.recovered.by == "looks"
    # The very picture before it was marked: nothing was taken out of it.
    assert "it looks like number 0 of those released here" in found.summary[0]
    assert not any("taken out" in line for line in found.summary)


def test_a_damaged_or_emptied_store_recovers_nothing(
    tmp_path: Path, secret: Keys, store: ManifestStore
) -> None:
    path = release(tmp_path, secret, "0.png", store=store)
    stripped, (kept,) = saved(path, "s.png"), store.kept()
    file = store.folder / f"{kept.manifest}.c2pa"
    whole, index = file.read_bytes(), (store.folder / "index.jsonl").read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    assert look(stripped, secret, store).recovered is None
    file.write_bytes(whole)
    (store.folder / "index.jsonl").write_bytes(index + b"[1]\n" + index[:50])
    release(tmp_path, secret, "1.png", PICTURES[1], store=store)
    assert [one.payload for one in store.kept()] == [0, 1]
    found = look(stripped, secret, store)
    assert found.recovered is not None and found.recovered.credentials.payload == 0
    assert store.forget(kept.manifest) and not store.forget(kept.manifest)
    assert look(stripped, secret, store).recovered is None and not file.exists()


def test_a_strangers_manifest_in_the_store_is_not_believed(
    tmp_path: Path, secret: Keys, store: ManifestStore
) -> None:
    stranger = keys(tmp_path / "stranger")
    mixed = Keys(secret.folder, secret.watermark, secret.ledger, stranger.credentials)
    path = release(tmp_path, mixed, "0.png", store=store)
    assert look(saved(path, "s.png"), secret, store).recovered is None


def test_the_map_tells_what_was_done() -> None:
    map_ = brightness_map(PICTURES[0])
    picture = Image.fromarray(PICTURES[0])
    for same in (
        picture,
        picture.resize((150, 150)),
        picture.point([v * 4 // 5 for v in range(256)] * 3),
    ):
        assert compare(map_, np.asarray(same)).kind == "same"
    edited = PICTURES[0].copy()
    edited[16:28, 32:48] = 255 - edited[16:28, 32:48]
    found = compare(map_, edited)
    assert found.kind == "edited" and found.changed <= 12
    assert found.where is not None and found.where[0] >= 0.5 and found.where[3] <= 28 / 64
    for other in (PICTURES[1], PICTURES[0][8:], np.full((64, 64, 3), 90, np.uint8)):
        assert compare(map_, other).kind == "inconclusive"
    assert compare(bytes(256), PICTURES[0]).kind == "inconclusive"
    with pytest.raises(ValueError, match="256"):
        compare(b"", PICTURES[0])


def changed(change) -> dict:
    made = json.loads(json.dumps(stated(Statement(5, "0.1.0", "m", "ab" * 32, bytes(256), "k"))))
    change(made)
    return made


def actions(made: dict) -> list[dict]:
    return made["assertions"][0]["data"]["actions"]


def add(label: str, data: dict):
    return lambda made: made["assertions"].append({"label": label, "data": data})


WRONG = {
    "no assertion of C2PA": add("c2pa.ai_generated", {"generator": "x"}),
    "before version 2": lambda m: m["assertions"][0].update(label="c2pa.actions"),
    "no action of C2PA": lambda m: actions(m).append({"action": "c2pa.generated"}),
    "no digital source type": lambda m: actions(m)[0].update(digitalSourceType="madeByAI"),
    "neither c2pa.created nor": lambda m: actions(m).reverse(),
    "more than once": lambda m: actions(m).append(dict(actions(m)[0])),
    "from what kind of source": lambda m: actions(m)[0].pop("digitalSourceType"),
    "go together": lambda m: m.update(ingredients=[{"relationship": "parentOf"}]),
    "can have one": lambda m: m.update(ingredients=[{"relationship": "parentOf"}] * 2),
    "no soft binding names it": lambda m: m.update(
        assertions=[a for a in m["assertions"] if "soft" not in a["label"]]
    ),
    "lacks its algorithm": add("c2pa.soft-binding", {"blocks": []}),
    "says which": lambda m: m.update(
        assertions=[a for a in m["assertions"] if "disclosure" not in a["label"]]
    ),
    "none is a model's": lambda m: actions(m)[0].update(
        digitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    ),
    "a person or a folder": lambda m: m.update(title="/home/alice/a.png"),
    "a thumbnail": lambda m: m.update(thumbnail={"format": "image/jpeg"}),
    "there is no action": lambda m: m["assertions"].pop(0),
}


@pytest.mark.parametrize("said", WRONG)
def test_the_linter_names_what_is_wrong(said: str) -> None:
    assert not lint(changed(lambda made: None))
    assert any(said in sentence for sentence in lint(changed(WRONG[said])))


def test_image_metadata_survives_in_every_format(tmp_path: Path, secret: Keys) -> None:
    for name in ("a.png", "a.jpg", "a.webp"):
        with Image.open(release(tmp_path, secret, name)) as picture:
            found = read_metadata(picture)
        assert found.record is not None and found.record["facts"]["prompt"] == "a doctor"  # type: ignore[index]
