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


def test_false_alarms_of_one_key_on_every_picture_count_as_one_key() -> None:
    from benchmarks._safety_generation import _alarms

    null = np.full((50, 40), 0.5)
    null[7] = 0.0005  # a key that agrees with what all pictures share
    row = _alarms(null, "unmarked", "unclip", "Tree-Ring", 1)[0]
    assert (row.value, row.n) == (0.02, 2000)
    assert row.ci95 is not None
    assert row.ci95[0] == 0.0  # treating all pairs as independent, it would begin at 0.014
    assert row.ci95[1] >= 0.06
    silent = _alarms(np.full((50, 40), 0.5), "unmarked", "unclip", "Tree-Ring", 1)[0]
    assert silent.ci95 == (0.0, pytest.approx(1 - 0.025 ** (1 / 50)))
