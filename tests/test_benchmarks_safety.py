"""The tampering that the ledger's figure is made of: lies are lies, and honest cases none."""

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
