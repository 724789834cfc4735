"""Directions: refuse other spaces, survive the disk, notice damage, go as far as they say."""

from __future__ import annotations

import numpy as np
import pytest

from probes import (
    DamagedDirection,
    Direction,
    MeanDifference,
    Space,
    WrongSpace,
    orthogonalise,
    random_direction,
)

SPACE = Space("a" * 64, "image_embedding")


def _direction(d: int = 4) -> Direction:
    vector = np.zeros(d)
    vector[1] = 3.0
    return Direction(vector, np.ones(d), 0.5, SPACE, "glasses", "by hand", {"n": 3})


def test_arithmetic_by_hand():
    direction = _direction()
    assert np.allclose(direction.vector, [0, 1, 0, 0])
    assert np.allclose(direction.move(np.zeros((2, 4)), 2.0), [[0, 1, 0, 0]] * 2)
    assert np.allclose(direction.project(np.array([1, 4, 1, 1])), 3)


def test_the_disk_keeps_everything(tmp_path):
    saved = _direction()
    again = Direction.load(saved.save(tmp_path / "glasses.image"))
    assert np.array_equal(saved.vector, again.vector) and np.array_equal(saved.mean, again.mean)
    assert (again.sigma, again.space, again.name, again.method) == (
        0.5,
        SPACE,
        "glasses",
        "by hand",
    )
    assert again.evidence == {"n": 3}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "glasses.image.json",
        "glasses.image.safetensors",
    ]


@pytest.mark.parametrize("which", ["safetensors", "json"])
def test_damage_is_named(tmp_path, which):
    _direction().save(tmp_path / "x")
    path = tmp_path / f"x.{which}"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DamagedDirection, match=r"x\.safetensors|x\.json"):
        Direction.load(tmp_path / "x")
    with pytest.raises(DamagedDirection, match="there is no"):
        Direction.load(tmp_path / "nothing")


def test_another_space_is_refused():
    with pytest.raises(WrongSpace, match="text_states"):
        _direction().require(Space("a" * 64, "text_states"))
    with pytest.raises(WrongSpace):
        _direction().require(Space("b" * 64, "image_embedding"))
    _direction().require(SPACE)


def test_a_random_direction_goes_as_far():
    like = _direction(100)
    other = random_direction(like, 3)
    start = np.zeros(100)
    assert np.isclose(
        np.linalg.norm(like.move(start, 2.5)), np.linalg.norm(other.move(start, 2.5)), rtol=1e-5
    )
    assert np.array_equal(other.vector, random_direction(like, 3).vector)
    assert abs(other.vector @ like.vector) < 0.5


def test_orthogonal_to_what_leaks():
    # Two factors whose labels go together (80 % of the time), each with its own axis: the means'
    # differences hold both axes, and what is left of one after the other is its own axis alone.
    rng = np.random.default_rng(0)
    n, mixing = 4000, np.linalg.qr(rng.normal(size=(6, 6)))[0] * np.geomspace(3, 0.3, 6)
    one = rng.random(n) < 0.5
    other = np.where(rng.random(n) < 0.8, one, ~one)
    noise = rng.normal(size=(n, 6)) * np.array([0.1, 0.1, 1, 1, 1, 1])
    x = (noise + np.outer(one, np.eye(6)[0]) + np.outer(other, np.eye(6)[1])) @ mixing
    found = MeanDifference(SPACE).fit(x, {"one": one, "other": other}).directions_
    left = orthogonalise(found["one"], [found["other"]], x)
    pure = mixing[0] / np.linalg.norm(mixing[0])
    assert found["one"].vector @ pure < 0.93 and left.vector @ pure > 0.99
    discriminant = np.linalg.solve(np.cov(x.T), found["other"].vector)
    reads = [
        abs(d.vector @ discriminant) / np.linalg.norm(discriminant) for d in (found["one"], left)
    ]
    assert reads[1] < 0.02 * reads[0]
    assert np.isclose(left.sigma, (x @ left.vector).std(), rtol=1e-5)
    assert left.evidence["orthogonal_to"] == ["other"]
    with pytest.raises(ValueError, match="span"):
        orthogonalise(found["other"], [found["other"]], x)


def test_orthogonal_to_levels_that_depend_on_each_other_and_from_few_vectors():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 20))  # fewer vectors than dimensions
    three = [rng.normal(size=20) for _ in range(2)]
    three.append(-three[0] - three[1])
    levels = [Direction(v, x.mean(0), 1.0, SPACE, f"f={i}", "by hand") for i, v in enumerate(three)]
    left = orthogonalise(_direction(20), levels, x)
    again = orthogonalise(left, levels, x)
    assert np.allclose(left.vector, again.vector, atol=1e-5)
    assert np.allclose(orthogonalise(_direction(20), levels[:2], x).vector, left.vector, atol=1e-5)
    with pytest.raises(ValueError, match="span"):
        orthogonalise(levels[2], levels[:2], x)


@pytest.mark.parametrize("bad", [np.zeros(3), np.array([np.nan, 1, 1]), np.ones((2, 2))])
def test_senseless_vectors_are_refused(bad):
    with pytest.raises(ValueError):
        Direction(bad, np.zeros(bad.shape[-1]), 1.0, SPACE, "x", "y")
