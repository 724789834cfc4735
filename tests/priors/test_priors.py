"""Priors: one interface, a seed is an embedding whatever the batch, and each one's known answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.clip import load_clip
from toolkit.errors import UserError
from toolkit.pipelines import Trace, load_pipeline
from toolkit.priors import PRIORS, load_prior
from toolkit.priors.autoregressive import Causal, Codec
from toolkit.priors.candidates import best_of, starts
from toolkit.priors.linear import fit_linear
from toolkit.world import caption, render_all, sample

TEXTS = ["a smiling old chef with glasses", "a doctor with long red hair on a blue background"]


@pytest.fixture(scope="module", params=PRIORS)
def prior(request, weights):
    return load_prior(request.param, weights / "unclip", load_clip())


def test_every_prior_gives_unit_embeddings_and_a_trace(prior) -> None:
    text, trace = load_clip().encode(TEXTS), Trace()
    found = prior.sample(text, [3, 4], trace)
    assert found.shape == (2, load_clip().dim)
    assert torch.allclose(found.norm(dim=1), torch.ones(2), atol=1e-4)
    assert trace.prior is not None and trace.prior.shape[1:] == found.shape
    last = trace.prior[-1] / np.linalg.norm(trace.prior[-1], axis=1, keepdims=True)
    assert np.allclose(last, found.numpy(), atol=1e-3)


def test_a_seed_is_an_embedding_whatever_the_batch(prior) -> None:
    clip = load_clip()
    together = prior.sample(clip.encode(TEXTS), [3, 4])
    alone = prior.sample(clip.encode(TEXTS[1:]), [4])
    assert torch.allclose(together[1], alone[0], atol=2e-3)


def test_a_prior_answers_the_text(prior) -> None:
    """Each text's embedding is nearest to its own portrait, far more often than by chance."""
    clip, people = load_clip(), sample("test", 60, 5)
    rng = np.random.default_rng(5)
    pictures = clip.encode_image(render_all(people))
    said = clip.encode([caption(person, rng) for person in people])
    found = prior.sample(said, list(range(60))).numpy()
    right = ((found @ pictures.T).argmax(1) == np.arange(60)).mean()
    assert right > 0.1  # chance: 1 in 60


def test_the_linear_fit_recovers_a_linear_world() -> None:
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(500, 12)).astype(np.float32)
    truth = rng.normal(size=(12, 12))
    found = fit_linear(texts, (texts @ truth + 3).astype(np.float32), ridge=1e-9)
    assert np.allclose(found["weights"], truth, atol=1e-3)


def test_the_best_candidate_is_the_nearest_to_the_text() -> None:
    text = torch.eye(4)[:2]
    candidates = torch.stack([torch.eye(4)[3], torch.eye(4)[0], torch.eye(4)[1], torch.eye(4)[2]])
    best, rows = best_of(candidates, text, 2)
    assert torch.equal(best, torch.eye(4)[:2])
    assert rows.tolist() == [1, 2]
    assert torch.equal(starts([7, 8], 2, 5)[2:], starts([8], 2, 5))


def test_the_codec_keeps_an_embedding() -> None:
    rng = np.random.default_rng(1)
    low = rng.normal(size=(2000, 10)) @ rng.normal(size=(10, 40)) + 5 * rng.normal(size=40)
    low = (low / np.linalg.norm(low, axis=1, keepdims=True)).astype(np.float32)
    codec = Codec.fit(low)
    assert len(codec.basis) <= 11
    assert (codec.sigma[:-1] >= codec.sigma[1:]).all()  # eigenvalue order
    again = codec.decode(codec.encode(torch.from_numpy(low)))
    assert (again * torch.from_numpy(low)).sum(1).mean() > 0.99


def test_the_autoregressive_model_never_looks_ahead() -> None:
    torch.manual_seed(0)
    clip = load_clip()
    text = clip.encode(TEXTS[:1])
    model = Causal(clip.dim, clip.length, 9, width=48, layers=2).eval()
    units = torch.randn(1, 9)
    changed = units.clone()
    changed[0, 5:] += 1
    with torch.no_grad():
        one, two = (model.logits(text, torch.tensor([3]), u) for u in (units, changed))
    assert one.shape == (1, 9, 1024)
    assert torch.allclose(one[:, :6], two[:, :6], atol=1e-5)
    assert not torch.allclose(one[:, 6:], two[:, 6:], atol=1e-3)


def test_priors_share_the_decoder_and_unknown_ones_are_named(weights) -> None:
    one, other = load_pipeline("unclip"), load_pipeline("unclip", "linear")
    assert one.decoder is other.decoder and one.prior is not other.prior
    with pytest.raises(UserError, match="diffusion, autoregressive, flow, linear"):
        load_pipeline("unclip", "guesswork")
