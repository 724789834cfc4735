"""Marked noise: Gaussian to all but the key, found by it, at the stated rate of false alarms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm

from safety.shading import recognise, shade, thrown

SHAPE = (4, 16, 16)


def test_marked_noise_is_as_gaussian_as_any_and_keeps_its_energy() -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((60, *SHAPE)).astype(np.float32)
    each = [shade(one[None], rng.bytes(32)) for one in noise]  # a key each: a stranger's view
    assert kstest(np.concatenate(each).ravel(), norm.cdf).pvalue > 0.01
    np.testing.assert_allclose((each[0] ** 2).sum(), (noise[0] ** 2).sum(), rtol=1e-4)


def test_its_key_finds_it_in_faint_remains_and_another_key_does_not() -> None:
    rng = np.random.default_rng(2)
    key, noise = rng.bytes(32), rng.standard_normal((20, *SHAPE))
    remains = 0.3 * shade(noise, key) + rng.standard_normal(noise.shape)
    assert max(one.p_value for one in recognise(remains, key)) < 1e-6
    null = [one.p_value for _ in range(200) for one in recognise(remains, rng.bytes(32))]
    assert kstest(null, "uniform").pvalue > 0.01
    for level in (0.1, 0.01):
        assert binomtest(int(np.sum(np.array(null) < level)), len(null), level).pvalue > 0.01


@pytest.mark.parametrize("total", [1.0, 4.0, 7.0, 9.0, -4.0])
def test_the_tail_of_coins_is_close_to_counting_them_all(total: float) -> None:
    values = np.random.default_rng(3).uniform(0.3, 1.2, 16)
    sums = np.array([np.dot(s, values) for s in itertools.product((-1, 1), repeat=16)])
    assert thrown(total, values) == pytest.approx((sums >= total).mean(), rel=0.05)


def test_all_coins_alike() -> None:
    assert thrown(16.0, np.ones(16)) == 2.0**-16
    assert thrown(0.0, np.ones(16)) == 0.5


def test_what_is_not_noise_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"expected \(n, channels, height, width\)"):
        recognise(np.zeros((4, 16)), b"k" * 16)
    with pytest.raises(ValueError, match="at least 16 bytes"):
        shade(np.zeros((1, *SHAPE)), b"short")
