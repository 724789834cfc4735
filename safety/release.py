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
from safety.content_credentials import read_credentials, sign_png
from safety.keys import Keys
from safety.ledger import Ledger, canonical, commit, new_salt
from safety.metadata import Facts, write_png
from safety.watermark import Mark, check_pixels


@dataclass(frozen=True)
class Released:
    """A file that is out, and where the ledger has it."""

    path: Path
    ledger_index: int
    watermark_payload: int  # the same number, in the pixels
    sha256: str  # of the file


def release_image(
    image: np.ndarray, facts: Facts, path: Path | str, *, keys: Keys, ledger: Ledger
) -> Released:
    """Release (h, w, 3) uint8 pixels as a marked, signed and logged PNG at `path`.

    The ledger must be signed with `keys.ledger`. The file is read back before it is logged.
    Raises ValueError for pixels that can't carry a mark and for a path that is no .png.
    """
    image, path = check_pixels(image), Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} does not end in .png; released images are PNG files")
    if ledger.public != keys.ledger_public:
        raise ValueError(f"the ledger in {ledger.folder} is not signed with the keys given")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with ledger.reserve() as slot:
        data, entry = seal(image, facts, slot.index, keys)
        try:
            _write(part, data)
            slot.commit(entry)
            os.replace(part, path)
        except BaseException:
            if not slot.written:
                part.unlink(missing_ok=True)
            raise
    return Released(path, slot.index, slot.index, str(entry["sha256"]))


def seal(
    image: np.ndarray, facts: Facts, index: int, keys: Keys
) -> tuple[bytes, dict[str, object]]:
    """The file's bytes and the ledger's entry for an image under `index`, read back and checked."""
    mark, salt = Mark(keys.watermark), new_salt()
    marked = mark.embed(image, index)
    png = write_png(marked, facts, index, salt, keys.ledger_public)
    data = sign_png(png, keys.credentials, index, facts.version)
    with Image.open(io.BytesIO(data)) as opened:
        seen = mark.detect(np.asarray(opened.convert("RGB")))
    signed = read_credentials(data, anchors=keys.anchors)
    if seen.payload != index or signed.state != "trusted":
        raise ValueError(
            f"the sealed image does not read back (mark {seen.verdict}, credentials "
            f"{signed.state} {', '.join(signed.problems)}); check the certificate in {keys.folder}"
        )
    entry: dict[str, object] = {
        "kind": "release",
        "sha256": sha256(data).hexdigest(),
        "commitment": commitment(facts, salt),
        "fingerprint": luma.fingerprint(luma.blocks(marked)).hex(),
        "pipeline": facts.pipeline,
        "model": facts.model,
        "model_hash": facts.model_hash,
        "watermark_payload": index,
    }
    return data, entry


def commitment(facts: Facts, salt: bytes) -> str:
    """What the ledger keeps of the facts, the prompt among them."""
    return commit(canonical(facts.to_json()).decode(), salt)


def finish_releases(folder: Path | str, ledger: Ledger) -> list[Released]:
    """After an interruption: put sealed and logged files in their place, delete unlogged ones."""
    done = []
    with ledger.reserve():
        logged = {entry.get("sha256"): index for index, entry in enumerate(ledger.entries())}
        for part in sorted(Path(folder).glob(".*.png.part")):
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
