"""The audit's statistics against hand-computed values and other routes to the same number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2

from toolkit.studies.statistics import holm, shares_test, wilson


def test_wilson_by_hand() -> None:
    # Wilson 1927 for 8 of 10: centre (p + z^2/2n) / (1 + z^2/n).
    z, n, p = 1.959963984540054, 10, 0.8
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(8, 10) == pytest.approx((centre - half, centre + half))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0


def test_many_counts_get_pearsons_chi_square() -> None:
    statistic = (30 - 20) ** 2 / 20 + (10 - 20) ** 2 / 20 + 0
    assert shares_test([30, 10, 20], [1 / 3] * 3) == pytest.approx(chi2.sf(statistic, 2))


def test_two_levels_and_few_counts_get_the_exact_binomial() -> None:
    # Two-sided: every outcome at most as likely as 7 of 7 under one half, so 0 and 7.
    assert shares_test([7, 0], [0.5, 0.5]) == pytest.approx(2 * binom.pmf(7, 7, 0.5))


def test_few_counts_over_many_levels_get_drawn_tables() -> None:
    # All 4 in one of 3 levels: 3 of 81 tables are as far out.
    assert shares_test([4, 0, 0], [1 / 3] * 3) == pytest.approx(3 / 81, abs=0.005)
    assert shares_test([2, 1, 1], [1 / 3] * 3) > 0.9


def test_a_level_that_the_reference_rules_out() -> None:
    assert shares_test([1, 5], [0.0, 1.0]) == 0.0
    assert shares_test([0, 5], [0.0, 1.0]) == 1.0


def test_nothing_counted_is_no_test() -> None:
    assert np.isnan(shares_test([0, 0], [0.5, 0.5]))


def test_the_test_keeps_its_level_where_nothing_is_wrong() -> None:
    rng = np.random.default_rng(5)
    p = [shares_test(rng.multinomial(12, [1 / 3] * 3), [1 / 3] * 3, seed) for seed in range(150)]
    assert np.mean(np.array(p) < 0.05) < 0.1


def test_holm_by_hand() -> None:
    # 0.01 * 4, then max with 0.02 * 3, 0.03 * 2, and 0.5 * 1.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.01, float("nan"), 0.04]) == pytest.approx(
        [0.02, float("nan"), 0.04], nan_ok=True
    )
    assert holm([0.9, 0.8]) == [1.0, 1.0]
