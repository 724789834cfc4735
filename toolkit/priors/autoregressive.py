"""The autoregressive prior of DALL-E 2 (Ramesh et al. 2022, section 2.2).

The image embedding is rotated by PCA, its leading components are cut into 1,024 buckets each,
and a causal transformer predicts them in eigenvalue order after a prefix: the caption's token
states, its embedding, and a token for how near image and text shall be. At sampling that token
comes from the top half of what training saw.

Where the paper is silent we chose: buckets of equal width over +-4 standard deviations of each
component; a bucket goes in as sines and cosines of its centre, so that neighbours look alike; 64
quantile buckets for the dot product; captions enter as CLIP's own token states.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from toolkit.clip import TextEncoding
from toolkit.priors.candidates import generator

BUCKETS, SPREAD, DOTS = 1024, 4.0, 64
WAVES = 8


class Codec:
    """Embeddings to bucket numbers and back: PCA in eigenvalue order, then equal-width buckets."""

    def __init__(self, mean: torch.Tensor, basis: torch.Tensor, sigma: torch.Tensor):
        self.mean, self.basis, self.sigma = mean, basis, sigma  # (d,), (k, d), (k,)

    @classmethod
    def fit(cls, embeddings: np.ndarray, error: float = 0.01) -> Codec:
        """Keep the fewest components that leave less than `error` of the variance (n, d)."""
        from sklearn.decomposition import PCA

        pca = PCA(svd_solver="full").fit(embeddings)
        left = 1 - np.cumsum(pca.explained_variance_ratio_)
        k = int(np.argmax(left < error)) + 1
        return cls(
            torch.tensor(pca.mean_, dtype=torch.float32),
            torch.tensor(np.asarray(pca.components_)[:k], dtype=torch.float32),
            torch.tensor(np.sqrt(pca.explained_variance_[:k]), dtype=torch.float32),
        )

    def encode(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(n, d) embeddings to (n, k) bucket numbers."""
        units = (embeddings - self.mean) @ self.basis.T / self.sigma
        return ((units / SPREAD + 1) / 2 * BUCKETS).long().clamp(0, BUCKETS - 1)

    def units(self, buckets: torch.Tensor) -> torch.Tensor:
        """Bucket centres in standard deviations."""
        return ((buckets.float() + 0.5) / BUCKETS * 2 - 1) * SPREAD

    def decode(self, buckets: torch.Tensor) -> torch.Tensor:
        """(n, k) bucket numbers to (n, d) unit embeddings."""
        return normalize((self.units(buckets) * self.sigma) @ self.basis + self.mean, dim=-1)


class Causal(nn.Module):
    """A GPT-2 trunk over [caption states, text embedding, dot-product token, components]."""

    def __init__(self, dim: int, length: int, components: int, width: int = 192, layers: int = 4):
        super().__init__()
        from transformers import GPT2Config, GPT2Model

        config = GPT2Config(
            vocab_size=1, n_positions=length + 2 + components, n_embd=width, n_layer=layers,
            n_head=3, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            bos_token_id=0, eos_token_id=0,
        )  # fmt: skip
        config._attn_implementation = "eager"  # a faster backward than SDPA in bf16 on CPU
        self.trunk = GPT2Model(config)
        self.states = nn.Linear(dim, width)
        self.text = nn.Linear(dim, width)
        self.dots = nn.Embedding(DOTS, width)
        self.value = nn.Linear(2 * WAVES, width)
        self.head = nn.Linear(width, BUCKETS)

    def values(self, units: torch.Tensor) -> torch.Tensor:
        """Values in standard deviations (..., ) to (..., width)."""
        waves = units[..., None] * (2.0 ** torch.arange(WAVES, device=units.device)) * 0.25
        return self.value(torch.cat([waves.sin(), waves.cos()], -1))

    def prefix(self, text: TextEncoding, dots: torch.Tensor) -> torch.Tensor:
        """(n, L + 2, width); padded states are zeros, for GPT-2 counts places from the left."""
        states = self.states(text.states.float()) * text.mask[..., None]
        last = [self.text(text.embedding.float() * text.embedding.shape[1] ** 0.5), self.dots(dots)]
        return torch.cat([states, torch.stack(last, 1)], 1)

    def logits(self, text: TextEncoding, dots: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
        """(n, k, buckets) for components given the ones before; `units` (n, k) are their values."""
        prefix = self.prefix(text, dots)
        x = torch.cat([prefix, self.values(units[:, :-1])], 1)
        out = self.trunk(inputs_embeds=x).last_hidden_state
        return self.head(out[:, prefix.shape[1] - 1 :])


class AutoregressivePrior:
    """Samples an image embedding component by component."""

    def __init__(self, folder: Path):
        from safetensors.torch import load_file

        arrays = load_file(folder / "prior_autoregressive" / "model.safetensors")
        arrays = {name: array.float() for name, array in arrays.items()}
        self.codec = Codec(*(arrays.pop(f"codec.{name}") for name in ("mean", "basis", "sigma")))
        length = len(arrays["trunk.wpe.weight"]) - 2 - len(self.codec.basis)
        width = arrays["trunk.wpe.weight"].shape[1]
        layers = sum(name.endswith("ln_1.weight") for name in arrays)
        dim = len(self.codec.mean)
        self.model = Causal(dim, length, len(self.codec.basis), width, layers)
        self.model.load_state_dict(arrays)
        self.model.eval()

    @torch.no_grad()
    def sample(self, text: TextEncoding, seeds: Sequence[int], trace: Any = None) -> torch.Tensor:
        """(n, d) unit image embeddings; each seed has its own dice, whatever the batch."""
        k = len(self.codec.basis)
        dice = torch.stack([torch.rand(k + 1, generator=generator(seed)) for seed in seeds])
        dots = DOTS // 2 + (dice[:, 0] * (DOTS // 2)).long()
        x, past, found, kept = self.model.prefix(text, dots), None, [], []
        for step in range(k):
            out = self.model.trunk(inputs_embeds=x, past_key_values=past, use_cache=True)
            past = out.past_key_values
            chances = self.model.head(out.last_hidden_state[:, -1]).softmax(-1).cumsum(-1)
            bucket = (chances < dice[:, step + 1, None]).sum(-1).clamp(max=BUCKETS - 1)
            found.append(bucket)
            x = self.model.values(self.codec.units(bucket))[:, None]
            if trace is not None and (step + 1) % max(1, k // 12) == 0:
                rest = torch.full((len(dice), k - step - 1), BUCKETS // 2)
                kept.append(self.codec.decode(torch.cat([torch.stack(found, 1), rest], 1)).numpy())
        result = self.codec.decode(torch.stack(found, 1))
        if trace is not None:
            trace.prior = np.stack([*kept, result.numpy()])
        return result
