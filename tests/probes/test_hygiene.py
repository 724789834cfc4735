"""A probe on noise is reported as failing, one on a planted factor as reading, and by how much."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from probes import probe_report
from probes.calibration import calibration_error
from probes.description import description_length
from probes.folds import assign_folds, balanced_accuracy, out_of_fold
from probes.hygiene import _corrected, _interval, control_labels, shuffle_groups


def _world(n: int = 400, d: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    on, skin = rng.random(n) < 0.3, rng.integers(3, size=n)
    X = rng.normal(size=(n, d))
    X[:, 0] += 2.5 * on
    X[np.arange(n), 1 + skin] += 2.5
    labels = {
        "glasses": ["yes" if o else "no" for o in on],
        "skin": [f"s{k}" for k in skin],
        "noise": ["yes" if o else "no" for o in rng.random(n) < 0.4],
    }
    return X, labels


@pytest.fixture(scope="module")
def reports():
    return {one.name: one for one in probe_report(*_world(), permutations=39)}


def test_planted_factors_read_and_noise_fails(reports):
    assert set(reports) == {"glasses", "skin=s0", "skin=s1", "skin=s2", "noise"}
    for name in ("glasses", "skin=s0", "skin=s1", "skin=s2"):
        one = reports[name]
        assert one.verdict == "reads" and not one.reasons and one.p == 1 / 40
        assert 0.75 < one.interval[0] < one.accuracy < one.interval[1]
        assert one.selectivity > 0.25 and one.bits < 0.85 and abs(one.erased - 0.5) < 0.1
        assert one.calibration < 0.08 and one.brier < 0.7 * one.brier_share
    noise = reports["noise"]
    assert noise.verdict == "fails" and noise.p > 0.05 and noise.bits > 0.97
    assert any("shuffled labels do as well" in reason for reason in noise.reasons)
    assert reports["glasses"].row()["share"] == pytest.approx(0.3, abs=0.06)


def test_few_examples_are_said_to_be_few():
    X, _ = _world(120)
    rare = {"crown": ["yes"] * 4 + ["no"] * 116}
    X[:4, 5] += 8
    one = probe_report(X, rare, permutations=19)[0]
    assert one.verdict == "fails" and "only 4 groups" in one.reasons[0]


def test_groups_unmask_a_probe_that_knows_people():
    """Thirty people, ten pictures each; the label is the person's, at random: nothing to read."""
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(30), 10)
    X = 3 * rng.normal(size=(30, 12))[person] + 0.3 * rng.normal(size=(300, 12))
    Y = {"liked": np.array(["no", "yes"])[rng.integers(2, size=30)][person].tolist()}
    blind = probe_report(X, Y, permutations=19)[0]
    fair = probe_report(X, Y, groups=person.tolist(), permutations=19)[0]
    typed = probe_report(X, Y, types=person.tolist(), permutations=19)[0]
    assert blind.verdict == "reads"  # pictures of a person on both sides: it only knows faces
    assert fair.verdict == "fails" and fair.accuracy < blind.accuracy - 0.1
    assert typed.control > 0.6 > blind.control and typed.selectivity < blind.selectivity - 0.1


def test_out_of_fold_scores_are_the_loops():
    from sklearn.linear_model import LogisticRegression

    X, labels = _world(150)
    on = np.stack([np.array(labels["glasses"]) == "yes", np.array(labels["skin"]) == "s1"], 1)
    rows = np.ones_like(on)
    rows[:30, 1] = False
    fold = assign_folds(150, 3, 0)
    mine = out_of_fold(X, on, rows, fold, 0.5)
    for k in range(2):
        said = np.full(150, np.nan)
        for name in range(3):
            train, test = rows[:, k] & (fold != name), rows[:, k] & (fold == name)
            probe = LogisticRegression(C=0.5, class_weight="balanced", tol=1e-8, max_iter=1000)
            said[test] = probe.fit(X[train], on[train, k]).decision_function(X[test])
        assert np.allclose(mine[:, k], said, rtol=0.02, atol=0.05, equal_nan=True)
        here = rows[:, k]
        assert balanced_accuracy(on, rows, mine)[k] == pytest.approx(
            balanced_accuracy_score(on[here, k], mine[here, k] > 0)
        )


def test_shuffles_keep_groups_and_levels_together():
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(12), 4)
    skin = rng.integers(3, size=12)[ids]
    on = np.stack([skin == k for k in range(3)] + [rng.random(48) < 0.5], 1)
    rows = np.ones_like(on)
    rows[:8, 3] = False
    dealt = shuffle_groups(on, rows, ids, rng)
    assert (dealt[:, :3].sum(1) == 1).all() and not dealt[:8, 3].any()
    assert all(len(set(dealt[ids == g, 0])) == 1 for g in range(12))
    assert dealt[:, 3].sum() == (on & rows)[:, 3].sum() and (dealt != on).any()
    control = control_labels(on[:, 3], ids, rng)
    assert all(len(set(control[ids == g])) == 1 for g in range(12))


def test_shuffled_labels_are_seldom_called_readable():
    """The correction holds: null p-values are at most alpha in about alpha of 300 draws."""
    rng = np.random.default_rng(0)
    low = 0
    for _ in range(300):
        draws = rng.normal(0.5, [0.02, 0.05, 0.1], size=(100, 3))
        low += (_corrected(draws[0], draws[1:]) <= 0.05).any()
    assert 4 <= low <= 28


def test_by_hand():
    on = np.array([True, True, False, False])
    assert calibration_error(on, np.array([0.95, 0.95, 0.05, 0.05])) == pytest.approx(0.05)
    assert calibration_error(on, np.full(4, 0.5)) == 0
    assert calibration_error(on, 1.0 - on) == 1
    sure = _interval(on, np.array([1.0, 1, -1, -1]), np.arange(4), np.random.default_rng(0))
    assert sure == (1, 1)
    X, labels = _world(300)
    one = probe_report(X, {"glasses": labels["glasses"]}, permutations=19)[0]
    yes = np.array(labels["glasses"]) == "yes"
    Z = (X - X.mean(0)) / X.std(0)
    scores = out_of_fold(Z, yes[:, None], np.ones((300, 1), bool), assign_folds(300, 5, 0))
    assert one.auc == pytest.approx(roc_auc_score(yes, scores[:, 0]), abs=1e-3)


def test_description_length_falls_with_what_vectors_say():
    X, labels = _world(600)
    on = np.stack([np.array(labels[f]) == "yes" for f in ("glasses", "noise")], 1)
    rows, ids = np.ones_like(on), np.arange(600)
    plain = description_length(X, on, rows, ids, 1.0, 0)
    clear = X.copy()
    clear[:, 0] += 10 * on[:, 0]
    clearer = description_length(clear, on, rows, ids, 1.0, 0)
    assert clearer[0] < plain[0] - 0.2 and plain[1] > 0.97
    one_class = np.zeros((600, 1), bool)
    assert np.isnan(description_length(X, one_class, np.ones_like(one_class), ids, 1.0, 0)[0])


def test_refused():
    X, labels = _world(100)
    with pytest.raises(ValueError, match="at least 19"):
        probe_report(X, labels, permutations=9)
    with pytest.raises(ValueError, match="one for each vector"):
        probe_report(X, labels, groups=[1, 2])
    with pytest.raises(ValueError, match="fewer, at least 2"):
        probe_report(X, labels, groups=[1, 2] * 50)
