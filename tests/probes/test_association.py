"""WEAT by hand, against a second plain implementation, and its p-value under the null."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from probes.association import association_test, leaning

SEEDS = st.integers(0, 10_000)


def plainly(x, y, a, b, two_sided: bool = True) -> tuple[float, float]:
    """Caliskan et al. (2017) as their formulas read, one pair of vectors at a time."""

    def cosine(u, v):
        return u @ v / np.sqrt((u @ u) * (v @ v))

    def s(w):
        return np.mean([cosine(w, one) for one in a]) - np.mean([cosine(w, one) for one in b])

    each = [s(w) for w in (*x, *y)]
    effect = (np.mean(each[: len(x)]) - np.mean(each[len(x) :])) / np.std(each, ddof=1)
    found, hits, count = np.mean(each[: len(x)]) - np.mean(each[len(x) :]), 0, 0
    for chosen in combinations(range(len(each)), len(x)):
        mine = [each[i] for i in chosen]
        others = [each[i] for i in range(len(each)) if i not in chosen]
        difference = np.mean(mine) - np.mean(others)
        far = abs(difference) >= abs(found) - 1e-12 if two_sided else difference >= found - 1e-12
        hits, count = hits + far, count + 1
    return float(effect), hits / count


def rotation(d: int, seed: int) -> np.ndarray:
    """A random orthogonal matrix (d, d)."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def sets(seed: int, n: int = 4, m: int = 5) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((count, 6)) for count in (n, m, 3, 4)]


@given(SEEDS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_same_as_the_formulas_read(seed: int, two_sided: bool) -> None:
    way = "two-sided" if two_sided else "greater"
    found = association_test(*sets(seed), alternative=way)
    effect, p = plainly(*sets(seed), two_sided=two_sided)
    assert found.effect == pytest.approx(effect)
    assert found.p == pytest.approx(p)
    assert (found.exact, found.splits) == (True, 126)


def test_by_hand() -> None:
    east, north = np.array([[1.0, 0]]), np.array([[0.0, 1]])
    assert np.allclose(leaning(np.array([[3.0, 0], [1, 1], [0, 2]]), east, north), [1, 0, -1])
    x, y = np.array([[1.0, 0], [2, 0]]), np.array([[0.0, 3], [0, 1]])
    found = association_test(x, y, east, north)
    # Leanings 1, 1, -1, -1: difference 2, standard deviation sqrt(4/3); 2 of 6 splits as large.
    assert found.effect == pytest.approx(2 / np.sqrt(4 / 3))
    assert found.p == pytest.approx(2 / 6)
    assert association_test(x, y, east, north, alternative="greater").p == pytest.approx(1 / 6)
    assert association_test(y, x, east, north, alternative="greater").p == pytest.approx(1)


@given(SEEDS, st.floats(0.1, 50))
@settings(max_examples=25, deadline=None)
def test_rotation_scale_and_order_change_nothing_and_a_swap_the_sign(seed, scale) -> None:
    x, y, a, b = sets(seed)
    plain, turn = association_test(x, y, a, b), rotation(6, seed)
    moved = association_test(scale * x[::-1] @ turn, y @ turn, a[::-1] @ turn, b @ turn)
    assert (moved.effect, moved.p) == (pytest.approx(plain.effect), pytest.approx(plain.p))
    for swapped in (association_test(y, x, a, b), association_test(x, y, b, a)):
        assert swapped.effect == pytest.approx(-plain.effect)
        assert swapped.p == pytest.approx(plain.p)


def test_drawn_splits_agree_with_all_of_them() -> None:
    x, y, a, b = sets(3, 11, 11)  # 705,432 splits: too many to count
    drawn = association_test(x, y, a, b, draws=4000)
    assert not drawn.exact
    assert drawn == association_test(x, y, a, b, draws=4000)
    x, y, a, b = sets(3, 7, 7)
    exact = association_test(x, y, a, b)
    assert exact.exact
    assert exact.p == pytest.approx(plainly(x, y, a, b)[1])


def test_the_p_value_is_level_under_the_null_and_small_for_an_effect() -> None:
    below = 0
    for seed in range(1000):
        below += association_test(*sets(seed, 5, 5)).p <= 0.05
    assert binomtest(below, 1000, 0.05, alternative="greater").pvalue > 0.01
    x, y, a, b = sets(1, 8, 8)
    x, a = x + 3, a + 3
    found = association_test(x, y, a, b)
    assert found.effect > 1
    assert found.p < 0.01


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({0: np.ones((1, 6))}, "first targets"),
        ({1: np.ones((3, 5))}, "second targets"),
        ({2: np.zeros((2, 6))}, "row 0 is zero"),
        ({3: np.full((2, 6), np.nan)}, "not finite"),
        ({0: np.ones((2, 6)), 1: np.ones((2, 6))}, "leans alike"),
    ],
)
def test_bad_input_is_one_sentence(change: dict, sentence: str) -> None:
    given = sets(0)
    for place, value in change.items():
        given[place] = value
    with pytest.raises(ValueError, match=sentence):
        association_test(*given)


def test_an_unknown_alternative_is_refused() -> None:
    with pytest.raises(ValueError, match="less"):
        association_test(*sets(0), alternative="less")  # type: ignore[arg-type]
