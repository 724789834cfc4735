"""Discovery finds what was planted, agrees with scikit-learn, and ignores hidden labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import check_estimator

from probes import LinearDirections, MeanDifference, PCADirections, Space, steering_effect
from probes.effect import exact_interval

SPACE = Space("m", "image_embedding")


@pytest.fixture
def planted():
    """300 vectors in 12 dimensions: axis 0 carries glasses, axes 1 to 3 a three-level factor."""
    rng = np.random.default_rng(0)
    glasses, skin = rng.integers(2, size=300), rng.integers(3, size=300)
    X = 0.3 * rng.normal(size=(300, 12))
    X[:, 0] += glasses
    X[np.arange(300), 1 + skin] += 1
    labels = {"glasses": list(np.array(["no", "yes"])[glasses]), "skin": [f"s{k}" for k in skin]}
    return X, labels


@pytest.mark.parametrize(
    ("kind", "rows", "near"),
    [
        (np.float64, 300, 1e-9),
        (np.float64, 9, 1e-9),
        (np.float32, 300, 1e-4),
        (np.float16, 300, 1e-4),
    ],
)
def test_pca_agrees_with_scikit_learn(planted, kind, rows, near):
    X = (planted[0][:rows] + 5).astype(kind)
    mine = PCADirections(3, SPACE).fit(X)
    theirs = PCA(3, svd_solver="full").fit(X.astype(np.float64))
    np.testing.assert_allclose(mine.components_, theirs.components_, atol=near)
    for ours in ("mean_", "explained_variance_", "explained_variance_ratio_"):
        np.testing.assert_allclose(getattr(mine, ours), getattr(theirs, ours), rtol=near)
    np.testing.assert_allclose(mine.transform(X), theirs.transform(X), atol=20 * near)
    for direction, vector in zip(mine.directions_.values(), theirs.components_, strict=True):
        assert np.allclose(direction.vector, vector, atol=max(near, 1e-6))
        assert np.isclose(direction.sigma, np.std(X @ vector, ddof=1), rtol=1e-3)


def test_pca_refuses_more_components_than_vectors_vary_along(planted):
    X = planted[0].copy()
    X[:, 4:] = 1
    assert len(PCADirections(4).fit(X).directions_) == 4
    for few in (X, X.astype(np.float32), X[:12]):
        with pytest.raises(ValueError, match=r"5 components .* vary along 4 only; ask for 4"):
            PCADirections(5).fit(few)
    with pytest.raises(ValueError, match="vary along 0 only; ask for components of vectors that"):
        PCADirections(1).fit(np.ones((20, 3)))
    with pytest.raises(ValueError, match="0 components were asked for; give at least 1"):
        PCADirections(0).fit(X)


def test_pca_keeps_the_contract_of_an_estimator():
    check_estimator(PCADirections(), on_skip=None)


@pytest.mark.parametrize("kind", [LinearDirections, MeanDifference])
def test_planted_axes_are_found_with_their_sign(planted, kind):
    X, labels = planted
    found = kind(SPACE).fit(X, labels).directions_
    assert set(found) == {"glasses", "skin=s0", "skin=s1", "skin=s2"}
    assert found["glasses"].vector[0] > 0.9
    assert found["skin=s1"].vector[2] == max(found["skin=s1"].vector)
    assert np.isclose(found["glasses"].sigma, (X @ found["glasses"].vector).std(), rtol=1e-4)


def test_probe_scores_selectivity_and_prediction(planted):
    X, labels = planted
    probes = LinearDirections(SPACE).fit(X, labels)
    assert probes.scores_["glasses"] > 0.9 and probes.selectivity_["glasses"] > 0.3
    assert (probes.predict(X)["glasses"] == np.array(labels["glasses"])).mean() > 0.9
    noise = LinearDirections(SPACE).fit(
        X, {"noise": list(np.random.default_rng(1).permutation(labels["glasses"]))}
    )
    assert noise.scores_["noise"] < 0.65


def test_hidden_labels_are_left_out(planted):
    X, labels = planted
    wrong = [("no" if g == "yes" else "yes") for g in labels["glasses"][:100]]
    masked = [None] * 100 + labels["glasses"][100:]
    spoiled = wrong + labels["glasses"][100:]
    clean = MeanDifference(SPACE).fit(X, {"glasses": masked}).directions_["glasses"]
    dirty = MeanDifference(SPACE).fit(X, {"glasses": spoiled}).directions_["glasses"]
    assert clean.evidence["n"] == 200
    assert clean.evidence["gap"] > 2 * dirty.evidence["gap"]


def test_one_level_is_refused(planted):
    X, _ = planted
    for kind in (LinearDirections, MeanDifference):
        with pytest.raises(ValueError, match="one level"):
            kind(SPACE).fit(X, {"hat": ["yes"] * len(X)})


def test_effect_by_hand():
    before = {
        "glasses": np.array(["no", "no", "no", "yes", "unclear"]),
        "age": np.array(["old"] * 5),
    }
    after = {
        "glasses": np.array(["yes", "no", "unclear", "yes", "yes"]),
        "age": np.array(["young", "old", "unclear", "old", "old"]),
    }
    effect = steering_effect(before, after, "glasses", "yes")
    assert (effect.n, effect.unclear) == (3, 1)
    assert effect.flip == pytest.approx(1 / 3)
    assert effect.leakage == {"age": pytest.approx(1 / 2)}
    assert exact_interval(0, 0) == (0, 1)
    assert exact_interval(3, 3)[0] == pytest.approx(0.025 ** (1 / 3))


def test_the_direction_says_how_vectors_change_not_how_to_read_them() -> None:
    """Haufe et al. 2014, figure 1: a second axis that carries only the noise of the first."""
    rng = np.random.default_rng(4)
    on, noise = rng.integers(2, size=2000), rng.normal(size=2000)
    X = np.stack([on + noise, 0.9 * noise], 1) + 0.01 * rng.normal(size=(2000, 2))
    vector = LinearDirections(SPACE).fit(X, {"glasses": np.array(["no", "yes"])[on]})
    found = vector.directions_["glasses"].vector
    probe = vector.weights_["glasses"]
    assert abs(probe[1]) > 0.5 * abs(probe[0])  # reading needs both axes
    assert found[0] > 0.98 and abs(found[1]) < 0.15  # the factor moves the first alone
