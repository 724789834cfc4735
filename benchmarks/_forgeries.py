"""Forgeries of released files, each by somebody who has the files and, in some, the owner's keys.

A case writes a forged file into its room and names it. What has to come of it is its `kind`:

- `lie`: the file contradicts itself or the ledger, and the verdict has to be "broken";
- `strip`: something true was taken away: not "verified", and the store gives the manifest back;
- `foreign`: signed by a stranger, or not at all: not "verified", credentials not trusted;
- `doubt`: signed with the owner's key, and wrong in form: not "verified", and the linter says why;
- `graft`: a true mark on another picture: not "verified", and not said to be that picture;
- `unreadable`: one sentence that names the file.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

from safety.content_credentials import Source, Statement, sign_manifest, stated
from safety.keys import Keys
from safety.ledger import Ledger
from safety.manifest_store import ManifestStore
from safety.metadata import Facts
from safety.release import release_image, seal

Chunks = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Room:
    """Two released pictures in every format, their keys, ledger and store, and an innocent one."""

    folder: Path
    keys: Keys
    stranger: Keys  # other keys under the same names
    ledger: Ledger
    store: ManifestStore
    pictures: tuple[np.ndarray, np.ndarray, np.ndarray]

    def path(self, name: str) -> Path:
        return self.folder / name

    def bytes(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def write(self, name: str, data: bytes) -> str:
        self.path(name).write_bytes(data)
        return name


def facts(seed: int) -> Facts:
    return Facts("a doctor with glasses", seed, "unclip", "portraits", "ab" * 32, "0.1.0")


def make_room(folder: Path, pictures: list[np.ndarray], keys: Keys, stranger: Keys) -> Room:
    """Release the first two pictures as PNG, JPEG and WebP, once with a sidecar, once edited."""
    ledger, store = Ledger(folder / "ledger", keys.ledger), ManifestStore(folder / "store")
    room = Room(folder, keys, stranger, ledger, store, (pictures[0], pictures[1], pictures[2]))
    for index, picture in enumerate(room.pictures[:2]):
        for ending in ("png", "jpg", "webp"):
            _release(room, f"{index}.{ending}", picture)
        _release(room, f"side-{index}.png", picture, sidecar=True)
    source = Source(room.bytes("0.png"), "image/png", "edited")
    _release(room, "edited.png", room.pictures[1], sources=(source,))
    return room


def _release(room: Room, name: str, picture: np.ndarray, **more: Any) -> None:
    release_image(
        picture, facts(len(name)), room.path(name), keys=room.keys, ledger=room.ledger,
        store=room.store, **more,
    )  # fmt: skip


def chunks(png: bytes) -> Chunks:
    found, at = [], 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def joined(parts: Chunks) -> bytes:
    """A PNG of chunks, their checksums made anew."""
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in parts:
        out += struct.pack(">I", len(body)) + name + body
        out += struct.pack(">I", zlib.crc32(name + body))
    return out


def without(png: bytes, name: bytes) -> Chunks:
    return [one for one in chunks(png) if one[0] != name]


def only(png: bytes, name: bytes) -> tuple[bytes, bytes]:
    return next(one for one in chunks(png) if one[0] == name)


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        return np.array(opened.convert("RGB"))


def encoded(image: np.ndarray, form: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **how)
    return file.getvalue()


def record(png: bytes) -> str:
    with Image.open(io.BytesIO(png)) as opened:
        opened.load()
        return str(opened.info["pellucid"])


def with_text(image: np.ndarray, key: str, text: str) -> bytes:
    extra = PngInfo()
    extra.add_itxt(key, text)
    return encoded(image, pnginfo=extra)


def _with_pixels(png: bytes, image: np.ndarray) -> bytes:
    """The same PNG, every other chunk kept, with other pixels."""
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in image))
    parts = without(png, b"IDAT")
    return joined([*parts[:-1], (b"IDAT", rows), parts[-1]])


# Taking away -------------------------------------------------------------------------------


def manifest_removed(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.png", joined(without(room.bytes("0.png"), b"caBX")))


def saved_as_png(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.png", encoded(pixels(room.bytes("0.png"))))


def saved_as_jpeg(room: Room, rng: np.random.Generator) -> str:
    quality = int(rng.integers(88, 96))
    return room.write("x.jpg", encoded(pixels(room.bytes("0.png")), "JPEG", quality=quality))


def jpeg_saved_again(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.jpg", encoded(pixels(room.bytes("0.jpg")), "JPEG", quality=92))


def webp_saved_again(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.webp", encoded(pixels(room.bytes("0.webp")), "WEBP", lossless=True))


def sidecar_removed(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.png", room.bytes("side-0.png"))


def remote_manifest(room: Room, rng: np.random.Generator) -> str:
    xmp = (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
        'dcterms:provenance="http://127.0.0.1:9/m.c2pa"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    return room.write("x.png", with_text(pixels(room.bytes("0.png")), "XML:com.adobe.xmp", xmp))


# Changing ----------------------------------------------------------------------------------


def one_pixel(room: Room, rng: np.random.Generator) -> str:
    image = pixels(room.bytes("0.png"))
    image[int(rng.integers(len(image))), int(rng.integers(len(image))), int(rng.integers(3))] ^= 1
    return room.write("x.png", _with_pixels(room.bytes("0.png"), image))


def a_region(room: Room, rng: np.random.Generator) -> str:
    image, size = pixels(room.bytes("0.png")), len(pixels(room.bytes("0.png"))) // 4
    top, left = (int(value) for value in rng.integers(0, 3 * size, 2))
    image[top : top + size, left : left + size] = rng.integers(0, 256, 3)
    return room.write("x.png", _with_pixels(room.bytes("0.png"), image))


def other_words(room: Room, rng: np.random.Generator) -> str:
    parts = [
        (name, body.replace(b"a doctor", b"a lawyer")) for name, body in chunks(room.bytes("0.png"))
    ]
    return room.write("x.png", joined(parts))


def words_added(room: Room, rng: np.random.Generator) -> str:
    parts = chunks(room.bytes("0.png"))
    return room.write("x.png", joined([*parts[:-1], (b"tEXt", b"Author\0somebody"), parts[-1]]))


def other_record(room: Room, rng: np.random.Generator) -> str:
    png = room.bytes("0.png")
    made = json.loads(record(png))
    made["facts"]["seed"] += 1
    return room.write("x.png", with_text(pixels(png), "pellucid", json.dumps(made)))


def jpeg_comment(room: Room, rng: np.random.Generator) -> str:
    data, text = room.bytes("0.jpg"), b"made by hand"
    comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
    return room.write("x.jpg", data[:2] + comment + data[2:])


def bytes_appended(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.png", room.bytes("0.png") + rng.bytes(40))


def signature_bit(room: Room, rng: np.random.Generator) -> str:
    png = room.bytes("0.png")
    name, body = only(png, b"caBX")
    broken = bytearray(body)
    # Within the COSE signature's protected header and certificate, which it begins with.
    broken[body.index(b"c2pa.signature") + 120 + int(rng.integers(200))] ^= 1
    parts = [(name, bytes(broken)) if one[0] == b"caBX" else one for one in chunks(png)]
    return room.write("x.png", joined(parts))


def assertion_bit(room: Room, rng: np.random.Generator) -> str:
    png = room.bytes("0.png")
    parts = [(n, b.replace(b"trainedAlgorithmicMedia", b"digitalCaptureeeeeeeeee"))
             for n, b in chunks(png)]  # fmt: skip
    return room.write("x.png", joined(parts))


def cut_in_half(room: Room, rng: np.random.Generator) -> str:
    data = room.bytes("0.png")
    return room.write("x.png", data[: int(rng.integers(30, len(data) // 2))])


def jpeg_cut(room: Room, rng: np.random.Generator) -> str:
    data = room.bytes("0.jpg")
    return room.write("x.jpg", data[: int(len(data) * rng.uniform(0.3, 0.6))])


# Moving ------------------------------------------------------------------------------------


def manifest_of_another(room: Room, rng: np.random.Generator) -> str:
    """Splice: the other file's manifest in place of its own."""
    theirs = only(room.bytes("1.png"), b"caBX")
    parts = [theirs if one[0] == b"caBX" else one for one in chunks(room.bytes("0.png"))]
    return room.write("x.png", joined(parts))


