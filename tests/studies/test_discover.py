"""Twin captions differ in one factor's words and in nothing else."""

from __future__ import annotations

import json

import pytest

from probes import Direction
from toolkit.errors import UserError
from toolkit.runs import load_run
from toolkit.studies.asked import asked_levels
from toolkit.studies.discover import (
    check_factors,
    check_methods,
    discover_run,
    labels,
    paired_captions,
    poles,
)
from toolkit.studies.discover_methods import METHODS, USUAL
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


def test_methods_are_checked() -> None:
    assert check_methods([]) == USUAL
    assert check_methods(["sae", "means", "sae"]) == ("sae", "means")
    assert check_methods(["all"]) == tuple(METHODS)
    with pytest.raises(UserError, match="no method is named 'magic'; choose from pca"):
        check_methods(["magic"])


def test_every_method_finds_glasses_or_something_else_and_agreement_is_kept(tmp_path) -> None:
    said: list[str] = []
    rows = discover_run(
        str(tmp_path / "run"), factors=["glasses"], portraits=300, seed=1, replace=False,
        say=said.append, methods=["all"],
    )  # fmt: skip
    run = load_run(tmp_path / "run")
    named = {row["name"] for row in rows if row["site"] == "image_embedding"}
    supervised = {"ridge", "means", "cav", "leace", "text", "ideal-words", "pairs"}
    assert {"glasses", "pca1", "ica1"} | {f"glasses@{m}" for m in supervised} <= named
    assert any(name.startswith("latent") for name in named)
    one = Direction.load(run.path / "directions/glasses@pairs.image_embedding.safetensors")
    assert one.name == "glasses@pairs" and one.evidence["held_out"] > 0.5
    assert one.evidence["probe"]["verdict"] in ("reads", "fails")
    table = json.loads((run.path / "agreement.json").read_text())
    assert len(table["labels"]) == len(table["cosines"]) == len(named)
    probes = json.loads((run.path / "probes.json").read_text())
    assert [probe["name"] for probe in probes] == ["glasses"]
    fails = [probe for probe in probes if probe["verdict"] == "fails"]
    assert len([line for line in said if "fails" in line]) == len(fails)
