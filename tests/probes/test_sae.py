"""Sparse autoencoders: autograd's gradients, exact selection, planted dictionaries found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import check_estimator

from probes import Direction, Space, SparseAutoencoder, match
from probes import sae_training as sae

SPACE = Space("m", "image_embedding")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 20), st.sampled_from([24, 64, 640, 1280]))
def test_the_largest_are_selected(seed, k, L):
    active = np.random.default_rng(seed).normal(size=(9, L)).astype(np.float32)
    code = sae.top_per_row(active, k)
    best = np.maximum(-np.sort(-active, axis=1)[:, :k], 0)
    for i in range(9):
        mine = slice(code.starts[i], code.starts[i + 1])
        assert np.array_equal(active[i, code.latent[mine]], code.value[mine])
        assert np.array_equal(-np.sort(-code.value[mine]), best[i][best[i] > 0])
    together = sae.top_per_batch(active, k)
    best = -np.sort(-active.ravel())[: 9 * k]
    assert np.array_equal(-np.sort(-together.value), best[best > 0])


@pytest.mark.parametrize("prefixes", [(48,), (8, 20, 48)])
def test_gradients_are_those_of_autograd(prefixes):
    rng = np.random.default_rng(1)
    w = sae.new_weights(48, 6, 0)
    w.encoder += 0.1 * torch.from_numpy(rng.normal(size=(48, 6)).astype(np.float32))
    w.bias += 0.3
    w.encoder_bias += 0.05
    x = rng.normal(size=(30, 6)).astype(np.float32)
    code = sae.encode(w, x, lambda a: sae.top_per_row(a, 5), False)
    loss, grads = sae.gradients(w, x, code, prefixes)
    tensors = [t.clone().requires_grad_() for t in w.all()]
    encoder, encoder_bias, decoder, bias = tensors
    X = torch.from_numpy(x)
    active = ((X - bias) @ encoder.T + encoder_bias).relu()
    kept = torch.zeros_like(active).scatter(1, active.topk(5).indices, 1.0) * active
    dense = sum(
        (kept[:, :p] @ decoder[:p] + bias - X).square().sum() / len(x) for p in prefixes
    ) / len(prefixes)
    dense.backward()
    assert loss == pytest.approx(dense.item(), rel=1e-5)
    for mine, theirs in zip(grads, tensors, strict=True):
        assert torch.allclose(mine, theirs.grad, atol=1e-5)


def _sparse_world(n: int = 1200, d: int = 12, atoms: int = 20, seed: int = 0):
    """Vectors made of two of `atoms` planted unit directions each, and a little noise."""
    rng = np.random.default_rng(seed)
    planted = rng.normal(size=(atoms, d))
    planted /= np.linalg.norm(planted, axis=1, keepdims=True)
    code = np.zeros((n, atoms))
    for row in code:
        row[rng.choice(atoms, 2, replace=False)] = rng.uniform(1, 2, 2)
    return code @ planted + 0.02 * rng.normal(size=(n, d)), planted


@pytest.mark.parametrize("kind", ["topk", "batchtopk"])
def test_planted_directions_are_found_beyond_chance(kind):
    X, planted = _sparse_world()
    truth = {
        f"atom {i}": Direction(v, X.mean(0), 1.0, SPACE, f"atom {i}", "planted")
        for i, v in enumerate(planted)
    }
    model = SparseAutoencoder(40, 3, kind, SPACE, epochs=30, batch_size=64, lr=5e-3).fit(X)
    assert model.explained_ > 0.9 and model.losses_[-1] < 0.75 * model.losses_[0]
    found = match(truth, model.directions_, repeats=50)
    share = np.mean([one.cosine > 0.9 for one in found])
    assert share > 0.7
    code = model.transform(X)
    assert code.shape == (1200, 40) and (code.data > 0).all()
    if kind == "batchtopk":
        assert code.nnz / 1200 == pytest.approx(3, rel=0.2)
    else:
        assert np.diff(code.indptr).max() <= 3
    rebuilt = model.inverse_transform(code)
    assert 1 - ((X - rebuilt) ** 2).sum() / ((X - X.mean(0)) ** 2).sum() == pytest.approx(
        model.explained_, abs=1e-3
    )
    name, one = next(iter(model.directions_.items()))
    assert one.sigma == pytest.approx((X @ one.vector).std(), rel=1e-3)
    assert one.evidence["fires"] == pytest.approx(
        (code[:, int(name.split()[1])].toarray() > 0).mean()
    )


def test_matryoshkas_first_latents_rebuild_more_than_a_flat_dictionarys():
    X, _ = _sparse_world()
    rebuilt = {}
    for kind in ("topk", "matryoshka"):
        model = SparseAutoencoder(48, 3, kind, epochs=12, batch_size=64, lr=5e-3).fit(X)
        code = model.transform(X).toarray()
        code[:, 12:] = 0
        error = ((X - model.inverse_transform(code)) ** 2).sum()
        rebuilt[kind] = 1 - error / ((X - X.mean(0)) ** 2).sum()
        assert model.explained_ > 0.75
    assert rebuilt["matryoshka"] > rebuilt["topk"] + 0.1


def test_the_same_seed_gives_the_same_dictionary_and_scale_changes_nothing():
    X, _ = _sparse_world(400)
    one, two, big = (
        SparseAutoencoder(16, 2, epochs=3, batch_size=100).fit(data) for data in (X, X, 50 * X)
    )
    assert np.array_equal(one.weights_.decoder.numpy(), two.weights_.decoder.numpy())
    assert big.explained_ == pytest.approx(one.explained_, abs=1e-3)


def test_dead_latents_are_sown_anew():
    X, _ = _sparse_world(400)
    w = sae.new_weights(16, 12, 0)
    w.encoder_bias[:4] = -100
    trainer = sae.Trainer(w, 1e-3)
    x = X.astype(np.float32)
    code = sae.encode(w, x, lambda a: sae.top_per_row(a, 2), False)
    trainer.step(x, code, (16,))
    gone = int((trainer.fired == 0).sum())
    assert gone >= 4 and trainer.sow(x, x, np.random.default_rng(0)) == gone
    again = sae.encode(w, x, lambda a: sae.top_per_row(a, 2), False)
    assert len(set(again.latent.tolist()) & set(range(4))) == 4


def test_contract_and_refusals():
    check_estimator(SparseAutoencoder(12, 3, epochs=2), on_skip=None)
    X = np.random.default_rng(0).normal(size=(20, 4))
    for wrong, said in (
        ({"kind": "dense"}, "no autoencoder is of kind 'dense'"),
        ({"k": 0}, "k is 0 of 512"),
        ({"epochs": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            SparseAutoencoder(**wrong).fit(X)
    with pytest.raises(ValueError, match="all vectors are the same"):
        SparseAutoencoder(8, 2).fit(np.ones((20, 4)))
