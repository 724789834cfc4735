"""Twin captions differ in one factor's words and in nothing else."""

from __future__ import annotations

import pytest

from toolkit.errors import UserError
from toolkit.studies.asked import asked_levels
from toolkit.studies.discover import check_factors, labels, paired_captions, poles
from toolkit.world import FACTORS, Portrait


@pytest.mark.parametrize("factor", FACTORS)
def test_twins_differ_in_one_factor_alone(factor: str) -> None:
    for level in poles(factor).values():
        with_level, without = paired_captions(factor, level, 12, seed=3)
        assert len(with_level) == len(without) == 12
        for on, off in zip(with_level, without, strict=True):
            one, other = asked_levels(on), asked_levels(off)
            assert one.pop(factor) == level
            assert other.pop(factor) != level
            # A named hair colour of a bald head is the beard's, which is then named too.
            for hair in ("beard", "hair_color"):
                if factor in ("hair_color", "hair_style"):
                    one.pop(hair, None)
                    other.pop(hair, None)
            assert one == other, (on, off)


def test_a_binary_factor_has_one_direction_and_others_one_a_level() -> None:
    assert poles("glasses") == {"glasses": "yes"}
    assert poles("age") == {"age": "old"}
    assert poles("expression") == {f"expression={level}": level for level in FACTORS["expression"]}


def test_hidden_and_undefined_levels_are_no_labels() -> None:
    plain = dict(zip(FACTORS, (levels[0] for levels in FACTORS.values()), strict=True))
    bald = Portrait(**plain | {"hair_style": "bald"})
    chef = Portrait(**plain | {"hair_style": "short", "attire": "chef"})
    assert labels([bald, chef], "hair_color") == [None, None]
    assert labels([bald, chef], "hair_style") == ["bald", None]


def test_factors_are_checked_once_and_in_order() -> None:
    assert check_factors([]) == tuple(FACTORS)
    assert check_factors(["age", "glasses", "age"]) == ("age", "glasses")
    with pytest.raises(UserError, match="choose from skin"):
        check_factors(["height"])
