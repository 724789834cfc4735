"""The report opens offline, shows what the run holds, and nothing of what was withheld."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from toolkit.report import report_html, scatter
from toolkit.runs import write_bytes, write_json
from toolkit.studies.audit import Answers, bias_table, summary, write_table
from toolkit.studies.samples import Sample, samples_table
from toolkit.world import FACTORS

VOID = {"meta", "img", "br", "line", "rect", "circle"}


class Balanced(HTMLParser):
    """Checks that every tag is closed, and collects what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.loads += [str(facts[name]) for name in ("src", "href") if name in facts]
        if tag == "img":
            self.alts.append(str(facts.get("alt") or ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def png(color: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(stream, "PNG")
    return stream.getvalue()


def judged(**levels: str) -> dict[str, str]:
    return {factor: options[0] for factor, options in FACTORS.items()} | levels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture = np.zeros((64, 64, 3), np.uint8)
    nasty = 'an old doctor with glasses <script>alert("x")</script>'
    common = {"findings": [], "prompt": nasty, "seed": 3, "edit": None}
    shown = Sample(
        "un-0001", "unclip", "prompts", decision="allow", reason="nothing found", image=picture,
        sha256="0" * 64, payload=1, entry=1, judged=judged(age="old", attire="doctor"), **common,
    )  # fmt: skip
    withheld = Sample(
        "sd-0001", "stable-diffusion", "prompts", decision="block", reason="a likeness of X & Y",
        **common,
    )  # fmt: skip
    write_table(samples_table([shown, withheld]), tmp_path / "samples.parquet")
    write_bytes(tmp_path / "images/un-0001.png", png("red"))
    write_json(tmp_path / "verify.json", [_verified("images/un-0001.png")])
    answers = [Answers("unclip", {"skin": ["pale"] * 20 + ["unclear", "blocked"]})]
    table = bias_table(answers)
    write_table(table, tmp_path / "audit.parquet")
    write_json(
        tmp_path / "audit.json", {"question": "Twenty-two doctors.", "summary": summary(table)}
    )
    points = pd.DataFrame(
        {
            "id": ["real-0000", "un-0001"],
            "kind": ["real", "unclip"],
            "pca1": [0.0, 1.0],
            "pca2": [1.0, 1.0],
            "umap1": [np.nan] * 2,
            "umap2": [np.nan] * 2,
        }
    )
    write_table(points, tmp_path / "embeddings/map.parquet")
    return tmp_path


def _verified(file: str) -> dict[str, str]:
    facts = dict.fromkeys(("watermark", "metadata", "c2pa", "ledger"), "present")
    return {"file": file, "verdict": "verified", **facts}


MANIFEST = {
    "command": "pellucid test", "created": "2026-11-23", "config": {"seed": 0}, "versions": {},
    "models": {}, "timings": {"drawing": 1.25},
}  # fmt: skip


def test_the_report_is_one_sound_file_that_loads_nothing(folder: Path) -> None:
    page = report_html(folder, MANIFEST)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert all(source.startswith("data:image/png;base64,") for source in parser.loads)
    assert all(parser.alts)
    assert "@import" not in page and "url(" not in page


def test_text_of_the_user_is_text(folder: Path) -> None:
    page = report_html(folder, MANIFEST)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a likeness of X &amp; Y" in page


def test_the_report_says_what_happened(folder: Path) -> None:
    page = report_html(folder, MANIFEST)
    # Asked: age, attire, glasses; the judge read glasses as no.
    assert '<span class="right">2 of 3</span> named factors seen' in page
    assert "glasses: no" in page
    assert "<b>1</b>withheld by the guard" in page
    assert "<b>1 of 1</b>verified from the file" in page
    assert "skin is not as expected" in page
    assert re.search(r"blocked</td><td>1 of 22", page)
    assert "UMAP of the same" not in page  # too few points had one


def test_a_run_without_extras_still_gets_a_report(folder: Path) -> None:
    for name in ("verify.json", "audit.parquet", "embeddings/map.parquet"):
        (folder / name).unlink()
    parser = Balanced()
    parser.feed(report_html(folder, MANIFEST))
    assert parser.open == []


def test_scatter_puts_the_extremes_at_the_edges() -> None:
    points = [
        {"id": "a", "kind": "real", "x": 0.0, "y": 0.0},
        {"id": "b", "kind": "unclip", "x": 2.0, "y": 4.0},
    ]
    drawn = scatter(points, "x", "y", "title", lambda row: row["id"])
    assert 'cx="18.0" cy="402.0"' in drawn
    assert 'cx="402.0" cy="18.0"' in drawn
