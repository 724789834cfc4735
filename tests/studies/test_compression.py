"""The compression study: its distance, its stages, and that it goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.judges import load_judge
from toolkit.studies import compression
from toolkit.studies.compression import (
    FACTORS_OF,
    First,
    autoencoder,
    denoiser,
    distance,
    draw,
    features,
    kernel_distance,
    portraits,
    study,
)
from toolkit.training.data import to_pictures


def test_the_distance_is_zero_for_one_cloud_and_grows_with_a_shift() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200, 8))
    assert abs(kernel_distance(a, b)) < 1
    near, far = kernel_distance(a, b + 0.5), kernel_distance(a, b + 2)
    assert 1 < near < far
    found = distance(a, b + 0.5, 0)
    assert found["value"] == pytest.approx(near, abs=1e-3) and found["n"] == 200
    assert found["halves95"][0] < near < found["halves95"][1]


def test_judge_features_tell_portraits_from_noise(weights) -> None:
    judge = load_judge("cnn")
    one, two = (features(judge, to_pictures(portraits("test", 40, seed))) for seed in (1, 2))
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    assert kernel_distance(one, two) < kernel_distance(one, features(judge, noise)) / 5


@pytest.mark.parametrize("factor", FACTORS_OF)
def test_shapes_of_every_factor(factor: int) -> None:
    x = portraits("test", 4, 0)
    torch.manual_seed(0)
    first = First(None if factor == 1 else autoencoder(factor).eval(), x)
    z = first.encode(x)
    assert z.shape == (4, FACTORS_OF[factor], 32 // factor, 32 // factor)
    assert float(z.std()) == pytest.approx(1, abs=0.05)
    if factor == 1:
        assert np.abs(first.decode(z).astype(int) - to_pictures(x)).max() <= 1
    model = denoiser(factor).eval()
    both, alone = draw(model, first, factor, [1, 2]), draw(model, first, factor, [2])
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 2  # a seed is a picture


def test_the_networks_have_as_good_as_equal_size() -> None:
    sizes = [sum(p.numel() for p in denoiser(factor).parameters()) for factor in FACTORS_OF]
    assert max(sizes) < 1.03 * min(sizes)


def test_a_stopped_study_goes_on(weights, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(compression, "PORTRAITS", 40)
    judge = load_judge("cnn")
    facts, pictures = study(judge, 8, tmp_path, 4, 6, 0)
    assert list(facts["marks"]) == ["1", "2", "4"] and len(pictures) == 6
    assert facts["first_stage_psnr_db"]["n"] == 6
    times = [mark["train_seconds"] for mark in facts["marks"].values()]
    assert times == sorted(times)
    again, same = study(judge, 8, tmp_path, 4, 6, 0)
    assert np.array_equal(pictures, same)
    assert again["marks"]["4"]["distance"] == facts["marks"]["4"]["distance"]
    assert json.loads(next(tmp_path.glob("marks-f8*")).read_text()).keys() == facts["marks"].keys()
