"""Several candidates a seed, and the one nearest the text (Ramesh et al. 2022, section 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from toolkit.seeds import generator as of_seed


def generator(seed: int) -> torch.Generator:
    """A seed's generator for its prior, apart from the one for its pixels."""
    return of_seed(int(seed) ^ 0x5EED)


def starts(seeds: Sequence[int], candidates: int, dim: int) -> torch.Tensor:
    """(n * candidates, dim) normal noise, the candidates of one seed side by side."""
    return torch.cat([torch.randn((candidates, dim), generator=generator(s)) for s in seeds])


def best_of(
    found: torch.Tensor, text: torch.Tensor, candidates: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The (n, d) unit embeddings nearest their texts, and their rows among the candidates."""
    n = len(text)
    unit = normalize(found, dim=-1).view(n, candidates, -1)
    best = (unit @ text.float()[:, :, None]).squeeze(-1).argmax(1)
    rows = torch.arange(n)
    return unit[rows, best], rows * candidates + best
