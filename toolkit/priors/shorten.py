"""A prior's transformer without the padding after the longest caption: the same numbers, sooner."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from toolkit.clip import TextEncoding


def shortened(model: Any, text: TextEncoding) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """A PriorTransformer for the captions' own length, their states (n, L, d) and mask (n, L).

    Padding is masked out of every attention and nothing is read at its places, so leaving it out
    changes nothing; the places of all other tokens stay. Weights are shared, not copied.
    """
    full = text.states.shape[1]
    length = int(text.mask.sum(1).max())
    states, mask = text.states[:, :length], text.mask[:, :length]
    if length == full or model.positional_embedding.shape[1] != full + model.additional_embeddings:
        return model, text.states, text.mask
    places = [*range(length), *range(full, model.positional_embedding.shape[1])]
    short = copy.copy(model)
    short._parameters, short._buffers = dict(model._parameters), dict(model._buffers)
    short.positional_embedding = nn.Parameter(
        model.positional_embedding[:, places], requires_grad=False
    )
    short.causal_attention_mask = model.causal_attention_mask[:, : len(places), : len(places)]
    return short, states, mask
