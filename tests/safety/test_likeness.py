"""Likeness by known geometry: people, their sittings, people merely alike, and strangers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from safety import BadRegistry, Likeness, Person, Registry
from safety.likeness import Added, Space, apart, recognised, space_of_faces

FACTORS, LEVELS, COSTUME = 8, 4, 8
D = FACTORS * LEVELS + COSTUME


def _who(levels: np.ndarray) -> np.ndarray:
    """(8,) levels as (32,) one-hot marks, 3 high."""
    return 3 * np.eye(LEVELS)[levels].ravel()


@pytest.fixture(scope="module")
def faces():
    """Identity is a level of each of 8 factors; costume varies twice as much and says nothing."""
    rng = np.random.default_rng(3)
    noise = np.r_[0.5 * np.ones(FACTORS * LEVELS), 2 * np.ones(COSTUME)]

    def sittings(levels: np.ndarray, k: int) -> np.ndarray:
        return np.r_[_who(levels), np.zeros(COSTUME)] + rng.normal(size=(k, D)) * noise

    def other(levels: np.ndarray) -> np.ndarray:
        changed, at = levels.copy(), int(rng.integers(FACTORS))
        changed[at] = (changed[at] + rng.integers(1, LEVELS)) % LEVELS
        return changed

    strangers = np.concatenate([sittings(rng.integers(4, size=8), 1) for _ in range(2000)])
    pairs = np.stack([sittings(rng.integers(4, size=8), 4) for _ in range(150)])
    identities = rng.integers(4, size=(5, 8))
    people = tuple(Person(f"p{i}", i == 4, sittings(w, 40)) for i, w in enumerate(identities))
    near = [np.concatenate([sittings(other(w), 1) for _ in range(150)]) for w in identities]
    return Registry(people, "m"), strangers, pairs, near, identities, sittings


def test_sitters_are_found_and_the_alike_let_through(faces) -> None:
    registry, strangers, pairs, near, identities, sittings = faces
    space = space_of_faces(strangers, pairs)
    check = Likeness.fit(registry, strangers, space=space, near=near)
    for index, who in enumerate(identities):
        scores = check.scores(sittings(who, 100))
        assert (scores.argmax(1) == index).mean() > 0.98
        assert (scores.max(1) >= 0).mean() > 0.9
    assert check.calibration["alike_let_through"] > 0.9
    assert check.calibration["fpir"] < 0.02
    flagged = check("image", None, sittings(identities[0], 1))[0][0]
    assert flagged.verdict == "flag" and "p0" in flagged.reason and flagged.threshold == 0
    passed = check("image", None, sittings(identities[4], 1))[0][0]
    assert passed.verdict == "pass" and "has consented" in passed.reason


def test_costume_does_not_count_once_sittings_are_known(faces) -> None:
    _, strangers, pairs, _, identities, sittings = faces
    of_sittings, of_all = space_of_faces(strangers, pairs), space_of_faces(strangers)

    def apart(space: Space) -> float:
        """How much nearer two sittings of one person are than those of two people."""
        one = space(np.stack([sittings(who, 1)[0] for who in identities]))
        two = space(np.stack([sittings(who, 1)[0] for who in identities]))
        same = np.diag(one @ two.T)
        return float(same.mean() - (one @ two.T)[~np.eye(5, dtype=bool)].mean())

    assert apart(of_sittings) > apart(of_all) + 0.2


def test_whitening_makes_sittings_round(faces) -> None:
    _, strangers, pairs, *_ = faces
    space = space_of_faces(strangers, pairs)
    around = (pairs - pairs.mean(1, keepdims=True)).reshape(-1, D) @ space.root
    spread = np.linalg.eigvalsh(np.cov(around.T) * 4 / 3)
    assert 0.6 < spread.min() <= spread.max() < 1.4


def test_whoever_withholds_comes_before_a_nearer_one_who_consents(faces) -> None:
    registry, strangers, *_ = faces
    check = Likeness.fit(registry, strangers)
    margins = np.array([-1.0, 0.1, -1.0, -1.0, 0.3])  # p1 withholds, p4 consents and is nearer
    assert recognised(check, "image", margins).concept == "p1"
    alone = recognised(check, "image", np.array([-1.0, -0.1, -1.0, -1.0, 0.3]))
    assert (alone.concept, alone.verdict, alone.exempt) == ("p4", "pass", True)
    people = list(registry.people)
    people[1] = replace(people[1], entry=7)
    real = replace(check, registry=Registry(tuple(people), registry.model))
    found = recognised(real, "image", margins)
    assert (found.concept, found.verdict, found.exempt) == ("p1", "flag", False)
    nobody = recognised(real, "image", np.array([-1.0, -0.1, -1.0, -1.0, -1.0]))
    assert (nobody.concept, nobody.verdict) == ("", "pass") and "p1" not in nobody.reason


def test_more_people_join_at_gates_of_their_own(faces) -> None:
    registry, strangers, pairs, near, identities, sittings = faces
    space = space_of_faces(strangers, pairs)
    check = Likeness.fit(registry, strangers, space=space, near=near)
    who = np.arange(8) % 4
    added = Registry((Person("new", False, sittings(who, 5), entry=0),), "m")
    more = Added(apart(space, strangers[:1500], 20), added.people, np.array([0.5]))
    merged = check.joined(added, more, strangers[1500:])
    x = np.concatenate([sittings(who, 50), sittings(identities[0], 50)])
    assert np.array_equal(merged.scores(x)[:, :5], check.scores(x))
    mean = more.space(added.people[0].templates).mean(0)
    cosine = more.space(x) @ mean / np.linalg.norm(mean)
    assert np.allclose(merged.scores(x)[:, 5], cosine - 0.5)
    assert (merged.scores(sittings(who, 100))[:, 5] >= 0).mean() > 0.9
    assert merged.calibration["people"] == 6 and merged.calibration["impostors"] == 500
    with pytest.raises(BadRegistry, match="of another CLIP"):
        check.joined(Registry(added.people, "other"), more, strangers)


def test_axes_are_those_on_which_people_differ(faces) -> None:
    """Costume, which tells nothing of who somebody is, has no part in them."""
    _, strangers, pairs, *_ = faces
    found = apart(space_of_faces(strangers, pairs), strangers, 20)
    assert found.root.shape == (D, 20)
    weight = (found.root**2).sum(1) * strangers.var(0)
    assert weight[-COSTUME:].sum() < 0.05 * weight.sum()


def test_no_number_is_an_error(faces) -> None:
    registry, strangers, *_ = faces
    check = Likeness.fit(registry, strangers)
    found = check("image", None, np.full((1, D), np.nan))[0][0]
    assert found.verdict == "error"
