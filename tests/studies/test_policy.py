"""A change of policy, replayed on the findings of past runs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pandas as pd
import pytest

import toolkit.runs
from safety import Finding, Policy
from safety.policy import DEFAULT
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.studies.policy import UNKNOWN, decided, policy_diff

SHIPPED = json.loads(DEFAULT.read_text())


def _finding(check: str, score: float, concept: str = "", **more) -> dict:
    verdict = "flag" if score >= 0.5 and not more.get("exempt") else "pass"
    return Finding(
        check, "image", score, 0.5, verdict, f"{check} says so", concept=concept, **more
    ).to_json()


def _passed(*but: dict) -> list[dict]:
    names = ("restricted_prompt", "name_in_prompt", "restricted_image", "likeness")
    return [_finding(name, 0.1) for name in names] + list(but)


@pytest.fixture
def run(monkeypatch) -> str:
    """Five pictures: plain, a wound at 0.6, a likeness with consent, a blocked prompt, damaged."""
    rows = {
        "plain": _passed(),
        "wound": _passed(_finding("restricted_image", 0.6, "wound")),
        "agreed": _passed(_finding("likeness", 0.9, "Ada Wren", exempt=True)),
        "words": [_finding("restricted_prompt", 0.7, "wound"), _finding("name_in_prompt", 0.0)],
    }
    table = pd.DataFrame(
        [
            {"id": name, "pipeline": "unclip", "prompt": name, "findings": json.dumps(found)}
            for name, found in rows.items()
        ]
    )
    monkeypatch.setattr(
        toolkit.runs, "load_run", lambda path: SimpleNamespace(manifest={}, samples=table)
    )
    return "runs/past"


def _with(**changes) -> Policy:
    return Policy.read(SHIPPED | changes)


def test_the_same_policy_decides_the_same(run) -> None:
    assert policy_diff(_with(), _with(), [run]) == []


def test_a_concept_let_pass(run) -> None:
    (row,) = policy_diff(_with(), _with(thresholds={"restricted_image:wound": 0.8}), [run])
    assert (row["id"], row["before"], row["after"]) == ("wound", "block", "allow")


def test_a_stricter_threshold_spares_consent(run) -> None:
    rows = policy_diff(_with(), _with(thresholds={"likeness": 0.05}), [run])
    assert [row["id"] for row in rows if row["before"] == "allow"] == ["plain", "agreed"]
    # "agreed" has a second likeness finding, of nobody with consent, which the bar now catches
    rows = policy_diff(_with(), _with(thresholds={"likeness": 0.5}), [run])
    assert rows == []


def test_what_was_never_drawn_is_unknown(run) -> None:
    actions = SHIPPED["actions"] | {"restricted_prompt": "review"}
    (row,) = policy_diff(_with(), _with(actions=actions), [run])
    assert (row["id"], row["after"]) == ("words", UNKNOWN)
    assert "likeness" in row["reason"]


def test_damaged_findings_are_named(run, monkeypatch) -> None:
    table = pd.DataFrame([{"id": "x", "pipeline": "unclip", "prompt": "p", "findings": "{"}])
    monkeypatch.setattr(
        toolkit.runs, "load_run", lambda path: SimpleNamespace(manifest={}, samples=table)
    )
    with pytest.raises(UserError, match="findings of x"):
        policy_diff(_with(), _with(), [run])


def test_the_command(run, tmp_path, capsys) -> None:
    assert main(["policy", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {row["check"] for row in shown} == set(SHIPPED["actions"])
    path = tmp_path / "p.json"
    path.write_text(json.dumps(SHIPPED | {"thresholds": {"restricted_image:wound": 0.8}}))
    assert main(["policy", str(path), "--on", run, "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["wound"]
    path.write_text("[]")
    assert main(["policy", str(path)]) == 2


def test_faces_count_under_a_policy_that_does_not_ask_for_them() -> None:
    shipped = Policy.load()
    names = ("restricted_prompt", "name_in_prompt", "restricted_photograph")
    passed = [_finding(name, 0.1) for name in names]
    assert decided(shipped, "checkpoint", passed)[0] == "allow"
    assert decided(shipped, "checkpoint", [*passed, _finding("face_likeness", 0.9)])[0] == "block"
