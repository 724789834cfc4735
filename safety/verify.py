"""What a file tells about itself, read from the file and the keys alone."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from safety import luma
from safety.agreement import agreement, contradictions
from safety.brightness import Compared, compare
from safety.cells import find_anyhow
from safety.content_credentials import CredentialsFound, read_credentials
from safety.crops import find_crop
from safety.ledger import Checkpoint, Ledger, LedgerError
from safety.manifest_store import ManifestStore
from safety.metadata import Facts, Metadata, read_metadata
from safety.orientation import AS_IT_LIES, Orientation
from safety.parts import Part, parts
from safety.pdq import distance
from safety.pictures import BadPicture, file_bytes, load_picture
from safety.release import commitment, perceptual_hash
from safety.shading import Shaded
from safety.told import summary
from safety.watermark import PRESENT, Mark, MarkResult

LARGEST_SIDECAR = 4_000_000  # bytes
Where = Literal["file", "sidecar", "store"]
LedgerState = Literal["sealed", "other bytes", "other picture", "missing", "broken", "not asked"]


@dataclass(frozen=True)
class LedgerFound:
    """What the ledger has of a file.

    "sealed": an entry with the file's very hash, under the signed root. "other bytes": the entry
    that the mark or the record names is of another file of the same picture, as after re-encoding.
    "other picture": it is of another picture, as when the ledger is another run's.
    """

    state: LedgerState
    index: int | None = None
    commitment: bool | None = None  # whether the facts in the file open the entry's commitment
    problems: tuple[str, ...] = ()
    bits: int | None = None  # of 256 in which the PDQ hash is another than the entry's


@dataclass(frozen=True)
class Recovered:
    """The manifest of a picture that came without one, from the store, and how well it fits.

    `by` says how it was found: by the mark's payload, or by looks alone. `credentials` is what the
    manifest says; of its signature only the part that needs no bytes of the file can hold.
    """

    by: Literal["mark", "looks"]
    signed: bool  # under a pinned root
    credentials: CredentialsFound
    compared: Compared
    released: str  # SHA-256 of the file that it was released with, hex
    lies: Orientation = AS_IT_LIES  # beyond what a mark told, where looks alone found it


@dataclass(frozen=True)
class Verification:
    """Everything found in a file, and whether it agrees.

    `agrees`: mark, record, trusted credentials and ledger name one index, and nothing that is
    there is broken; None when fewer than two of them name an index. `contradictions` says what does
    not fit. `manifest` says where the credentials were: in the file or beside it. `compared` is the
    picture against the map of brightness in its manifest. `drawn` is what the key finds of a mark
    that generation was guided towards. `parts` are those of pictures with different numbers that
    were put together, looked for where no trusted manifest says what was done. `lies` is how the
    picture was mirrored or turned since, as far as a mark or the store's looks tell: it is compared
    with what was released the right way round, and boxes are those of the file as it is.
    """

    file: str  # its name, without folders
    format: str
    width: int
    height: int
    sha256: str
    mark: MarkResult
    drawn: Shaded
    metadata: Metadata
    credentials: CredentialsFound
    ledger: LedgerFound
    agrees: bool | None
    summary: tuple[str, ...]
    manifest: Where = "file"
    compared: Compared | None = None
    recovered: Recovered | None = None
    contradictions: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    lies: Orientation = AS_IT_LIES

    def to_json(self) -> dict[str, object]:
        """As plain dicts, lists and values for a JSON file."""
        return {**asdict(self)}


def verify_file(
    path: Path | str,
    key: bytes,
    anchors: bytes | None = None,
    ledger: Ledger | None = None,
    checkpoint: Checkpoint | None = None,
    store: ManifestStore | None = None,
) -> Verification:
    """Look for mark, metadata, Content Credentials and ledger entry of an image file.

    `key` is the watermark key, `anchors` the root certificates to trust (PEM), `checkpoint` one
    of the ledger that was kept elsewhere, `store` where a stripped file's manifest may be found.
    Any image that Pillow reads will do; after re-encoding the mark alone is left. Raises
    ValueError for a file that can't be read as an image.
    """
    path = Path(path)
    try:
        data = file_bytes(path)
    except BadPicture as error:
        raise _unreadable(str(path), error) from None
    return verify_bytes(data, str(path), key, anchors, ledger, checkpoint, store, _beside(path))


def _unreadable(name: str, error: BadPicture) -> ValueError:
    return ValueError(
        f"{name} can't be read as an image ({error}); expected a whole PNG, JPEG or WebP file"
    )


def verify_bytes(
    data: bytes,
    name: str,
    key: bytes,
    anchors: bytes | None = None,
    ledger: Ledger | None = None,
    checkpoint: Checkpoint | None = None,
    store: ManifestStore | None = None,
    sidecar: bytes | None = None,
) -> Verification:
    """`verify_file` for a file's bytes under a name, as an upload comes; `sidecar` is a manifest.

    Raises ValueError for bytes that can't be read as an image.
    """
    try:
        image = load_picture(data)
        pixels = np.asarray(image.convert("RGB"))
    except BadPicture as error:
        raise _unreadable(name, error) from None
    metadata = read_metadata(image)
    mime = Image.MIME.get(image.format or "", "application/octet-stream")
    credentials, where = _credentials(data, mime, anchors, sidecar)
    mark = Mark(key).detect(pixels, anyhow=True)
    drawn, drawn_lies = find_anyhow(pixels, key)
    marked = mark.verdict == "present" or drawn.p_value < PRESENT
    lies = mark.lies if mark.verdict == "present" else drawn_lies if marked else AS_IT_LIES
    right = lies.undo(pixels)
    digest = sha256(data).hexdigest()
    small = min(pixels.shape[:2]) < luma.SMALLEST
    fingerprint = "" if small else luma.fingerprint(right).hex()
    logged = _look_up(digest, fingerprint, mark, metadata, ledger, checkpoint)
    compared = None
    if credentials.map is not None and len(credentials.map) == 512:
        map_ = bytes.fromhex(credentials.map)
        compared = _or_cropped(compare(map_, right), map_, right)
    recovered = None
    if credentials.state == "none" and store is not None:
        recovered = _recover(data, mime, right, mark, marked, anchors, store)
        lies = lies if marked or recovered is None else recovered.lies
    if ledger is not None and logged.index is not None and logged.state != "broken":
        entry = ledger.entry(logged.index) or {}
        logged = replace(logged, bits=_bits(str(entry.get("pdq")), right))
    layers = (mark, metadata, credentials, logged)
    found = Verification(
        Path(name).name, image.format or "", image.width, image.height, digest, mark,
        drawn, metadata, credentials, logged, agreement(*layers), (),
        where, compared, recovered, contradictions(*layers),
        () if credentials.state == "trusted" else parts(right, key), lies,
    )  # fmt: skip
    found = _placed(found)
    return replace(found, summary=summary(found))


def _placed(found: Verification) -> Verification:
    """With the boxes of the picture the right way round where they lie in the file as it is."""

    def moved(fit: Compared | None) -> Compared | None:
        if fit is None or fit.where is None:
            return fit
        return replace(fit, where=found.lies.box(fit.where))

    back = found.recovered
    return replace(
        found,
        compared=moved(found.compared),
        recovered=back and replace(back, compared=moved(back.compared) or back.compared),
        parts=tuple(replace(one, where=found.lies.box(one.where)) for one in found.parts),
    )


def _bits(hash_: str, pixels: np.ndarray) -> int | None:
    """How many bits of an entry's perceptual hash the picture's own differs in."""
    whole = re.fullmatch("[0-9a-f]{64}", hash_) is not None
    return distance(hash_, perceptual_hash(pixels)) if whole else None


def _beside(path: Path) -> bytes | None:
    """The manifest in a `NAME.png.c2pa` beside a file; of one that is too large, the beginning."""
    beside = path.with_name(f"{path.name}.c2pa")
    if not beside.is_file():
        return None
    with open(beside, "rb") as file:
        return file.read(LARGEST_SIDECAR + 1)


def _credentials(
    data: bytes, mime: str, anchors: bytes | None, sidecar: bytes | None
) -> tuple[CredentialsFound, Where]:
    """Those in the file, or, where it has none, those of the manifest beside it."""
    found = read_credentials(data, mime, anchors)
    if found.state != "none" or sidecar is None:
        return found, "file"
    if len(sidecar) > LARGEST_SIDECAR:
        return CredentialsFound("invalid", ("the manifest beside it is too large",)), "sidecar"
    return read_credentials(data, mime, anchors, sidecar), "sidecar"


def _recover(
    data: bytes, mime: str, right: np.ndarray, mark: MarkResult, marked: bool,
    anchors: bytes | None, store: ManifestStore,
) -> Recovered | None:  # fmt: skip
    """The manifest that the store has for this picture, unless nothing points to one.

    `right` are its pixels the right way round, as far as a mark tells; without one, looks may.
    """
    lies = AS_IT_LIES
    if mark.payload is not None:
        pair = store.find(right, mark.payload)
        if pair is not None:
            pair = pair[0], _or_cropped(pair[1], bytes.fromhex(pair[0].map), right)
    elif found := store.find_by_looks(right, anyhow=not marked):
        *pair, lies = found
    else:
        pair = store.find_crop(right)
    manifest = store.manifest(pair[0].manifest) if pair else None
    if pair is None or manifest is None:
        return None
    said = read_credentials(data, mime, anchors, manifest)
    # All but the bytes must hold: with other bytes, the hash alone may fail.
    signed = said.state == "trusted" or said.problems == ("assertion.dataHash.mismatch",)
    if not signed or (mark.payload is not None and said.payload != mark.payload):
        return None
    by = "looks" if mark.payload is None else "mark"
    return Recovered(by, signed, said, pair[1], pair[0].sha256, lies)


def _or_cropped(fit: Compared, map_: bytes, pixels: np.ndarray) -> Compared:
    """How a picture fits a map, as a part of the map's picture where it does not as a whole."""
    if fit.kind != "inconclusive":
        return fit
    found = find_crop(np.frombuffer(map_, np.uint8)[None], pixels)
    return found[1] if found else fit


