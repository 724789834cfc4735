"""DCI, MIG, SAP and R² by hand, against second implementations, and under what must not matter."""

from __future__ import annotations

from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from probes.disentanglement import continuous, dci, dci_of, information, mig, r_squared, sap

SEEDS = st.integers(0, 10_000)


def plain_dci(importance: list[list[float]]) -> tuple[float, float]:
    """Eastwood & Williams (2018), section 2, a row and a column at a time."""

    def one_less_entropy(values: list[float], base: int) -> float:
        total = sum(values)
        shares = [value / total for value in values if value > 0]
        return 1 + sum(share * log(share, base) for share in shares)

    rows = [row for row in importance if sum(row) > 0]
    columns = [list(c) for c in zip(*importance, strict=True) if sum(c) > 0]
    total = sum(map(sum, rows))
    return (
        sum(one_less_entropy(r, len(importance[0])) * sum(r) / total for r in rows),
        sum(one_less_entropy(c, len(importance)) * sum(c) / total for c in columns),
    )


def world(seed: int, n: int = 400) -> tuple[np.ndarray, dict]:
    """Codes whose axes are: a number, a two-level factor, a three-level factor, noise."""
    rng = np.random.default_rng(seed)
    height = rng.standard_normal(n)
    side, kind = rng.integers(2, size=n), rng.integers(3, size=n)
    codes = np.stack([height, 3.0 * side, 3.0 * kind, rng.standard_normal(n)], 1)
    codes += 0.1 * rng.standard_normal(codes.shape)
    labels = {
        "height": height.tolist(),
        "side": ["left" if one else "right" for one in side],
        "kind": [("cat", "bee", "fox")[one] for one in kind],
    }
    return codes, labels


