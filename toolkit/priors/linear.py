"""Two priors without a sampler: the best linear map, and none at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from toolkit.clip import TextEncoding

FEW = 500  # pairs of the small fit


def fit_linear(texts: np.ndarray, images: np.ndarray, ridge: float = 1e-3) -> dict[str, np.ndarray]:
    """The affine map of least squared error from (n, d) text to (n, d) image embeddings.

    Ridge regression in closed form; `ridge` is relative to the mean variance of a text axis.
    """
    mean_text, mean_image = texts.mean(0), images.mean(0)
    x, y = (texts - mean_text).astype(np.float64), (images - mean_image).astype(np.float64)
    gram = x.T @ x
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram, x.T @ y)
    return {
        "weights": weights.astype(np.float32),
        "mean_text": mean_text.astype(np.float32),
        "mean_image": mean_image.astype(np.float32),
    }


class LinearPrior:
    """An affine map of the text embedding: one answer a text, whatever the seed."""

    def __init__(self, folder: Path, which: str = "all"):
        from safetensors.torch import load_file

        arrays = load_file(folder / "prior_linear" / "model.safetensors")
        self.weights, self.mean_text, self.mean_image = (
            arrays[f"{which}.{name}"] for name in ("weights", "mean_text", "mean_image")
        )

    @torch.no_grad()
    def sample(self, text: TextEncoding, seeds: Sequence[int], trace: Any = None) -> torch.Tensor:
        """(n, d) unit image embeddings; the seeds change nothing."""
        found = (text.embedding.float() - self.mean_text) @ self.weights + self.mean_image
        return _kept(normalize(found, dim=-1), trace)


class NoPrior:
    """The text embedding straight into the decoder (Ramesh et al. 2022, section 5.1)."""

    def sample(self, text: TextEncoding, seeds: Sequence[int], trace: Any = None) -> torch.Tensor:
        """The text embeddings themselves."""
        return _kept(normalize(text.embedding.float(), dim=-1), trace)


def _kept(found: torch.Tensor, trace: Any) -> torch.Tensor:
    if trace is not None:
        trace.prior = found.numpy()[None].copy()
    return found
