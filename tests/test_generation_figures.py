"""The arithmetic of generation's figures, on numbers whose answers are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks._priors import over_seeds, paper_order
from benchmarks._speed import _ratio


def order(diffusion: list[float], autoregressive: list[float], none: list[float]) -> dict:
    right = {
        "diffusion": np.array(diffusion),
        "autoregressive": np.array(autoregressive),
        "none": np.array(none),
    }
    return {row.case: row for row in paper_order(right, 1)}


def test_the_papers_order_holds_fails_or_is_inconclusive() -> None:
    holds = "the paper's order holds (0.5: inconclusive)"
    assert order([1.0] * 8, [0.5] * 8, [0.2] * 8)[holds].value == 1
    assert order([0.5] * 8, [1.0] * 8, [0.2] * 8)[holds].value == 0
    close = order([0.5, 0.5, 0.5, 0.5], [0.4, 0.8, 0.4, 0.6], [0.1] * 4)
    assert close[holds].value == 0.5
    gap = close["diffusion over autoregressive, share right"]
    assert gap.value == pytest.approx(-0.05)
    assert gap.ci95 is not None and gap.ci95[0] < 0 < gap.ci95[1]


def test_an_interval_over_seeds_is_students() -> None:
    low, high = over_seeds([11.0, 12.0, 13.0])
    assert (low, high) == pytest.approx((12 - 4.302653 / 3**0.5, 12 + 4.302653 / 3**0.5))
    assert over_seeds([1.0, 2.0, 3.0])[0] == 0
    assert over_seeds([0.4, 0.4, 0.4]) == pytest.approx((0.4, 0.4))


def test_a_ratio_is_that_of_the_medians() -> None:
    slow, fast = np.array([1.0, 9.0, 1.0]), np.array([0.5, 0.5, 0.1])
    row = _ratio("same_steps_speed", "case", slow, fast, "at least 2.5", 3)
    assert row.value == 2 and row.n == 3 and row.met is False
    assert dataclasses.replace(row, target="at least 2").met is True