def record_of_another(room: Room, rng: np.random.Generator) -> str:
    return room.write(
        "x.png", with_text(pixels(room.bytes("0.png")), "pellucid", record(room.bytes("1.png")))
    )


def claims_on_an_innocent(room: Room, rng: np.random.Generator) -> str:
    """Transfer: record and manifest of a released file around pixels that are not ours."""
    return room.write("x.png", _with_pixels(room.bytes("0.png"), room.pictures[2]))


def record_on_an_innocent(room: Room, rng: np.random.Generator) -> str:
    return room.write("x.png", with_text(room.pictures[2], "pellucid", record(room.bytes("0.png"))))


def sidecar_of_another(room: Room, rng: np.random.Generator) -> str:
    room.write("x.png", room.bytes("side-0.png"))
    room.write("x.png.c2pa", room.bytes("side-1.png.c2pa"))
    return "x.png"


def mark_lifted(room: Room, rng: np.random.Generator) -> str:
    """What is fine in a marked picture, added to an innocent one."""
    marked = Image.fromarray(pixels(room.bytes("0.png")))
    fine = np.asarray(marked, float) - np.asarray(marked.filter(ImageFilter.GaussianBlur(1)))
    smooth = Image.fromarray(room.pictures[2]).filter(ImageFilter.GaussianBlur(1))
    lifted = np.clip(np.asarray(smooth) + fine, 0, 255).astype(np.uint8)
    return room.write("x.png", encoded(lifted))