@given(SEEDS, st.integers(2, 6), st.integers(2, 6))
@settings(max_examples=50, deadline=None)
def test_dci_is_what_the_paper_writes(seed: int, d: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    importance = rng.exponential(size=(d, k)) * (rng.random((d, k)) < 0.7)
    importance[0, 0] = 1.0
    assert dci_of(importance) == pytest.approx(plain_dci(importance.tolist()))
    assert dci_of(7 * importance[::-1, ::-1]) == pytest.approx(dci_of(importance))


def test_dci_by_hand() -> None:
    assert dci_of(np.eye(3)) == pytest.approx((1, 1))
    assert dci_of(np.ones((3, 3))) == pytest.approx((0, 0))
    # Two axes for one factor each way: no axis is shared, but the first factor is split in two.
    split = np.array([[1.0, 0], [1, 0], [0, 2]])
    assert dci_of(split) == pytest.approx((1, (2 * (1 - log(2, 3)) + 2) / 4))


def test_axes_that_are_factors_score_high_and_turned_ones_low() -> None:
    codes, labels = world(0)
    found = dci(codes, labels)
    assert found.disentanglement > 0.8
    assert found.completeness > 0.8
    assert min(found.informativeness.values()) > 0.9
    assert found.importance.argmax(0).tolist() == [0, 1, 2]
    turn = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
    turned = codes / codes.std(0) @ turn  # every axis holds a quarter of everything
    assert dci(turned, labels).disentanglement < found.disentanglement - 0.3
    for measure in (mig, sap):
        straight, crooked = measure(codes, labels), measure(turned, labels)
        assert all(straight[factor] > crooked[factor] + 0.1 for factor in labels), measure


def test_information_is_that_of_a_second_implementation() -> None:
    codes, labels = world(3)
    ours = information(codes, labels, bins=12)

    def binned(values) -> list[int]:
        low, high = min(values), max(values)
        return [min(int((v - low) / (high - low) * 12), 11) for v in values]

    for column, (name, values) in enumerate(labels.items()):
        target = binned(values) if name == "height" else values
        counts = Counter(target)
        entropy = -sum(c / 400 * log(c / 400) for c in counts.values())
        for row in range(4):
            expected = mutual_info_score(target, binned(codes[:, row].tolist())) / entropy
            assert ours[row, column] == pytest.approx(expected)
    assert mig(codes, labels, bins=12)["side"] == pytest.approx(
        np.sort(ours[:, 1])[-1] - np.sort(ours[:, 1])[-2]
    )


def test_gaps_by_hand() -> None:
    level = np.arange(40) % 2
    labels = {"level": ["off", "on"] * 20}
    # Axis 0 is the factor; axis 1 says nothing of it.
    codes = np.stack([level, np.arange(40) // 2 % 2], 1).astype(float)
    assert mig(codes, labels)["level"] == pytest.approx(1)
    still = np.stack([level, np.ones(40)], 1)
    assert sap(still, labels)["level"] == pytest.approx(0.5)
    # Twice the same axis: nothing is told by one alone.
    assert mig(codes[:, [0, 0]], labels)["level"] == pytest.approx(0)
    assert sap(codes[:, [0, 0]], labels)["level"] == pytest.approx(0)
    number = {"number": (2.0 * level + 1).tolist()}
    assert sap(codes, number)["number"] == pytest.approx(1 - np.corrcoef(codes.T)[0, 1] ** 2)


@given(SEEDS, st.permutations(range(4)))
@settings(max_examples=5, deadline=None)
def test_scale_and_order_of_axes_change_nothing(seed: int, order: list[int]) -> None:
    codes, labels = world(seed, 120)
    moved = codes[:, order] * np.array([4.0, 0.5, 8.0, 2.0]) + 3  # powers of two: bins stay exact
    for measure in (mig, sap, r_squared):
        assert measure(moved, labels) == pytest.approx(measure(codes, labels), abs=1e-6), measure


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_rows_in_another_order_are_the_same_rows(seed: int) -> None:
    codes, labels = world(seed, 120)
    order = np.random.default_rng(seed).permutation(120)
    mixed = {name: [values[i] for i in order] for name, values in labels.items()}
    assert mig(codes[order], mixed) == pytest.approx(mig(codes, labels))


def test_r_squared_is_of_the_noise_that_was_added() -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((3000, 3))
    value = codes @ [1.0, 2.0, 2.0] + 3 * rng.standard_normal(3000)  # variance 9 of 18
    found = r_squared(codes, {"value": value.tolist(), "noise": rng.random(3000).tolist()})
    assert found["value"] == pytest.approx(0.5, abs=0.04)
    assert found["noise"] == pytest.approx(0, abs=0.02)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    assert r_squared(codes @ turn, {"value": value.tolist()})["value"] == pytest.approx(
        found["value"], abs=1e-3
    )


def test_rows_without_a_label_are_left_out() -> None:
    codes, labels = world(5)
    holes = [None if i % 3 == 0 else label for i, label in enumerate(labels["side"])]
    kept = [i for i in range(400) if i % 3]
    part = {"side": [labels["side"][i] for i in kept]}
    assert mig(codes, {"side": holes}) == pytest.approx(mig(codes[kept], part))


def test_floats_are_numbers_and_the_rest_levels() -> None:
    assert continuous([0.5, None, 1.0])
    assert not continuous([1, 2, 3])
    assert not continuous(["0.5", "1.0"])


@pytest.mark.parametrize(
    ("codes", "labels", "sentence"),
    [
        (np.ones((30, 2)), {"a": ["x"] * 29}, "29 labels for 30 rows"),
        (np.ones((30, 2)), {"a": ["x"] * 30}, "one value only"),
        (np.ones((30, 2)), {"a": ["x", "y"] + [None] * 28}, "2 labels that count"),
        (np.full((30, 2), np.nan), {"a": ["x", "y"] * 15}, "row 0"),
        (np.ones((30, 2)), {}, "no factor"),
    ],
)
def test_bad_input_is_one_sentence(codes, labels, sentence: str) -> None:
    for measure in (dci, mig, sap, r_squared):
        with pytest.raises(ValueError, match=sentence):
            measure(codes, labels)
    with pytest.raises(ValueError, match="not all zero"):
        dci_of(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="no factor is a number"):
        r_squared(np.eye(20), {"a": ["x", "y"] * 10})
