"""PDQ against the hashes of Meta's own implementation, and its properties."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from safety.pdq import MATCH, chance, distance, pdq, turned

ASTRONAUT, COFFEE = data.astronaut(), data.coffee()
PICTURES = {
    "astronaut": ASTRONAUT,
    "coffee": COFFEE,
    "65 x 127": ASTRONAUT[100:165, 60:187],
    "301 x 77": COFFEE[50:351, 200:277],
    "mirrored": ASTRONAUT[:, ::-1],
    "every fifth pixel": COFFEE[::5, ::5],
    "noise": np.random.default_rng(0).integers(0, 256, (100, 90, 3)).astype(np.uint8),
}
# What ThreatExchange's C++ code gives (by its Python binding pdqhash 0.2.8).
METAS = {
    "astronaut": "2d6b1af3a956c529e79ca3d2526fa834d4196c81cedd04de0a26b855fc99b724",
    "coffee": "8c629e779a663698b9a33866c026726c21a679f61eb6e1f8c79ba7e23c8299e0",
    "65 x 127": "a4a5496b969aa92d96d5552a52955b2d4ad2eb252f5aa124bd690536aaa93ebe",
    "301 x 77": "018ee403dc313fecedfc003310036800ef3e9dee6679ca0438cc6621dfcf77fe",
    "mirrored": "383a4fa6f903127c32c9f687073afd43814c39d493a8518b7f73ed0ca9cce271",
    "every fifth pixel": "64c18e338666364cfd83b864c726f26c218679f71e36e178d799a7f63c0299e0",
    "noise": "3e3fa6a295e383b5629842f7a794939441ff49d507728f3027e843b70ec522ae",
}


@pytest.mark.parametrize("name", METAS)
def test_the_hash_is_metas_bit_for_bit(name: str) -> None:
    assert pdq(PICTURES[name]) == METAS[name]


def test_reencoding_and_resizing_move_few_bits() -> None:
    kept = io.BytesIO()
    Image.fromarray(COFFEE).save(kept, "JPEG", quality=50)
    again = np.asarray(Image.open(kept))
    smaller = np.asarray(Image.fromarray(COFFEE).resize((300, 200)))
    for changed in (again, smaller):
        assert distance(pdq(COFFEE), pdq(changed)) <= MATCH


def test_other_pictures_differ_in_about_half() -> None:
    assert 90 < distance(METAS["astronaut"], METAS["coffee"]) < 166
    assert distance(METAS["coffee"], METAS["coffee"]) == 0


def test_half_of_the_bits_are_set() -> None:
    assert int(pdq(COFFEE), 16).bit_count() == 128


def test_turned_holds_the_hash_of_each_turn() -> None:
    found = turned(ASTRONAUT)
    assert found["mirrored"] == METAS["mirrored"] and len(set(found.values())) == 5


def test_chance_counts_coin_flips() -> None:
    assert chance(256) == 1 and chance(128) == pytest.approx(0.525, abs=0.001)
    assert chance(MATCH) < 1e-30
