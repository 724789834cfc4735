"""Training a sparse autoencoder where only the encoder's product is dense.

Of the five dense products of a usual step (encode, decode, and three gradients) four touch k of
L latents a row. They are done here on those k alone, by the weighted row sums that embedding
tables are built for; gradients are the exact ones (the tests compare them with autograd).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

BLOCK = 256  # rows whose activations stay in the cache from the product to the selection


@dataclass
class Weights:
    """Encoder (L, d) with bias (L,), decoder (L, d) of unit rows with bias (d,); torch, fp32."""

    encoder: torch.Tensor
    encoder_bias: torch.Tensor
    decoder: torch.Tensor
    bias: torch.Tensor

    def all(self) -> list[torch.Tensor]:
        return [self.encoder, self.encoder_bias, self.decoder, self.bias]


@dataclass(frozen=True)
class Code:
    """Active latents of m rows, row after row: `latent` and `value` (nnz,), `starts` (m + 1,)."""

    latent: np.ndarray
    value: np.ndarray
    starts: np.ndarray

    @property
    def row(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def new_weights(latents: int, d: int, seed: int) -> Weights:
    """Random unit decoder rows, the encoder its copy (Gao et al. 2024, appendix A.1)."""
    import torch

    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((latents, d)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    tensor = torch.from_numpy(rows)
    return Weights(tensor.clone(), torch.zeros(latents), tensor, torch.zeros(d))


def _kth(values: np.ndarray, k: int) -> np.ndarray:
    """(m, 1) k-th largest of each row (m, w)."""
    at = values.shape[1] - k
    return np.partition(values, at, axis=1)[:, at : at + 1]


def top_per_row(active: np.ndarray, k: int) -> Code:
    """The k largest positive activations of each row (m, L); exact ties at the border all stay.

    The k-th largest of the maxima of L / 32 interleaved groups is a floor of the k-th largest
    activation: what lies above it is little more than k, and is sorted out exactly.
    """
    m, L = active.shape
    if L % 32 == 0 and 2 * k <= L // 32:
        floor = _kth(active.reshape(m, 32, L // 32).max(1), k)
    else:
        floor = _kth(active, min(k, L))
    flat = np.flatnonzero((active >= floor) & (active > 0))
    row, value = flat // L, active.ravel()[flat]
    counts = np.bincount(row, minlength=m)
    if counts.max(initial=0) > k:
        starts = np.concatenate([[0], np.cumsum(counts)])
        padded = np.full((m, counts.max()), -np.inf, np.float32)
        padded[row, np.arange(len(flat)) - starts[row]] = value
        keep = value >= _kth(padded, k)[row, 0]
        flat, row, value = flat[keep], row[keep], value[keep]
        counts = np.bincount(row, minlength=m)
    return Code(flat % L, value, np.concatenate([[0], np.cumsum(counts)]))


def above(active: np.ndarray, floor: float) -> Code:
    """All activations above `floor`, at least 0."""
    m, L = active.shape
    flat = np.flatnonzero(active > max(floor, 0.0))
    counts = np.bincount(flat // L, minlength=m)
    return Code(flat % L, active.ravel()[flat], np.concatenate([[0], np.cumsum(counts)]))


def top_per_batch(active: np.ndarray, k: int) -> Code:
    """The m k largest positive activations of m rows together (Bussmann et al. 2024, BatchTopK)."""
    count = min(len(active) * k, active.size)
    floor = np.partition(active.ravel(), active.size - count)[active.size - count]
    return above(active, np.nextafter(np.float32(floor), np.float32(-np.inf)))


def joined(codes: list[Code]) -> Code:
    """Codes of consecutive rows as one."""
    counts = np.concatenate([np.diff(code.starts) for code in codes])
    return Code(
        np.concatenate([code.latent for code in codes]),
        np.concatenate([code.value for code in codes]),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def encode(weights: Weights, x: np.ndarray, select: Callable[[np.ndarray], Code], whole: bool):
    """The Code of vectors (m, d); `whole` selects over all rows together."""
    # numpy's product, not torch's: on CPUs without AVX-512 it was a quarter faster.
    W = weights.encoder.numpy().T
    shift = weights.encoder_bias.numpy() - weights.bias.numpy() @ W
    block = len(x) if whole else BLOCK
    return joined([select(x[i : i + block] @ W + shift) for i in range(0, len(x), block)])


def row_sums(table: torch.Tensor, index: Any, starts: Any, by: Any) -> torch.Tensor:
    """(m, d) sums of rows `index` of a table (t, d), each times `by`, between `starts` (m + 1,)."""
    import torch

    return torch.nn.functional.embedding_bag(
        index, table, starts[:-1], mode="sum", per_sample_weights=by
    )


def gradients(
    weights: Weights, x: np.ndarray, code: Code, prefixes: tuple[int, ...]
) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients (as `Weights.all`) for rows x (m, d) and their code.

    The loss is the mean over rows of |x - reconstruction|^2, averaged over reconstructions from
    the first p latents for every p in `prefixes` (Bussmann et al. 2025, Matryoshka; one prefix,
    all latents, is the plain autoencoder).
    """
    import torch

    m, L = len(x), len(weights.decoder)
    X = torch.from_numpy(np.ascontiguousarray(x))
    latent, row = torch.from_numpy(code.latent), torch.from_numpy(code.row)
    starts, value = torch.from_numpy(code.starts), torch.from_numpy(code.value)
    reach = torch.searchsorted(torch.tensor(prefixes), latent, right=True)
    so_far, errors, loss = weights.bias.expand(m, -1), [], 0.0
    for band in range(len(prefixes)):
        mine = value if len(prefixes) == 1 else value * (reach == band)
        so_far = so_far + row_sums(weights.decoder, latent, starts, mine)
        error = so_far - X
        loss += float(error.square().sum()) / m / len(prefixes)
        errors.append(error.mul_(2 / m / len(prefixes)))
    order = torch.argsort(latent, stable=True)
    ends = torch.nn.functional.pad(torch.bincount(latent, minlength=L).cumsum(0), (1, 0))
    decoder, into = torch.zeros_like(weights.decoder), torch.zeros_like(value)
    felt = torch.zeros_like(X)
    for band in reversed(range(len(prefixes))):
        felt = felt + errors[band]  # what latents of this band change: their prefix and longer ones
        mine = value if len(prefixes) == 1 else value * (reach == band)
        decoder += row_sums(felt, row[order], ends, mine[order])
        share = _dots(weights.decoder, latent, starts, felt)
        into += share if len(prefixes) == 1 else share * (reach == band)
    encoder_bias = torch.zeros(L).index_add_(0, latent, into)
    encoder = row_sums(X, row[order], ends, into[order])
    encoder -= encoder_bias[:, None] * weights.bias
    bias = felt.sum(0) - encoder_bias @ weights.encoder
    return loss, [encoder, encoder_bias, decoder, bias]


