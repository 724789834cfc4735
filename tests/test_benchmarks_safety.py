"""What the figures of proof are made of: lies are lies, and honest cases none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks._ledger_tampering import CASES, accusations, tampered


@pytest.mark.parametrize("case", CASES)
def test_each_way_of_tampering_is_found_by_both_verifiers(case: str, tmp_path: Path) -> None:
    kept, public = tampered(tmp_path, case, np.random.default_rng(5))
    said = accusations(tmp_path, kept, public)
    assert [bool(problems) for problems in said.values()] == [CASES[case].lie] * 2


def test_without_the_checkpoint_elsewhere_the_owner_can_fork(tmp_path: Path) -> None:
    """What the checkpoint kept elsewhere is for: nothing in the folder gives the fork away."""
    from safety.ledger import Ledger

    _, public = tampered(tmp_path, "forked, signed anew by the owner", np.random.default_rng(5))
    assert Ledger(tmp_path / "ledger", public=public).verify().ok


def test_every_forgery_is_caught_and_no_clean_file_accused() -> None:
    from benchmarks import _safety_forgeries as part

    ((rows, items),) = part.forgeries(8, part.QUICK)
    assert [(row.case, row.value) for row in rows if not row.met] == []
    assert sum("caught" in item for item in items) >= 30


@pytest.mark.parametrize("kind", ["strip", "lie", "foreign", "doubt", "graft", "unreadable"])
def test_a_verifier_that_believes_everything_catches_nothing(kind: str) -> None:
    from benchmarks._safety_forgeries import _caught

    assert not _caught(kind, "verified", None)
