"""The training loop: a killed run resumes to the same weights, budgets are read, rates follow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from toolkit.errors import UserError
from toolkit.training import minutes_in, recipe_named
from toolkit.training.loop import Plan, fit, learning_rate


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def _loss(model, rng):
    x = torch.from_numpy(rng.normal(size=(8, 3))).float()
    return ((model(x) - x.sum(1, keepdim=True)) ** 2).mean()


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, _ = fit("a", _net(), _loss, Plan(steps=30), tmp_path / "whole")
    calls = {"n": 0}

    def interrupted(model, rng):
        calls["n"] += 1
        if calls["n"] == 12:
            raise KeyboardInterrupt
        return _loss(model, rng)

    with pytest.raises(KeyboardInterrupt):
        fit("a", _net(), interrupted, Plan(steps=30), tmp_path / "cut")
    resumed, record = fit("a", _net(), _loss, Plan(steps=30), tmp_path / "cut")
    assert record["steps"] == 30
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_learns(tmp_path):
    model, _ = fit("a", _net(), _loss, Plan(steps=600, lr=0.05, weight_decay=0.0), tmp_path)
    assert torch.allclose(model.weight, torch.ones(1, 3), atol=0.05)


def test_learning_rate_by_hand():
    plan = Plan(steps=1, lr=2.0, warmup=0.1)
    assert learning_rate(plan, 0.5) == pytest.approx(2.0 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert learning_rate(plan, 1.0) == pytest.approx(0.0)
    assert learning_rate(plan, 0.05) < learning_rate(plan, 0.1)


def test_a_plan_needs_one_budget(tmp_path):
    with pytest.raises(ValueError, match="exactly one"):
        fit("a", _net(), _loss, Plan(), tmp_path)


@pytest.mark.parametrize(("text", "minutes"), [("3h", 180), ("90m", 90), ("45", 45), ("600s", 10)])
def test_budgets(text, minutes):
    assert minutes_in(text) == pytest.approx(minutes)


@pytest.mark.parametrize("text", ["", "soon", "-3h", "0", "nan"])
def test_bad_budgets(text):
    with pytest.raises(UserError, match="budget"):
        minutes_in(text)


def test_unknown_recipe_names_those_that_exist():
    with pytest.raises(UserError, match="autoencoder"):
        recipe_named("vae")
