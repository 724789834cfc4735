"""Accountability papers of a small run that is made here, without a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from safety import Facts, Ledger, release_image
from safety.keys import keys
from toolkit.runs import RunWriter, load_run
from toolkit.studies.papers import CHANGES, incidents, papers, private_words, survived
from toolkit.studies.papers_page import section, write_papers

RATES = {"fpr": 0.01, "fpr_ci95": [0, 0.02]}
FINDING = {"check": "likeness", "stage": "image", "verdict": "pass", "calibration": RATES}


def row(name: str, decision: str = "allow", verdict: str = "pass") -> dict:
    kept = decision != "block"
    return {
        "id": name, "pipeline": "unclip", "decision": decision, "prompt": "a <b>doctor</b>",
        "findings": json.dumps([FINDING | {"verdict": verdict}]),
        "image": f"images/{name}.png" if kept else None,
    }  # fmt: skip


ROWS = [row("un-0001"), row("un-0002"), row("un-0003", "block", "flag"),
        row("un-0004", "block", "error")]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("papers")
    mine = keys(folder / "keys")
    picture = np.asarray(Image.fromarray(data.astronaut()).resize((128, 128)))
    with RunWriter(folder / "run", "pellucid generate", {}) as run:
        ledger = Ledger(run.file("ledger"), mine.ledger)
        for one in ROWS:
            if one["image"]:
                facts = Facts(one["prompt"], 1, "unclip", "portraits", "ab" * 32, "1.2.3")
                release_image(picture, facts, run.file(one["image"]), keys=mine, ledger=ledger)
        (run.folder / "ledger" / "lock").unlink(missing_ok=True)
        verified = [{"file": one["image"], "verdict": "verified"} for one in ROWS if one["image"]]
        run.manifest["models"] = {"unclip": "ab" * 32}
        found = papers(run.folder, "run", run.manifest, ROWS, verified, mine, ledger)
        write_papers(run, found)
    return folder, found


def test_the_papers_are_in_the_run_and_linked(made) -> None:
    folder, found = made
    run = load_run(folder / "run")
    for kind in ("laws", "system", "incidents"):
        assert run.json(f"papers/{kind}.json") == json.loads(json.dumps(found[kind]))
        text = (folder / "run" / "papers" / f"{kind}.html").read_text()
        assert "http://" not in text and "https://" not in text and "../report.html" in text
        assert 'href="laws.html"' in text or kind == "laws"
    linked = section(folder / "run")
    failed = sum(one["result"] == "fail" for one in found["laws"])
    assert 'href="papers/laws.html"' in linked and f"{failed} fail" in linked
    assert section(folder) == ""


def test_every_field_that_files_answer_passes_or_is_measured(made) -> None:
    counted = [one for one in made[1]["laws"] if one["n"]]
    assert len(counted) > 12
    for one in counted:
        if "after common changes" in one["place"]:  # measured here, whatever comes out
            assert one["result"] == ("pass" if one["hits"] == 2 else "fail")
        else:
            assert (one["asks"], one["result"], one["hits"]) == (one["asks"], "pass", 2)


def test_the_system_card_counts_checks_and_decisions(made) -> None:
    card = made[1]["system"]
    assert card["decisions"] == {"allow": 2, "block": 2}
    assert card["checks"]["likeness (image)"] | {"calibration": None} == {
        "looked": 4, "flagged": 1, "failed": 1, "calibration": None,
    }  # fmt: skip
    page = (made[0] / "run" / "papers" / "system.html").read_text()
    assert "FPR 0.010 [0.000, 0.020]" in page and "ab" * 32 in page


def test_incidents_hold_what_was_refused_or_does_not_verify_and_no_prompt(made) -> None:
    verified = [{"file": "images/un-0001.png", "verdict": "broken"}]
    found = incidents("run", "2026-01-01", ROWS, verified)
    assert [one["kind"] for one in found] == [
        "a request was refused", "a check failed", "a released file does not verify",
    ]  # fmt: skip
    assert [one["severity"] for one in found] == ["near miss", "near miss", "incident"]
    assert "doctor" not in json.dumps(found)
    review = incidents("run", "2026-01-01", [row("un-9", "review", "flag")], [])
    assert review[0]["kind"] == "a request was released for review"


def test_names_of_this_machine_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "maryanne")
    monkeypatch.setattr("socket.gethostname", lambda: "pc")  # too short to be told from chance
    words = private_words()
    assert "maryanne" in words and "pc" not in words


def test_marks_are_tried_after_changes(made) -> None:
    mine = keys(made[0] / "keys")
    stayed = survived(made[0] / "run" / "images" / "un-0001.png", mine.watermark)
    assert list(stayed) == list(CHANGES) and stayed["saved as JPEG 75"]
    plain = made[0] / "plain.png"
    Image.fromarray(data.coffee()[:128, :128]).save(plain)
    assert not any(survived(plain, mine.watermark).values())
