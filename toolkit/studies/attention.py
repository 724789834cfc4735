"""Where words look: the cross-attention maps of Stable Diffusion (DAAM, Tang et al. 2023).

A U-Net in latent space reads the prompt by attention: every place asks, every word answers. The
share that a place gives to a word, kept for each layer, is the word's map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch


class Keeping:
    """An attention processor that keeps its softmax and answers as the usual one does."""

    def __init__(self, name: str, into: Maps):
        self.name, self.into = name, into

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        **more: Any,
    ) -> torch.Tensor:
        residual, shape = hidden_states, hidden_states.shape
        if hidden_states.ndim == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)  # (n, places, c)
        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(part)
            for part in (attn.to_q(hidden_states), attn.to_k(words), attn.to_v(words))
        )
        shares = attn.get_attention_scores(query, key, attention_mask)  # (n * heads, places, L)
        out = attn.batch_to_head_dim(torch.bmm(shares, value))
        out = attn.to_out[1](attn.to_out[0](out))
        self.into.keep(self.name, shares.unflatten(0, (len(residual), -1)))
        if len(shape) == 4:
            out = out.transpose(1, 2).reshape(shape)
        out = out + residual if attn.residual_connection else out
        return out / attn.rescale_output_factor


@dataclass
class Maps:
    """Cross-attention as it comes: `layers[name]` is a list over calls of (n, heads, h, w, L)."""

    layers: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def keep(self, name: str, shares: torch.Tensor) -> None:
        side = round(shares.shape[2] ** 0.5)
        grid = shares.detach().unflatten(2, (side, side))
        self.layers.setdefault(name, []).append(grid.float().numpy())


@contextmanager
def keeping(unet: Any) -> Iterator[Maps]:
    """Keep every cross-attention map of the U-Net's calls inside; pictures stay the same."""
    before, maps = dict(unet.attn_processors), Maps()
    mine = {
        name: Keeping(name.removesuffix(".processor"), maps) if ".attn2." in name else processor
        for name, processor in before.items()
    }
    unet.set_attn_processor(mine)
    try:
        yield maps
    finally:
        unet.set_attn_processor(before)


# Chosen on probe portraits (see attention_pointing): the two 8 x 8 layers on the way up, while the
# picture is still mostly noise and the words decide where things go. The 4 x 4 layers point too
# coarsely, and those on the way down look at what is not yet known.
LAYERS = ("up_blocks.1.attentions.0", "up_blocks.1.attentions.1")
NOISY = 850  # of 1000 noise levels
LEVELS = (900, 950)


def spans(clip: Any, text: str) -> list[tuple[str, list[int]]]:
    """The words of a text in order, each with the positions of its pieces among the tokens."""
    found: list[tuple[str, list[int]]] = []
    word, places = "", []
    for place, token in enumerate(clip.tokens([text])[0].tolist()):
        if token == clip.tokenizer.sot_token_id:
            continue
        if token == clip.tokenizer.eot_token_id:
            break
        piece = clip.tokenizer.decode([token])
        word, places = word + piece, [*places, place]
        if piece.endswith(" "):  # the last piece of a word carries the space after it
            found.append((word.strip(), places))
            word, places = "", []
    return found


def mean_maps(kept: Maps, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
    """(n, 8, 8, L): the mean of `LAYERS` over heads and calls, for some rows of the batch."""
    every = [
        call[rows].mean(1)
        for name, calls in kept.layers.items()
        if name.startswith(LAYERS)
        for call in calls
    ]
    return np.mean(every, 0)


def word_maps(shares: np.ndarray, words: Sequence[tuple[str, list[int]]]) -> np.ndarray:
    """(words, 8, 8) of one picture's (8, 8, L): a word's share above the mean of all words."""
    everything = [place for _, places in words for place in places]
    mean = shares[..., everything].mean(-1)
    return np.stack([shares[..., places].mean(-1) - mean for _, places in words])


def enlarged(maps: np.ndarray, side: int = 64) -> np.ndarray:
    """(n, h, w) maps to (n, side, side) by bicubic interpolation."""
    x = torch.from_numpy(np.ascontiguousarray(maps))[:, None].float()
    return torch.nn.functional.interpolate(x, (side, side), mode="bicubic")[:, 0].numpy()


@torch.no_grad()
def look(model: Any, pictures: np.ndarray, texts: Sequence[str], seed: int) -> np.ndarray:
    """(n, 8, 8, L): where the words look while pictures (n, 64, 64, 3) with noise are denoised.

    The pictures are known, so what the words should look at is known too.
    """
    from toolkit.pipelines.batch import generators, noise

    clean, states = model.encode(pictures), model.states(texts)
    each = noise(tuple(clean.shape[1:]), generators([seed + i for i in range(len(texts))]))
    with keeping(model.unet) as kept:
        for level in LEVELS:
            time = torch.tensor([level])
            model.unet(model.scheduler.add_noise(clean, each, time), time, states)
    return mean_maps(kept)


@torch.no_grad()
def look_drawing(
    model: Any, texts: Sequence[str], seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 64, 64, 3) drawn from texts, and where the words looked (n, 8, 8, L)."""
    with keeping(model.unet) as kept:
        images = model.generate(texts, seeds).images
    early = sum(int(time) >= NOISY for time in model.scheduler.timesteps)
    first = Maps({name: calls[:early] for name, calls in kept.layers.items()})
    return images, mean_maps(first, slice(len(texts), None))  # guidance: the second half has words


def overlay(picture: np.ndarray, heat: np.ndarray, side: int = 128) -> np.ndarray:
    """(side, side, 3) uint8: the picture in grey, warm where the map (h, w) is high."""
    from PIL import Image

    large = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
    grey = large.astype(np.float32).mean(-1, keepdims=True) * 0.55 + 95
    top = max(float(heat.max()), 0.05)  # a word that looks nowhere stays pale
    share = np.clip(enlarged(heat[None], side)[0] / top, 0, 1)[..., None]
    warm = np.array([205, 60, 20], np.float32)
    return ((1 - 0.8 * share) * grey + 0.8 * share * warm).clip(0, 255).astype(np.uint8)
