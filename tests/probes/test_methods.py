"""Every method finds what was planted, in a turned or scaled space just the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind
from sklearn.decomposition import FastICA
from sklearn.utils.estimator_checks import check_estimator

from probes import (
    CAVDirections,
    ContrastivePairs,
    ICADirections,
    IdealWords,
    LeaceEraser,
    LeaceNormals,
    LinearDirections,
    MeanDifference,
    Space,
    TextDifference,
    WrongSpace,
    agreement,
    chance_cosine,
    match,
    random_direction,
)
from probes.cav import _welch

SPACE = Space("m", "image_embedding")
LABELLED = {
    "means": lambda: MeanDifference(SPACE),
    "logistic": lambda: LinearDirections(SPACE),
    "ridge": lambda: LinearDirections(SPACE, model="ridge"),
    "cav": lambda: CAVDirections(SPACE, runs=5),
    "leace": lambda: LeaceNormals(SPACE),
}


def _planted(n: int = 400, d: int = 10, seed: int = 0):
    rng = np.random.default_rng(seed)
    on, skin = rng.integers(2, size=n), rng.integers(3, size=n)
    X = 0.3 * rng.normal(size=(n, d))
    X[:, 0] += on
    X[np.arange(n), 1 + skin] += 1
    return X, {"glasses": ["yes" if o else "no" for o in on], "skin": [f"s{k}" for k in skin]}


@pytest.mark.parametrize("method", LABELLED)
def test_planted_axes_are_found_with_their_sign(method):
    X, labels = _planted()
    found = LABELLED[method]().fit(X, labels).directions_
    assert set(found) == {"glasses", "skin=s0", "skin=s1", "skin=s2"}
    assert found["glasses"].vector[0] > 0.85
    assert found["skin=s1"].vector[2] == max(found["skin=s1"].vector) > 0.6
    assert found["glasses"].sigma == pytest.approx((X @ found["glasses"].vector).std(), rel=1e-3)
    assert found["glasses"].space == SPACE and found["glasses"].evidence["n"] == 400


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 100), st.floats(0.1, 20))
@pytest.mark.parametrize("method", ["means", "leace"])
def test_a_turned_and_scaled_space_gives_the_turned_direction(method, seed, scale):
    X, labels = _planted(seed=seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(10, 10)))[0]
    order = np.random.default_rng(seed).permutation(len(X))
    plain = LABELLED[method]().fit(X, labels).directions_
    other = {factor: [column[i] for i in order] for factor, column in labels.items()}
    turned = LABELLED[method]().fit(scale * (X @ turn)[order] + 1, other).directions_
    for name, one in plain.items():
        # The normal turns with the space as the push does: turn is orthogonal.
        assert np.allclose(one.vector @ turn, turned[name].vector, atol=1e-4)
        assert turned[name].sigma == pytest.approx(scale * one.sigma, rel=1e-3)


@pytest.mark.parametrize("method", ["logistic", "cav", "ridge"])
def test_a_scaled_space_gives_the_same_probe(method):
    X, labels = _planted()
    one = LABELLED[method]().fit(X, labels).directions_["glasses"]
    other = LABELLED[method]().fit(7 * X, labels).directions_["glasses"]
    assert one.vector @ other.vector > 0.9999


def test_ica_parts_what_pca_mixes():
    """Two sources of equal variance along slanted axes: the mixing is what scikit-learn finds."""
    rng = np.random.default_rng(0)
    sources = rng.exponential(size=(3000, 2)) - 1
    mixing = np.array([[1.0, 0.2], [0.3, 1.0], [0.0, 0.5]])
    X = sources @ mixing.T + 0.01 * rng.normal(size=(3000, 3))
    ica = ICADirections(2, SPACE).fit(X)
    found = np.stack([one.vector for one in ica.directions_.values()])
    near = found @ (mixing / np.linalg.norm(mixing, axis=0))
    assert sorted(near.max(1)) == pytest.approx([1, 1], abs=0.01)  # the long tail is positive
    assert all(one.evidence["kurtosis"] > 3 for one in ica.directions_.values())
    theirs = FastICA(2, whiten="unit-variance", random_state=0, max_iter=400).fit(X)
    assert np.allclose(np.abs(ica.transform(X)), np.abs(theirs.transform(X))[:, ica.order_])
    check_estimator(ICADirections(), on_skip=None)


def test_a_cav_knows_noise_from_a_concept():
    X, labels = _planted()
    rng = np.random.default_rng(2)
    labels["noise"] = rng.permutation(labels["glasses"]).tolist()
    cavs = CAVDirections(SPACE, runs=12).fit(X, labels)
    real, noise = (cavs.directions_[n].evidence for n in ("glasses", "noise"))
    assert real["stability"] > 0.95 and real["accuracy"] > 0.85
    # Even noise gives alike CAVs where examples are shared: its random twins say how alike.
    for found in (real, noise):
        assert 0.3 < found["random_stability"] < 0.85
    assert noise["stability"] < 0.85
    assert abs(noise["accuracy"] - 0.5) < 0.15
    rising = np.zeros((50, 10))
    rising[:, 0] = 1
    felt = cavs.sensitivity("glasses", rising + 0.1 * rng.normal(size=rising.shape))
    assert felt.score == 1.0 and felt.p < 0.01
    assert cavs.sensitivity("noise", rng.normal(size=(400, 10))).p > 1e-3
    a, b = rng.normal(size=12), rng.normal(size=12) + 1
    assert _welch(a, b) == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)
    with pytest.raises(ValueError, match="no CAV is named"):
        cavs.sensitivity("beard", rising)


def test_text_differences_by_hand():
    X = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    on, off = np.array([[3.0, 1], [5, 2]]), np.array([[1.0, 1], [4, 2]])
    one = TextDifference(SPACE).fit(X, {"glasses": (on, off)}).directions_["glasses"]
    assert np.allclose(one.vector, [1, 0]) and one.sigma == 1 and np.allclose(one.mean, [1, 1])
    assert one.evidence["consistency"] == pytest.approx(1) and one.evidence["templates"] == 2
    gap = np.array([1, 1]) - np.array([13 / 4, 6 / 4])
    assert one.evidence["along_gap"] == pytest.approx(gap[0] / np.linalg.norm(gap))


def test_contrastive_pairs_are_blind_to_what_twins_share():
    rng = np.random.default_rng(0)
    off = 5 * rng.normal(size=(40, 6))
    on = off + 0.05 * rng.normal(size=off.shape)
    on[:, 3] += 1
    one = ContrastivePairs(SPACE).fit({"glasses": (on, off)}).directions_["glasses"]
    assert one.vector[3] > 0.99 and one.evidence["held_out"] == 1.0
    noise = ContrastivePairs(SPACE).fit({"noise": (rng.normal(size=(200, 6)),) * 1 + (
        rng.normal(size=(200, 6)),)}).directions_["noise"]  # fmt: skip
    assert 0.3 < noise.evidence["held_out"] < 0.7 and abs(noise.evidence["consistency"]) < 0.1


def test_ideal_words_add_up_where_meaning_does():
    rng = np.random.default_rng(0)
    skin, age = rng.normal(size=(3, 7)), rng.normal(size=(2, 7))
    grid = [(s, a) for s in range(3) for a in range(2)]
    E = np.array([skin[s] + age[a] for s, a in grid]) + 4
    labels = {"skin": [f"s{s}" for s, _ in grid], "age": [("young", "old")[a] for _, a in grid]}
    words = IdealWords(SPACE).fit(E, labels)
    # The paper's centred averages, on the whole grid.
    for s in range(3):
        average = E[[g[0] == s for g in grid]].mean(0) - E.mean(0)
        assert np.allclose(words.words_["skin"][f"s{s}"], average)
    step = age[1] - age[0]
    assert np.allclose(words.directions_["age"].vector, step / np.linalg.norm(step), atol=1e-5)
    assert words.r2_ == pytest.approx(1)
    holes = [0, 1, 2, 3, 4]
    fewer = IdealWords(SPACE).fit(E[holes], {f: [c[i] for i in holes] for f, c in labels.items()})
    assert np.allclose(fewer.directions_["age"].vector, words.directions_["age"].vector, atol=1e-5)
    big = np.repeat(np.arange(6), 8)
    noisy = rng.normal(size=(48, 7))
    spread = {f: [c[i] for i in big] for f, c in labels.items()}
    assert IdealWords(SPACE).fit(noisy, spread).r2_out_ < 0.1
    assert IdealWords(SPACE).fit(E[big] + 0.1 * noisy, spread).r2_out_ > 0.9


def test_agreement_by_hand_and_its_chance():
    X, labels = _planted()
    means = MeanDifference(SPACE).fit(X, labels).directions_
    probes = LinearDirections(SPACE).fit(X, labels).directions_
    three = [means["glasses"], probes["glasses"], means["skin=s0"]]
    found = agreement(three)
    assert found.cosines[0, 1] > 0.95 and np.allclose(np.diag(found.cosines), 1)
    assert found.meeting()[0][:2] == (
        "difference of class means: glasses",
        "logistic probe, its pattern: glasses",
    )
    reads = agreement(three, X)
    assert reads.metric == "whitened"
    assert reads.cosines[0, 2] == pytest.approx(
        np.corrcoef(X @ three[0].vector, X @ three[2].vector)[0, 1], abs=1e-5
    )
    rng = np.random.default_rng(0)
    V = rng.normal(size=(4000, 2, 10))
    V /= np.linalg.norm(V, axis=-1, keepdims=True)
    beyond = (np.abs((V[:, 0] * V[:, 1]).sum(-1)) > chance_cosine(10)).mean()
    assert 0.04 < beyond < 0.06
    stranger = MeanDifference(Space("other", "image_embedding")).fit(X, labels).directions_
    with pytest.raises(WrongSpace, match="belongs to"):
        agreement([means["glasses"], stranger["glasses"]])


def test_dictionaries_are_matched_one_to_one_and_against_chance():
    X, labels = _planted()
    means = MeanDifference(SPACE).fit(X, labels).directions_
    probes = LinearDirections(SPACE).fit(X, labels).directions_
    paired = match(means, probes)
    assert all(one.first == one.second for one in paired)
    assert all(one.p < 0.1 for one in paired)
    noise = {f"r{s}": random_direction(means["glasses"], s) for s in range(60)}
    by_chance = match({"glasses": means["glasses"]}, noise)[0]
    assert by_chance.cosine > 0.5 and by_chance.p > 0.02  # close, and yet nothing
    with pytest.raises(ValueError, match="empty"):
        match(means, {})


# Its predict gives a dict by factor, which these checks take for an array.
BY_FACTOR = (
    "check_estimators_pickle", "check_methods_sample_order_invariance",
    "check_methods_subset_invariance", "check_fit_idempotent",
)  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [MeanDifference(), LinearDirections(), CAVDirections(runs=3), LeaceNormals(), LeaceEraser(),
     IdealWords()],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_methods_with_labels_keep_the_contract_of_an_estimator(method):
    """Text differences and contrastive pairs are fitted on vectors by name, not on one matrix."""
    known = dict.fromkeys(BY_FACTOR, "predict gives a dict by factor")
    check_estimator(
        method, on_skip=None,
        expected_failed_checks=known if isinstance(method, LinearDirections) else None,
    )  # fmt: skip
