"""What a PNG says about itself: a `parameters` text that other tools read, and our JSON chunk.

`parameters` (tEXt, or iTXt beyond Latin-1) has the form of the AUTOMATIC1111 web UI. `pellucid`
(iTXt) is one JSON object. Both say how the picture was made and nobody's name, host or folder:
only the fields of `Facts` can get in. Metadata are claims, lost by any re-encoding; the signature
over them is `safety.content_credentials`' business.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import asdict, dataclass, field, fields

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FORMAT = "pellucid-image/1"
GENERATOR = "Pellucid"


@dataclass(frozen=True)
class Facts:
    """How an image was made. `edits` are (direction's name, strength in sigmas) pairs."""

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
        edits = tuple((str(name), float(strength)) for name, strength in self.edits)
        object.__setattr__(self, "edits", edits)

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


def write_png(
    image: np.ndarray, facts: Facts, ledger_index: int, salt: bytes, ledger: str = ""
) -> bytes:
    """(h, w, 3) uint8 pixels as PNG bytes with both chunks; `ledger` is its public key in hex.

    The salt opens the ledger's commitment to these facts for whoever has the image.
    """
    record = {
        "format": FORMAT,
        "facts": facts.to_json(),
        "ledger": ledger,
        "ledger_index": ledger_index,
        "salt": salt.hex(),
        "watermark": "pellucid mark 1",
    }
    chunks = PngInfo()
    height, width = image.shape[:2]
    text = parameters_text(facts, width, height).encode("utf-8", "replace").decode("utf-8")
    chunks.add_text("parameters", text)
    # ensure_ascii keeps half a surrogate pair, which a prompt may hold, as an escape.
    chunks.add_itxt("pellucid", json.dumps(record, sort_keys=True, ensure_ascii=True))
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", pnginfo=chunks, optimize=True)
    return file.getvalue()


def read_metadata(image: Image.Image) -> Metadata:
    """Both chunks of an opened image; an image without them, or no PNG, gives an empty answer."""
    image.load()
    info = {key: str(value) for key, value in image.info.items() if isinstance(value, str)}
    parameters = info.get("parameters")
    if "pellucid" not in info:
        return Metadata(parameters)
    try:
        record = json.loads(info["pellucid"])
    except ValueError:
        return Metadata(parameters, None, "the pellucid chunk is no JSON")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return Metadata(parameters, None, f"the pellucid chunk is not of format {FORMAT}")
    return Metadata(parameters, record)


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