def mark_estimated(room: Room, rng: np.random.Generator) -> str:
    """The mark itself, by somebody who has the picture from before it was marked."""
    mark = pixels(room.bytes("0.png")).astype(float) - room.pictures[0]
    lifted = np.clip(room.pictures[2] + mark, 0, 255).astype(np.uint8)
    return room.write("x.png", encoded(lifted))


# Signing -----------------------------------------------------------------------------------


def _signed(room: Room, data: bytes, keys: Keys, change: Callable[[dict], Any] | None = None,
            statement: Statement | None = None) -> str:  # fmt: skip
    """Sign a file with somebody's keys; `change` is done to the manifest first."""
    told = statement or Statement(0, "0.1.0", "portraits", "ab" * 32, bytes(256), "cd" * 32)
    made = stated(told, "image/png")
    if change is not None:
        change(made)
    signed = sign_manifest(data, "image/png", keys.credentials, made, told.sources)
    return room.write("x.png", signed.data)


def _unsigned(room: Room) -> bytes:
    return joined(without(room.bytes("0.png"), b"caBX"))


def same_names(room: Room, rng: np.random.Generator) -> str:
    return _signed(room, _unsigned(room), room.stranger)


def same_names_on_an_innocent(room: Room, rng: np.random.Generator) -> str:
    return _signed(room, encoded(room.pictures[2]), room.stranger)


def our_root_in_their_chain(room: Room, rng: np.random.Generator) -> str:
    """A stranger's leaf with our root put behind it; where c2pa refuses that, the leaf alone."""
    theirs = room.stranger.credentials
    mixed = replace(theirs, chain=theirs.chain + room.keys.anchors)
    try:
        return _signed(room, _unsigned(room), replace(room.stranger, credentials=mixed))
    except ValueError:
        return _signed(room, _unsigned(room), room.stranger)


def ours_as_their_source(room: Room, rng: np.random.Generator) -> str:
    """A stranger's signature over a file whose stated parent is truly ours."""
    source = Source(room.bytes("0.png"), "image/png", "edited")
    told = Statement(0, "0.1.0", "portraits", "ab" * 32, sources=(source,))
    return _signed(room, encoded(room.pictures[2]), room.stranger, statement=told)


def _action(made: dict) -> dict:
    return made["assertions"][0]["data"]["actions"][0]


CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def from_a_camera(room: Room, rng: np.random.Generator) -> str:
    """Wrong assertion: the owner's key says that a marked picture is a photograph."""
    return _signed(room, _unsigned(room), room.keys, lambda m: _action(m).update(
        digitalSourceType=CAMERA))  # fmt: skip


