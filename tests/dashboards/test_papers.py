"""The page of accountability papers on a run that lies beside the open one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.dashboards.test_pages import page_of, words
from toolkit.runs import RunWriter
from toolkit.studies.papers_page import write_papers

RATE = {"what": "TPR", "hits": 3, "n": 4, "low": 0.194, "high": 0.994}
FOUND: dict[str, Any] = {
    "laws": [
        {"law": "A law", "section": "1", "asks": "a mark", "place": "the pixels", "note": "",
         "result": "pass", "hits": 4, "n": 4},
        {"law": "A law", "section": "2", "asks": "a label", "place": "", "note": "none is there",
         "result": "fail", "hits": 0, "n": 0},
    ],
    "incidents": [{"id": "run/un-0001", "found_by": ["likeness (image)"], "kind": "refused",
                   "system": "unclip", "severity": "near miss", "harm": "", "action": ""}],
    "cards": [{"detector": "a_check", "auc": 0.98, "threshold": 1.0, "source": "", "data": "d",
               "tpr": RATE, "fpr": RATE, "at_rates": [], "groups": [], "changed": [],
               "roc": [[0, 0], [1, 1]], "data_sha256": "0"}],
}  # fmt: skip


def test_fields_incidents_and_cards_are_shown(bare_run: Path) -> None:
    with RunWriter(f"{bare_run}-papers", "pellucid papers", {}) as run:
        write_papers(run, FOUND)
    at = page_of(bare_run, "papers")
    assert not at.exception and not at.error
    assert "**1** pass, **1** fail, **0** open" in words(at)
    (laws,) = (frame.value for frame in at.table)
    incidents, cards = (frame.value for frame in at.dataframe)
    assert laws["result"].tolist() == ["pass", "fail"] and laws["files"].tolist() == ["4 of 4", ""]
    assert incidents["found_by"].tolist() == ["likeness (image)"]
    assert cards["true positives, 95 %"].tolist() == ["0.750 [0.194, 0.994]"]