def _look_up(
    digest: str, fingerprint: str, mark: MarkResult, metadata: Metadata, ledger: Ledger | None,
    checkpoint: Checkpoint | None,
) -> LedgerFound:  # fmt: skip
    if ledger is None:
        return LedgerFound("not asked")
    report = ledger.verify(checkpoint)
    if not report.ok:
        return LedgerFound("broken", None, None, report.problems)
    try:
        return _find(digest, fingerprint, mark, metadata, ledger)
    except LedgerError as error:
        return LedgerFound("broken", None, None, (str(error),))


def _find(
    digest: str, fingerprint: str, mark: MarkResult, metadata: Metadata, ledger: Ledger
) -> LedgerFound:
    """The entry with this hash among those named, else the one named, else none."""
    named = [index for index in (mark.payload, metadata.index) if index is not None]
    for index in dict.fromkeys(named):
        entry = ledger.entry(index)
        if entry is not None and entry.get("sha256") == digest:
            opened = _opens(metadata, entry)
            if not ledger.includes(index):
                return LedgerFound("broken", index, opened, ("no signed root covers the entry",))
            return LedgerFound("sealed", index, opened)
    for index in named:
        entry = ledger.entry(index)
        if entry is not None and entry.get("kind") == "release":
            same = luma.alike(str(entry.get("fingerprint")), fingerprint)
            state = "other bytes" if same else "other picture"
            return LedgerFound(state, index, _opens(metadata, entry))
    return LedgerFound("missing", None, None)


def _opens(metadata: Metadata, entry: dict[str, object]) -> bool | None:
    """Whether facts and salt in the file are those committed to; None without them."""
    record = metadata.record or {}
    facts, salt = record.get("facts"), record.get("salt")
    if not isinstance(facts, dict) or not isinstance(salt, str):
        return None
    try:
        return commitment(Facts.from_json(facts), bytes.fromhex(salt)) == entry.get("commitment")
    except ValueError:
        return False