def invented_assertion(room: Room, rng: np.random.Generator) -> str:
    return _signed(room, encoded(room.pictures[2]), room.keys, lambda m: m["assertions"].append(
        {"label": "c2pa.ai_generated", "data": {"model": "x"}}))  # fmt: skip


def no_disclosure(room: Room, rng: np.random.Generator) -> str:
    return _signed(room, encoded(room.pictures[2]), room.keys, lambda m: m.update(
        assertions=[a for a in m["assertions"] if a["label"] != "c2pa.ai-disclosure"]))  # fmt: skip


def another_number(room: Room, rng: np.random.Generator) -> str:
    """The owner's key, and a number that is another picture's."""
    told = Statement(1, "0.1.0", "portraits", "ab" * 32, bytes(256), room.keys.ledger_public)
    return _signed(room, _unsigned(room), room.keys, statement=told)


# The ledger --------------------------------------------------------------------------------


def never_logged(room: Room, rng: np.random.Generator) -> str:
    made = seal(room.pictures[2], facts(9), int(rng.integers(1000, 10_000)), room.keys)
    return room.write("x.png", made.data)


def of_another_history(room: Room, rng: np.random.Generator) -> str:
    """A file released under the same key and number, into a ledger that was then thrown away."""
    other = Ledger(room.folder / "other", room.keys.ledger)
    release_image(room.pictures[2], facts(9), room.path("x.png"), keys=room.keys, ledger=other)
    return "x.png"


def entry_made_to_fit(room: Room, rng: np.random.Generator) -> str:
    """An edited file without its manifest, and its hash written over the entry's."""
    from hashlib import sha256

    path = room.folder / "ledger" / "entries.jsonl"
    before, name = sha256(room.bytes("0.png")).hexdigest(), saved_as_png(room, rng)
    after = sha256(room.bytes(name)).hexdigest()
    path.write_bytes(path.read_bytes().replace(before.encode(), after.encode()))
    return name


def history_cut(room: Room, rng: np.random.Generator) -> str:
    """The ledger begun anew by its owner: only the checkpoint kept elsewhere tells."""
    for name in ("entries.jsonl", "checkpoint.json"):
        (room.folder / "ledger" / name).unlink()
    again = Ledger(room.folder / "ledger", room.keys.ledger)
    release_image(room.pictures[2], facts(9), room.path("x.png"), keys=room.keys, ledger=again)
    return "x.png"


Case = Callable[[Room, np.random.Generator], str]
CASES: dict[str, dict[str, Case]] = {
    "strip": {
        "manifest removed": manifest_removed, "saved again as PNG": saved_as_png,
        "saved again as JPEG": saved_as_jpeg, "JPEG saved again": jpeg_saved_again,
        "WebP saved again": webp_saved_again, "sidecar removed": sidecar_removed,
        "remote manifest": remote_manifest,
    },
    "lie": {
        "one pixel": one_pixel, "a region": a_region, "other words": other_words,
        "words added": words_added, "other record": other_record, "JPEG comment": jpeg_comment,
        "bytes appended": bytes_appended, "signature changed": signature_bit,
        "assertion changed": assertion_bit, "splice: another's manifest": manifest_of_another,
        "another's record": record_of_another, "transfer: all claims": claims_on_an_innocent,
        "transfer: the record": record_on_an_innocent, "another's sidecar": sidecar_of_another,
        "from a camera": from_a_camera, "another number": another_number,
        "never logged": never_logged, "of another history": of_another_history,
        "entry made to fit": entry_made_to_fit, "history begun anew": history_cut,
    },
    "foreign": {
        "same names": same_names, "same names, innocent picture": same_names_on_an_innocent,
        "our root in their chain": our_root_in_their_chain,
        "ours as their source": ours_as_their_source,
    },
    "doubt": {"invented assertion": invented_assertion, "no disclosure": no_disclosure},
    "graft": {"mark lifted": mark_lifted, "mark estimated": mark_estimated},
    "unreadable": {"cut in half": cut_in_half, "JPEG cut": jpeg_cut},
}  # fmt: skip
