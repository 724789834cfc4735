"""The way out for an image: mark, metadata, signature, ledger entry, file, in this order.

Whatever is written after the signature breaks it, and the mark must carry the ledger's index; so
the index is held first (other writers wait), the file is made whole beside its place, and only
then the entry is written and the file renamed. An interruption before the entry leaves no entry
and no file, and the index goes to the next image. One between entry and rename leaves a true
entry (these bytes were sealed under this index) and the sealed file under its temporary name;
`finish_releases` puts it in place.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from safety import luma
from safety.brightness import brightness_map
from safety.content_credentials import Source, Statement, read_credentials, sign_image
from safety.files import write_whole
from safety.keys import Keys
from safety.ledger import Ledger, canonical, commit, new_salt
from safety.manifest_store import ManifestStore
from safety.metadata import MIMES, Facts, write_image
from safety.pdq import pdq
from safety.watermark import Mark, check_pixels


@dataclass(frozen=True)
class Released:
    """A file that is out, and where the ledger has it."""

    path: Path
    ledger_index: int
    watermark_payload: int  # the same number, in the pixels
    sha256: str  # of the file


@dataclass(frozen=True)
class Sealed:
    """A file's bytes, its manifest by itself, its map of brightness and the ledger's entry."""

    data: bytes
    manifest: bytes
    map: bytes
    entry: dict[str, object]


def release_image(
    image: np.ndarray,
    facts: Facts,
    path: Path | str,
    *,
    keys: Keys,
    ledger: Ledger,
    sources: tuple[Source, ...] = (),
    sidecar: bool = False,
    store: ManifestStore | None = None,
) -> Released:
    """Release (h, w, 3) uint8 pixels as a marked, signed and logged file at `path`.

    The path's ending says which: .png, .jpg or .webp. `sources` are what it was made from. With
    `sidecar` the manifest goes into a file beside it (`NAME.png.c2pa`); `store` keeps a copy of
    the manifest. The ledger must be signed with `keys.ledger`. The file is read back before it is
    logged. Raises ValueError for pixels that can't carry a mark and for another ending.
    """
    image, path = check_pixels(image), Path(path)
    mime = MIMES.get(path.suffix.lower())
    if mime is None:
        raise ValueError(f"{path} does not end in {', '.join(MIMES)}; name such a file")
    if ledger.public != keys.ledger_public:
        raise ValueError(f"the ledger in {ledger.folder} is not signed with the keys given")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    beside = path.with_name(f"{path.name}.c2pa")
    with ledger.reserve() as slot:
        made = seal(image, facts, slot.index, keys, mime, sources, embed=not sidecar)
        digest = str(made.entry["sha256"])
        try:
            _write(part, made.data)
            if sidecar:
                write_whole(beside, made.manifest)
            if store is not None:
                store.put(made.manifest, slot.index, made.map, digest, keys.ledger_public)
            slot.commit(made.entry)
            os.replace(part, path)
        except BaseException:
            if not slot.written:
                part.unlink(missing_ok=True)
                if sidecar:
                    beside.unlink(missing_ok=True)
            raise
    return Released(path, slot.index, slot.index, digest)


def seal(
    image: np.ndarray,
    facts: Facts,
    index: int,
    keys: Keys,
    mime: str = "image/png",
    sources: tuple[Source, ...] = (),
    embed: bool = True,
) -> Sealed:
    """The file, its manifest and entry for an image under `index`, read back and checked."""
    mark, salt = Mark(keys.watermark), new_salt()
    marked = mark.embed(image, index)
    plain = write_image(marked, facts, index, salt, keys.ledger_public, mime)
    with Image.open(io.BytesIO(plain)) as opened:
        marked = np.asarray(opened.convert("RGB"))  # JPEG's own pixels
    statement = Statement(
        index, facts.version, facts.model, facts.model_hash, brightness_map(marked),
        keys.ledger_public, sources,
    )  # fmt: skip
    made = sign_image(plain, mime, keys.credentials, statement, embed)
    data = made.data
    with Image.open(io.BytesIO(data)) as opened:
        seen = mark.detect(np.asarray(opened.convert("RGB")))
    signed = read_credentials(data, mime, keys.anchors, None if embed else made.manifest)
    if seen.payload != index or signed.state != "trusted":
        raise ValueError(
            f"the sealed image does not read back (mark {seen.verdict}, credentials "
            f"{signed.state} {', '.join(signed.problems)}); check the certificate in {keys.folder}"
        )
    entry: dict[str, object] = {
        "kind": "release",
        "sha256": sha256(data).hexdigest(),
        "commitment": commitment(facts, salt),
        "fingerprint": luma.fingerprint(marked).hex(),
        "pdq": perceptual_hash(marked),
        "pipeline": facts.pipeline,
        "model": facts.model,
        "model_hash": facts.model_hash,
        "watermark_payload": index,
        "manifest": sha256(made.manifest).hexdigest(),
    }
    return Sealed(data, made.manifest, statement.map, entry)


def perceptual_hash(image: np.ndarray) -> str:
    """PDQ of (h, w, 3) uint8 pixels, 64 hex digits; small pictures are enlarged to 256 pixels.

    Without that, a resize of a picture of 64 pixels would move as many bits as another picture.
    """
    times = 256 / min(image.shape[:2])
    if times > 1:
        size = (round(image.shape[1] * times), round(image.shape[0] * times))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))
    return pdq(image)


def commitment(facts: Facts, salt: bytes) -> str:
    """What the ledger keeps of the facts, the prompt among them."""
    return commit(canonical(facts.to_json()).decode(), salt)


def finish_releases(folder: Path | str, ledger: Ledger) -> list[Released]:
    """After an interruption: put sealed and logged files in their place, delete unlogged ones."""
    done = []
    with ledger.reserve():
        logged = {entry.get("sha256"): index for index, entry in enumerate(ledger.entries())}
        for part in sorted(Path(folder).glob(".*.part")):
            if Path(part.stem).suffix.lower() not in MIMES:
                continue
            digest = sha256(part.read_bytes()).hexdigest()
            if digest in logged:
                path = part.with_name(part.name[1 : -len(".part")])
                os.replace(part, path)
                done.append(Released(path, logged[digest], logged[digest], digest))
            else:
                part.unlink()
    return done


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
