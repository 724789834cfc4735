"""Sparse autoencoders: a dictionary larger than the space, of which each vector uses few."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from probes.direction import Direction, Space
from probes.inputs import checked, space_or_unknown

KINDS = ("topk", "batchtopk", "matryoshka")


class SparseAutoencoder(TransformerMixin, BaseEstimator):
    """TopK (Gao et al. 2024), BatchTopK (Bussmann et al. 2024) or Matryoshka TopK (2025).

    `topk` keeps the k largest activations of a vector, `batchtopk` k a vector on average over a
    batch (and, once trained, all above a learned threshold), `matryoshka` k a vector with the
    first 1/16, 1/4 and all latents each rebuilding the vector, so that the first are the
    broadest. Vectors are centred and brought to unit mean square length first.

    Directions are the decoder's rows of latents that fired. For CPU, in fp32.

    Misleads when a latent is taken for *the* unit of meaning: another seed gives other latents
    (compare by `probes.match`, which holds a random dictionary against it), a broad concept splits
    over many, and labelled means usually detect a concept better (Wu et al. 2025).

    Learned: `directions_` ("latent 7" to Direction), `weights_`, `mean_` (d,), `scale_`,
    `threshold_`, `losses_` (epochs,) mean squared error a row, `explained_` (share of variance),
    `dead_` (share of latents that fired for no row).
    """

    def __init__(
        self,
        n_latents: int = 512,
        k: int = 16,
        kind: str = "topk",
        space: Space | None = None,
        epochs: int = 20,
        batch_size: int = 1024,
        lr: float | None = None,
        random_state: int = 0,
    ):
        self.n_latents = n_latents
        self.k = k
        self.kind = kind
        self.space = space
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _check(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no autoencoder is of kind {self.kind!r}; choose {', '.join(KINDS)}")
        if not 1 <= self.k <= self.n_latents:
            raise ValueError(
                f"k is {self.k} of {self.n_latents} latents; give 1 to {self.n_latents}"
            )
        if min(self.epochs, self.batch_size) < 1:
            raise ValueError("epochs and batch_size must be at least 1")

    @property
    def _prefixes(self) -> tuple[int, ...]:
        L = self.n_latents
        return (
            tuple(sorted({max(1, L // 16), max(1, L // 4), L}))
            if self.kind == "matryoshka"
            else (L,)
        )

    def fit(self, X: Any, y: None = None) -> SparseAutoencoder:
        """Fit on (n, d) vectors."""
        from probes import sae_training as sae

        self._check()
        X = checked(self, X, np.float32, reset=True)
        self.mean_ = X.mean(0, dtype=np.float64).astype(np.float32)
        self.scale_ = float(np.sqrt(((X - self.mean_) ** 2).sum(1).mean()))
        if not self.scale_ > 0:
            raise ValueError("all vectors are the same; a sparse autoencoder needs them to vary")
        x = (X - self.mean_) / np.float32(self.scale_)
        rng = np.random.default_rng(self.random_state)
        self.weights_ = sae.new_weights(self.n_latents, X.shape[1], self.random_state)
        lr = self.lr or 2e-4 / np.sqrt(self.n_latents / 2**14)  # Gao et al. 2024, figure 3
        trainer = sae.Trainer(self.weights_, lr)
        whole = self.kind == "batchtopk"
        select = partial(sae.top_per_batch if whole else sae.top_per_row, k=self.k)
        self.losses_, floors = np.zeros(self.epochs), []
        for epoch in range(self.epochs):
            for rows in sae.batches(len(x), self.batch_size, rng):
                code = sae.encode(self.weights_, x[rows], select, whole)
                loss = trainer.step(x[rows], code, self._prefixes)
                self.losses_[epoch] += loss * len(rows) / len(x)
                if whole and epoch == self.epochs - 1 and len(code.value):
                    floors.append(float(code.value.min()))
            if epoch < self.epochs - 1 and epoch < 0.8 * self.epochs:
                rows = rng.choice(len(x), min(len(x), self.batch_size), replace=False)
                code = sae.encode(self.weights_, x[rows], select, whole)
                trainer.sow(x[rows], x[rows] - self._rebuilt(code), rng)
        self.threshold_ = float(np.mean(floors)) if floors else 0.0
        self._describe(X, x)
        return self

    def _rebuilt(self, code: Any) -> np.ndarray:
        import torch

        from probes.sae_training import row_sums

        parts = (torch.from_numpy(a) for a in (code.latent, code.starts, code.value))
        return (row_sums(self.weights_.decoder, *parts) + self.weights_.bias).numpy()

    def _code(self, x: np.ndarray) -> Any:
        from probes import sae_training as sae

        if self.kind == "batchtopk":
            select = partial(sae.above, floor=self.threshold_)
        else:
            select = partial(sae.top_per_row, k=self.k)
        return sae.encode(self.weights_, x, select, whole=False)

    def _describe(self, X: np.ndarray, x: np.ndarray) -> None:
        L, n = self.n_latents, len(x)
        lost, fired, strength = 0.0, np.zeros(L, np.int64), np.zeros(L)
        for i in range(0, n, 4096):
            code = self._code(x[i : i + 4096])
            lost += float(((x[i : i + 4096] - self._rebuilt(code)) ** 2).sum())
            fired += np.bincount(code.latent, minlength=L)
            strength += np.bincount(code.latent, code.value, minlength=L)
        self.explained_ = 1 - lost / float((x**2).sum())
        self.dead_ = float((fired == 0).mean())
        covariance = x.T @ x / n - np.outer(x.mean(0), x.mean(0))
        decoder = self.weights_.decoder.numpy()
        spread = np.sqrt(np.maximum(((decoder @ covariance) * decoder).sum(1), 0)) * self.scale_
        space = space_or_unknown(self.space)
        self.directions_: dict[str, Direction] = {}
        for latent in np.flatnonzero(fired):
            name = f"latent {latent}"
            evidence = {
                "fires": float(fired[latent] / n),
                "activation": float(strength[latent] / fired[latent] * self.scale_),
                "explained": self.explained_,
            }
            self.directions_[name] = Direction(
                decoder[latent], self.mean_, float(spread[latent]), space, name,
                f"sparse autoencoder ({self.kind})", evidence,
            )  # fmt: skip

    def transform(self, X: Any) -> Any:
        """(n, d) vectors to a sparse (n, L) matrix (scipy CSR) of activations, in X's units."""
        from scipy.sparse import csr_matrix

        check_is_fitted(self)
        X = checked(self, X, np.float32, reset=False)
        code = self._code((X - self.mean_) / np.float32(self.scale_))
        return csr_matrix(
            (code.value * self.scale_, code.latent, code.starts), (len(X), self.n_latents)
        )

    def inverse_transform(self, code: Any) -> np.ndarray:
        """Activations (n, L) to the vectors (n, d) that they rebuild."""
        check_is_fitted(self)
        rebuilt = code @ self.weights_.decoder.numpy() / self.scale_ + self.weights_.bias.numpy()
        return np.asarray(rebuilt) * self.scale_ + self.mean_
