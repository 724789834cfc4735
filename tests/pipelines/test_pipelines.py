"""Both pipelines: a seed is an image, traces end in the picture, edits enter where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes import Direction, Space
from toolkit.errors import UserError
from toolkit.pipelines import PIPELINES, Edit, Trace, load_pipeline

PROMPTS = ["a smiling chef with glasses on a blue background", "an old doctor", "a farmer"]


@pytest.fixture(scope="module", params=PIPELINES)
def pipeline(request, weights):
    return load_pipeline(request.param)


def _direction(pipeline, sigma: float = 0.05) -> Direction:
    d = pipeline.clip.dim
    vector = np.zeros(d, np.float32)
    vector[0] = 1
    return Direction(
        vector, np.zeros(d, np.float32), sigma, pipeline.space, "first axis", "by hand", {}
    )


def test_a_seed_is_an_image_whatever_the_batch(pipeline):
    together = pipeline.generate(PROMPTS, [5, 6, 7]).images.astype(int)
    swapped = pipeline.generate(PROMPTS[::-1], [7, 6, 5]).images[::-1].astype(int)
    alone = pipeline.generate([PROMPTS[1]], [6]).images[0].astype(int)
    assert np.abs(together[1] - alone).max() <= 2
    assert np.abs(together - swapped).max() <= 2
    assert np.abs(together[1] - pipeline.generate([PROMPTS[1]], [8]).images[0]).mean() > 1


def test_the_trace_ends_in_the_picture(pipeline):
    trace = Trace()
    batch = pipeline.generate(PROMPTS[:2], [1, 2], trace=trace, steps=5)
    assert trace.timesteps is not None and trace.latents is not None
    assert trace.predicted is not None
    assert len(trace.timesteps) == len(trace.latents) == len(trace.predicted) == 5
    assert trace.timesteps[0] == 999
    assert np.isfinite(trace.latents).all()
    if pipeline.name == "stable-diffusion":
        assert np.array_equal(trace.predicted[-1], batch.images)
        assert trace.prior is None
    else:
        assert trace.predicted.shape[1:] == (2, 32, 32, 3)
        assert batch.image_embeddings is not None and trace.prior is not None
        assert np.allclose(np.linalg.norm(batch.image_embeddings, axis=1), 1, atol=1e-4)
        assert trace.prior.shape[1:] == batch.image_embeddings.shape


def test_an_edit_of_strength_zero_changes_nothing_and_a_strong_one_does(pipeline):
    plain = pipeline.generate(PROMPTS[:1], [3], steps=4)
    zero = pipeline.generate(PROMPTS[:1], [3], [Edit(_direction(pipeline), 0.0)], steps=4)
    strong = pipeline.generate(PROMPTS[:1], [3], [Edit(_direction(pipeline, 0.3), 4.0)], steps=4)
    assert np.array_equal(plain.images, zero.images)
    assert not np.array_equal(plain.images, strong.images)
    assert plain.edited_words is None
    if pipeline.name == "stable-diffusion":  # what the guard is shown of edited states
        assert np.allclose(zero.edited_words, plain.text_embeddings, atol=1e-5)
        assert np.abs(strong.edited_words - plain.text_embeddings).max() > 0.01


def test_a_direction_of_another_site_is_refused(pipeline):
    other = Space(pipeline.clip.hash, "somewhere else")
    direction = Direction(
        np.eye(pipeline.clip.dim)[0], np.zeros(pipeline.clip.dim), 1.0, other, "x", "y", {}
    )
    with pytest.raises(ValueError, match="somewhere else"):
        pipeline.generate(PROMPTS[:1], [3], [Edit(direction, 1.0)])


def test_a_start_replaces_the_noise(pipeline):
    shape = (1, 4, 16, 16) if pipeline.name == "stable-diffusion" else (1, 3, 32, 32)
    start = torch.randn(shape, generator=torch.Generator().manual_seed(11))
    a = pipeline.generate(PROMPTS[:1], [11], start=start, steps=4).images
    b = pipeline.generate(PROMPTS[:1], [11], steps=4).images
    same = np.array_equal(a, b)
    assert same == (pipeline.name == "stable-diffusion")  # unCLIP's seed feeds two noises in turn


@pytest.mark.parametrize(
    ("prompts", "seeds", "words"),
    [
        ([], [], "no prompt"),
        ([" "], [1], "empty"),
        (["a"], [1, 2], "seeds"),
        (["a" * 10_001], [1], "10001"),
        (["a"], [-1], "seed"),
    ],
)
def test_bad_requests_are_one_sentence(pipeline, prompts, seeds, words):
    with pytest.raises(UserError, match=words):
        pipeline.generate(prompts, seeds)


@pytest.mark.parametrize("prompt", ["日本語の肖像", "🙂🙂🙂", "a" * 10_000, "<|endoftext|>"])
def test_any_text_draws(pipeline, prompt):
    assert pipeline.generate([prompt], [1], steps=2).images.shape == (1, 64, 64, 3)


def test_unknown_pipeline():
    with pytest.raises(UserError, match="stable-diffusion, unclip"):
        load_pipeline("dall-e-9")
