"""What a file tells about itself, read from the file and the keys alone."""

from __future__ import annotations

import io
import warnings
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from safety import luma
from safety.content_credentials import CredentialsFound, read_credentials
from safety.ledger import Checkpoint, Ledger, LedgerError
from safety.metadata import Facts, Metadata, read_metadata
from safety.release import commitment
from safety.watermark import Mark, MarkResult

LARGEST = 100_000_000  # pixels
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


@dataclass(frozen=True)
class Verification:
    """Everything found in a file, and whether it agrees.

    `agrees`: mark, record, trusted credentials and ledger name one index, and nothing that is
    there is broken; None when fewer than two of them name an index.
    """

    file: str  # its name, without folders
    format: str
    width: int
    height: int
    sha256: str
    mark: MarkResult
    metadata: Metadata
    credentials: CredentialsFound
    ledger: LedgerFound
    agrees: bool | None
    summary: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As plain dicts, lists and values for a JSON file."""
        return {**asdict(self)}


def verify_file(
    path: Path | str,
    key: bytes,
    anchors: bytes | None = None,
    ledger: Ledger | None = None,
    checkpoint: Checkpoint | None = None,
) -> Verification:
    """Look for mark, metadata, Content Credentials and ledger entry of an image file.

    `key` is the watermark key, `anchors` the root certificates to trust (PEM), `checkpoint` one
    of the ledger that was kept elsewhere. Any image that Pillow reads will do; after re-encoding
    the mark alone is left. Raises ValueError for a file that can't be read as an image.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror}); give an image file") from None
    image, pixels = _open(data, path)
    metadata = read_metadata(image)
    mime = Image.MIME.get(image.format or "", "application/octet-stream")
    credentials = read_credentials(data, mime, anchors)
    mark = Mark(key).detect(pixels)
    digest = sha256(data).hexdigest()
    small = min(pixels.shape[:2]) < luma.SMALLEST
    fingerprint = "" if small else luma.fingerprint(luma.blocks(pixels)).hex()
    logged = _look_up(digest, fingerprint, mark, metadata, ledger, checkpoint)
    agrees = _agreement(mark, metadata, credentials, logged)
    return Verification(
        path.name, image.format or "", image.width, image.height, digest, mark, metadata,
        credentials, logged, agrees, _summary(mark, metadata, credentials, logged, agrees),
    )  # fmt: skip


def _open(data: bytes, path: Path) -> tuple[Image.Image, np.ndarray]:
    """The image with its chunks read, and its pixels as (h, w, 3) uint8."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged file may warn before it fails
            image = Image.open(io.BytesIO(data))
            if image.width * image.height > LARGEST:
                raise ValueError(f"{image.width}x{image.height} pixels")
            image.load()
            return image, np.asarray(image.convert("RGB"))
    except Exception as error:
        said = "no image format is recognised" if "cannot identify" in str(error) else error
        raise ValueError(
            f"{path} can't be read as an image ({said}); expected a whole PNG or JPEG file"
        ) from None


def _agreement(
    mark: MarkResult, metadata: Metadata, credentials: CredentialsFound, logged: LedgerFound
) -> bool | None:
    """Whether what is there tells one story; see `Verification`."""
    named = [mark.payload, metadata.index]
    claims_entry = any(index is not None for index in named)
    if (
        metadata.problem is not None
        or credentials.state == "invalid"
        or logged.state in ("broken", "other picture")
        or logged.commitment is False
        or (logged.state == "missing" and claims_entry)
    ):
        return False
    named += [credentials.payload if credentials.state == "trusted" else None, logged.index]
    stated = [index for index in named if index is not None]
    return len(set(stated)) == 1 if len(stated) > 1 else None


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
            same = entry.get("fingerprint") == fingerprint
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


def _summary(
    mark: MarkResult, metadata: Metadata, credentials: CredentialsFound, ledger: LedgerFound,
    agrees: bool | None,
) -> tuple[str, ...]:  # fmt: skip
    """One line a layer, in words."""
    carried = f", index {mark.payload}" if mark.payload is not None else ""
    record = "none of ours" if metadata.record is None else f"ours, index {metadata.index}"
    trust = {
        "trusted": "signed under a pinned root, and unchanged since",
        "untrusted": "signed by nobody that is pinned here: this proves nothing",
        "invalid": "broken: the file was changed after signing, or the manifest is damaged",
        "none": "none in the file",
    }
    logged = {
        "sealed": f"entry {ledger.index} has this very file",
        "other bytes": f"entry {ledger.index} has this picture in other bytes (re-encoded)",
        "other picture": f"entry {ledger.index} is of another picture",
        "missing": "no entry for this file",
        "broken": "the ledger itself does not hold",
        "not asked": "not looked at",
    }
    whole = {True: "yes", False: "no: do not rely on this file", None: "too little to compare"}
    problems = "".join(f"; {text}" for text in ledger.problems)
    return (
        f"watermark: {mark.verdict} (p = {mark.p_value:.2g}{carried})",
        f"metadata: {metadata.problem or record}",
        f"credentials: {trust[credentials.state]}",
        f"ledger: {logged[ledger.state]}{problems}",
        f"agreement: {whole[agrees]}",
    )
