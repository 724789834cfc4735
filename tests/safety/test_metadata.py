"""PNG metadata: other tools read the parameters, ours come back, nobody is revealed."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from safety.metadata import Facts, parameters_text, read_metadata, read_parameters, write_image

FACTS = Facts(
    "a smiling doctor, with glasses: blue", 7, "stable-diffusion", "sd, small", "ab" * 32, "0.1.0",
    20, "DDIM", 5.5, (("glasses", 2.0), ("beard", -1.5)),
)  # fmt: skip
PIXELS = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def chunks(png: bytes) -> list[tuple[str, bytes]]:
    """A PNG taken apart by hand, CRCs checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert zlib.crc32(body) == struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0]
        found.append((body[:4].decode(), body[4:]))
        at += 12 + length
    return found


def test_chunks_by_hand_and_pixels_unchanged() -> None:
    png = write_image(PIXELS, FACTS, 12, b"s" * 32)
    assert (np.asarray(opened(png)) == PIXELS).all()
    found = chunks(png)
    text = dict(body.split(b"\0", 1) for name, body in found if name == "tEXt")
    assert text[b"parameters"].startswith(b"a smiling doctor, with glasses: blue\nSteps: 20, ")
    (international,) = [body for name, body in found if name == "iTXt"]
    keyword, rest = international.split(b"\0", 1)
    assert keyword == b"pellucid" and json.loads(rest[4:])["ledger_index"] == 12
    assert {name for name, _ in found} == {"IHDR", "tEXt", "iTXt", "IDAT", "IEND"}


def test_another_tools_expression_reads_our_parameters() -> None:
    """The expression of AUTOMATIC1111's infotext_utils.py, copied here as an oracle."""
    expression = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    text = parameters_text(FACTS, 64, 64)
    *prompt, last = text.strip().split("\n")
    assert prompt == [FACTS.prompt]
    found = dict(expression.findall(last))
    assert found["Steps"] == "20" and found["Seed"] == "7" and found["Size"] == "64x64"
    assert found["CFG scale"] == "5.5" and found["Sampler"] == "DDIM"
    assert json.loads(found["Model"]) == "sd, small" and found["Model hash"] == "abababababab"
    assert read_parameters(text).settings["Edits"] == "glasses +2; beard -1.5"


def test_reading_parameters_of_other_tools() -> None:
    text = (
        "a cat\non a mat\nNegative prompt: dog,\nblur\n"
        'Steps: 28, Sampler: Euler a, Lora hashes: "x: 1, y: 2", Seed: 99'
    )
    found = read_parameters(text)
    assert found.prompt == "a cat\non a mat" and found.negative == "dog,\nblur"
    assert found.settings == {
        "Steps": "28", "Sampler": "Euler a", "Lora hashes": "x: 1, y: 2", "Seed": "99"
    }  # fmt: skip
    assert read_parameters("only: a prompt").prompt == "only: a prompt"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "doctor",
        "médecin",
        "医者 🙂",
        "x" * 10_000,
        "two\nlines\x00 and\ttabs",
        "half \ud83d pair",
    ],
)
def test_any_prompt_comes_back(prompt: str) -> None:
    facts = Facts(prompt, 1, "unclip", "m")
    found = read_metadata(opened(write_image(PIXELS, facts, 0, b"s" * 32)))
    assert found.problem is None and found.record is not None and found.index == 0
    assert Facts.from_json(found.record["facts"]) == facts  # type: ignore[arg-type]
    assert found.parameters is not None and found.parameters.count("\n") <= 1
    read = read_parameters(found.parameters)
    assert read.settings["Seed"] == "1"
    if prompt.isprintable():
        assert read.prompt == prompt


def test_a_prompt_cannot_write_settings() -> None:
    facts = Facts("cat\nSteps: 1, Seed: 666, Size: 1x1", 7, "unclip", "m")
    assert read_parameters(parameters_text(facts, 64, 64)).settings["Seed"] == "7"


def test_it_reveals_nobody() -> None:
    png = write_image(PIXELS, FACTS, 12, b"s" * 32)
    for secret in (getpass.getuser(), socket.gethostname(), os.getcwd(), os.path.expanduser("~")):
        if len(secret) > 4:  # "root" is also a word of PNG's and certificates' own
            assert secret.encode() not in png


def test_numpy_numbers_are_welcome() -> None:
    edits = ((np.str_("glasses"), np.float32(2)),)
    facts = Facts("p", np.int64(3), "unclip", "m", edits=edits)  # type: ignore[arg-type]
    assert json.loads(json.dumps(facts.to_json()))["seed"] == 3


@pytest.mark.parametrize("text", ["not json", "[]", '{"format": "other"}', "{"])
def test_a_damaged_record_is_named(text: str) -> None:
    extra = PngInfo()
    extra.add_itxt("pellucid", text)
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG", pnginfo=extra)
    found = read_metadata(opened(file.getvalue()))
    assert found.record is None and found.index is None and "pellucid chunk" in str(found.problem)


def test_jpeg_and_foreign_png_have_none() -> None:
    for kind in ("JPEG", "PNG"):
        file = io.BytesIO()
        Image.fromarray(PIXELS).save(file, kind)
        found = read_metadata(opened(file.getvalue()))
        assert (found.parameters, found.record, found.problem) == (None, None, None)
    with pytest.raises(ValueError, match="incomplete"):
        Facts.from_json({"prompt": "x"})
