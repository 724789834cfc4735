"""What an image file says about itself: a `parameters` text that other tools read, and our JSON.

`parameters` (PNG: tEXt, or iTXt beyond Latin-1; JPEG and WebP: EXIF's UserComment) has the form of
the AUTOMATIC1111 web UI. `pellucid` (PNG: iTXt; else EXIF's MakerNote) is one JSON object. Both
say how the picture was made and nobody's name, host or folder: only the fields of `Facts` can get
in. Metadata are claims, lost by any re-encoding; the signature over them is
`safety.content_credentials`' business.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass, field, fields

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from safety.files import parse_json

FORMAT = "pellucid-image/1"
GENERATOR = "Pellucid"
MIMES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
EXIF_IFD, USER_COMMENT, MAKER_NOTE = 0x8769, 0x9286, 0x927C


@dataclass(frozen=True)
class Facts:
    """How an image was made. `edits` are (direction's name, strength in sigmas) pairs.

    Of a model or direction that is named by its place on disk, only the last part is kept: a
    folder's name may be a person's.
    """

    prompt: str
    seed: int
    pipeline: str
    model: str
    model_hash: str = ""
    version: str = ""  # of Pellucid
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    edits: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        # numpy's numbers would not go into JSON.
        object.__setattr__(self, "seed", int(self.seed))
        edits = tuple((_bare(str(name)), float(strength)) for name, strength in self.edits)
        object.__setattr__(self, "edits", edits)
        for name in ("model", "pipeline", "sampler"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else _bare(str(value)))

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "edits": [list(edit) for edit in self.edits]}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> Facts:
        """Raises ValueError for missing or wrong fields; unknown ones are left out."""
        try:
            known = {one.name: data[one.name] for one in fields(cls) if one.name in data}
            edits = known.get("edits", [])
            assert isinstance(edits, list)
            known["edits"] = tuple((str(name), float(strength)) for name, strength in edits)
            made = cls(**known)  # type: ignore[arg-type]
        except (TypeError, ValueError, AssertionError):
            raise ValueError("the facts in the image's own record are incomplete") from None
        return made


@dataclass(frozen=True)
class Metadata:
    """What was found: `parameters` as text, `record` as the JSON object, and what is wrong."""

    parameters: str | None = None
    record: dict[str, object] | None = None
    problem: str | None = None

    @property
    def index(self) -> int | None:
        """The ledger index that the record states."""
        value = (self.record or {}).get("ledger_index")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def to_json(self) -> dict[str, object]:
        return {**asdict(self)}


def _bare(name: str) -> str:
    """A name without the folders before it; `owner/model`, as hubs write it, stays whole."""
    parts = [part for part in re.split(r"[/\\\\]", name) if part]
    placed = len(parts) > 2 or re.match(r"([/\\\\~.]|[A-Za-z]:)", name) or "\\" in name
    return parts[-1] if placed and parts else name


def _line(text: str) -> str:
    """Text without control characters, on one line."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text).strip()


def _quoted(value: object) -> str:
    """A value as the web UI writes it: in JSON quotes where it has a comma, colon or newline."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n\"]", text) else text


def parameters_text(facts: Facts, width: int, height: int) -> str:
    """The prompt on one line, then `Steps: .., Seed: ..` as AUTOMATIC1111's readers expect."""
    settings: list[tuple[str, object | None]] = [
        ("Steps", facts.steps),
        ("Sampler", facts.sampler),
        ("CFG scale", facts.guidance),
        ("Seed", facts.seed),
        ("Size", f"{width}x{height}"),
        ("Model hash", facts.model_hash[:12] or None),
        ("Model", facts.model),
        ("Pipeline", facts.pipeline),
        ("Edits", "; ".join(f"{name} {strength:+g}" for name, strength in facts.edits) or None),
        ("Version", f"{GENERATOR} {facts.version}".strip()),
    ]
    known = ", ".join(
        f"{name}: {_quoted(_line(str(value)))}" for name, value in settings if value is not None
    )
    return f"{_line(facts.prompt)}\n{known}"


def _record(facts: Facts, ledger_index: int, salt: bytes, ledger: str) -> str:
    """Our JSON object. The salt opens the ledger's commitment to the facts for whoever has it."""
    record = {
        "format": FORMAT,
        "facts": facts.to_json(),
        "ledger": ledger,
        "ledger_index": ledger_index,
        "salt": salt.hex(),
        "watermark": "pellucid mark 2",
    }
    # ASCII keeps half a surrogate pair, which a prompt may hold, as an escape.
    return json.dumps(record, sort_keys=True, ensure_ascii=True)


def write_image(
    image: np.ndarray,
    facts: Facts,
    ledger_index: int,
    salt: bytes,
    ledger: str = "",
    mime: str = "image/png",
) -> bytes:
    """(h, w, 3) uint8 pixels as a file's bytes, both texts in it; `ledger` is its public key, hex.

    PNG and WebP keep the pixels; JPEG has quality 95 and full colour.
    """
    height, width = image.shape[:2]
    text = parameters_text(facts, width, height).encode("utf-8", "replace").decode("utf-8")
    record, file = _record(facts, ledger_index, salt, ledger), io.BytesIO()
    picture = Image.fromarray(image)
    if mime == "image/png":
        chunks = PngInfo()
        chunks.add_text("parameters", text)
        chunks.add_itxt("pellucid", record)
        picture.save(file, "PNG", pnginfo=chunks, optimize=True)
        return file.getvalue()
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be", "replace")
    exif.get_ifd(EXIF_IFD)[MAKER_NOTE] = record.encode("ascii")
    if mime == "image/jpeg":
        picture.save(file, "JPEG", quality=95, subsampling=0, exif=exif)
    elif mime == "image/webp":
        picture.save(file, "WEBP", lossless=True, exact=True, exif=exif)
    else:
        raise ValueError(f"{mime} is no type of file to release; it is one of {', '.join(MIMES)}")
    return file.getvalue()


def read_metadata(image: Image.Image) -> Metadata:
    """Both texts of an opened image; an image without them gives an empty answer."""
    image.load()
    info = {key: str(value) for key, value in image.info.items() if isinstance(value, str)}
    if image.format in ("JPEG", "WEBP"):
        info |= _exif(image)
    parameters = info.get("parameters")
    if "pellucid" not in info:
        return Metadata(parameters)
    try:
        record = parse_json(info["pellucid"])
    except ValueError:
        return Metadata(parameters, None, "the pellucid chunk is no JSON")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return Metadata(parameters, None, f"the pellucid chunk is not of format {FORMAT}")
    return Metadata(parameters, record)


def _exif(image: Image.Image) -> dict[str, str]:
    """Our two texts in a JPEG or WebP file; whatever can't be read is not there."""
    found = {}
    try:
        tags = image.getexif().get_ifd(EXIF_IFD)
        comment, note = tags.get(USER_COMMENT), tags.get(MAKER_NOTE)
    except Exception:  # Pillow raises many kinds on damaged EXIF
        return {}
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        found["parameters"] = comment[8:].decode("utf-16-be", "replace")
    if isinstance(note, bytes) and note.startswith(b"{"):
        found["pellucid"] = note.decode("utf-8", "replace")
    return found


@dataclass(frozen=True)
class Parameters:
    """A `parameters` text taken apart."""

    prompt: str
    negative: str = ""
    settings: dict[str, str] = field(default_factory=dict)


# The web UI's own expression (modules/infotext_utils.py).
_SETTING = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


def read_parameters(text: str) -> Parameters:
    """Read a `parameters` text, ours or another tool's."""
    *head, last = text.strip().split("\n")
    found = _SETTING.findall(last)
    if len(found) < 3:  # the web UI's own rule for "this line is no settings"
        head, found = [*head, last], []
    prompt, _, negative = "\n".join(head).partition("Negative prompt:")
    settings = {}
    for name, value in found:
        if value.startswith('"') and value.endswith('"'):
            try:
                value = json.loads(value)
            except ValueError:
                value = value[1:-1]
        settings[name] = value
    return Parameters(prompt.strip(), negative.strip(), settings)
