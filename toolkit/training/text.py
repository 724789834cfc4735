"""CLIP's text tower learns other manners of speaking, its image tower locked.

As in locked-image tuning (Zhai et al. 2022, LiT), only the text side moves: image embeddings, and
with them the unCLIP decoder, stay as they are. Half of the captions are in free manners
(`world.phrasing`). Beside the contrastive loss a caption is drawn to where the tower had put the
same facts said plainly, and plain captions keep their token states, so that what was learnt on
them still fits.
"""

from __future__ import annotations

import copy
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from toolkit.clip import Clip, load_clip
from toolkit.training.clip import families, write_folder
from toolkit.training.data import PortraitSet, portrait_set
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.training.prior import cached_embeddings
from toolkit.world import FACTORS, Portrait, describe, render, rephrase, visible_levels


def twin(portrait: Portrait, rng: np.random.Generator) -> tuple[Portrait, str]:
    """The portrait with one visible factor changed, and which; age, the hardest, twice as often."""
    names = [name for name, truth in portrait.truth().items() if truth.counts]
    factor = str(rng.choice(names + ["age"] * ("age" in names)))
    others = [level for level in FACTORS[factor] if level != getattr(portrait, factor)]
    return replace(portrait, **{factor: others[int(rng.integers(len(others)))]}), factor


def cached_twins(
    data: PortraitSet, clip: Clip, seed: int, path: Path
) -> tuple[list[tuple[Portrait, str]], np.ndarray]:
    """A twin of every portrait with its changed factor, and their embeddings (n, d)."""
    rng = np.random.default_rng([seed, 3])
    made = [twin(portrait, rng) for portrait in data.portraits]
    if not path.exists():
        sys.stderr.write(f"drawing and embedding {len(made)} twins\n")
        rows = []
        for start in range(0, len(made), 512):
            drawn = np.stack([render(one) for one, _ in made[start : start + 512]])
            rows.append(clip.encode_image(drawn))
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npy")
        np.save(temporary, np.concatenate(rows))
        os.replace(temporary, path)
    return made, np.load(path)


def said(
    portrait: Portrait, words: int, factors: tuple[str, ...] | None, free: bool
) -> tuple[str, str]:
    """A caption and the same facts in the plain manner; equal where the caption is plain."""
    plain = describe(portrait, np.random.default_rng(words), factors=factors)
    if not free or portrait.restricted != "none" or portrait.word:
        return plain.text, plain.text
    return rephrase(portrait, np.random.default_rng([words, 1]), plain.named), plain.text


def train(
    folder: Path, checkpoints: Path, plan: Plan, portraits: int = 30_000, batch: int = 128
) -> dict:
    """Tune the text tower of the CLIP in `folder` and write it back. Returns the record."""
    data = portrait_set("train", portraits, plan.seed, checkpoints)
    clip = load_clip(str(folder))
    images = torch.from_numpy(
        cached_embeddings(data, folder, data.cache(checkpoints, "embeddings"))
    )
    made, other = cached_twins(data, clip, plan.seed, data.cache(checkpoints, "twins"))
    others, codes = torch.from_numpy(other), data.codes()
    before = copy.deepcopy(clip)
    before.model.to(device()).requires_grad_(False)
    model = clip.model.train()
    model.visual.requires_grad_(False)
    model.visual.eval()
    model.logit_scale.requires_grad_(False)
    scale, end = float(model.logit_scale.detach().exp()), clip.tokenizer.eot_token_id

    def states(model, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = model.token_embedding(ids) + model.positional_embedding
        x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask))
        last = (ids == end).int().argmax(1)
        return x, functional.normalize(x[torch.arange(len(x)), last] @ model.text_projection, dim=1)

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        model.visual.eval()  # its running statistics stay
        paired = rng.integers(len(data), size=batch // 4)
        captions, plains, free = [], [], []
        for which in (0, 1):
            for index, row in enumerate(paired):
                one, (two, factor) = data.portraits[row], made[row]
                own = np.random.default_rng([plan.seed, int(row), int(paired[0]), index])
                shared = [f for f in visible_levels(one) if f in visible_levels(two)]
                kept = own.permutation([f for f in shared if f != factor])[: own.integers(0, 6)]
                words, freely = int(own.integers(1 << 31)), bool(own.random() < 0.5)
                text, plain = said((one, two)[which], words, (factor, *kept.tolist()), freely)
                captions.append(text)
                plains.append(plain)
        near = families(codes, rng, batch // 32, 8)
        rows = np.concatenate([near, rng.integers(len(data), size=batch // 2 - len(near))])
        for row in rows:
            brief = rng.random() < 0.25
            some = tuple(rng.permutation(list(FACTORS))[: rng.integers(3)]) if brief else None
            text, plain = said(
                data.portraits[row], int(rng.integers(1 << 31)), some, bool(rng.random() < 0.5)
            )
            captions.append(text)
            plains.append(plain)
        free = torch.tensor([a != b for a, b in zip(captions, plains, strict=True)]).to(device())
        seen = torch.cat([images[paired], others[paired], images[rows]]).to(device())
        with autocast():
            now, texts = states(model, clip.tokens(captions).to(device()))
            with torch.no_grad():
                was, goal = states(before.model, clip.tokens(plains).to(device()))
        texts, goal = texts.float(), goal.float()
        logits, own = scale * seen @ texts.T, torch.arange(len(seen), device=seen.device)
        contrast = functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)
        drift = ((now - was).float() ** 2).mean((1, 2))
        kept = (drift * ~free).sum() / (~free).sum().clamp(min=1)
        return contrast / 2 + 2 * (1 - (texts * goal).sum(1)).mean() + kept

    average, record = fit("text", model, loss_of, plan, checkpoints)
    write_folder(average, folder)
    return record | {"portraits": portraits, "batch": batch}