def _dots(table: torch.Tensor, index: Any, starts: Any, rows: torch.Tensor) -> torch.Tensor:
    """(nnz,) products of each row with the table's rows that belong to it."""
    import torch

    by = torch.zeros(len(index), requires_grad=True)
    (found,) = torch.autograd.grad(row_sums(table, index, starts, by), by, rows)
    return found


def batches(n: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Row numbers of one epoch in random order, `size` at a time."""
    order = rng.permutation(n)
    for i in range(0, n, size):
        yield order[i : i + size]


class Trainer:
    """Adam on the weights, decoder rows kept at length one, dead latents sown anew."""

    def __init__(self, weights: Weights, lr: float):
        import torch

        self.weights = weights
        self.adam = torch.optim.Adam(weights.all(), lr=lr, fused=True)
        self.fired = np.zeros(len(weights.decoder), np.int64)

    def step(self, x: np.ndarray, code: Code, prefixes: tuple[int, ...]) -> float:
        """One step on rows x (m, d). Returns the loss before it."""
        loss, grads = gradients(self.weights, x, code, prefixes)
        decoder = self.weights.decoder
        grads[2] -= (grads[2] * decoder).sum(1, keepdim=True) * decoder
        for tensor, grad in zip(self.weights.all(), grads, strict=True):
            tensor.grad = grad
        self.adam.step()
        decoder /= decoder.norm(dim=1, keepdim=True)
        self.fired += np.bincount(code.latent, minlength=len(decoder))
        return loss

    def sow(self, x: np.ndarray, error: np.ndarray, rng: np.random.Generator) -> int:
        """Point latents that never fired at badly rebuilt rows (Bricken et al. 2023). How many.

        x (m, d) and their errors (m, d). Counts of firing start over.
        """
        import torch

        dead = np.flatnonzero(self.fired == 0)
        self.fired[:] = 0
        size = (error**2).sum(1)
        if not len(dead) or not size.sum() > 0:
            return 0
        rows = rng.choice(len(x), len(dead), p=size / size.sum())
        new = error[rows] / np.maximum(np.linalg.norm(error[rows], axis=1, keepdims=True), 1e-12)
        w = self.weights
        index = torch.from_numpy(dead)
        w.decoder[index] = torch.from_numpy(new.astype(np.float32))
        w.encoder[index] = w.decoder[index] * w.encoder.norm(dim=1).mean()
        w.encoder_bias[index] = 0
        for tensor in (w.decoder, w.encoder, w.encoder_bias):
            state = self.adam.state.get(tensor, {})
            for key in ("exp_avg", "exp_avg_sq"):
                if key in state:
                    state[key][index] = 0
        return len(dead)
