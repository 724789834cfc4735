"""CLIP on own pictures and captions: plain contrastive learning (Radford et al. 2021)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from toolkit.errors import UserError
from toolkit.text import clean
from toolkit.training import clip as recipe
from toolkit.training import towers
from toolkit.training.loop import autocast, device, fit
from toolkit.training.own_data import OwnSet

if TYPE_CHECKING:
    from PIL import Image

    from toolkit.training.own import Request, Say

RATE, TUNED_RATE = 8e-4, 5e-5


def learn(request: Request, data: OwnSet, work: Path, say: Say) -> dict[str, Any]:
    """Fill `work/model` with a CLIP folder. Returns the record of the run."""
    import open_clip

    from toolkit.training.own import watcher
    from toolkit.training.own_diffusion import plan

    source = request.source()
    torch.manual_seed(request.seed)
    model = open_clip.CLIP(**recipe.MODEL)
    if source is not None:
        config, state = towers.read_clip(source)
        if config["embed_dim"] != recipe.MODEL["embed_dim"] or set(state) != set(
            model.state_dict()
        ):
            raise UserError(f"the CLIP in {source} is not of our kind; start from portraits")
        model.load_state_dict(state)
    recipe.write_vocabulary(work / "bpe.txt.gz")
    words = open_clip.SimpleTokenizer(
        str(work / "bpe.txt.gz"), context_length=recipe.MODEL["text_cfg"]["context_length"]
    )
    ids = words([clean(caption) for caption in data.captions])
    contrast, (learnt, held) = open_clip.ClipLoss(), data.split()

    def loss_on(model: nn.Module, rows: np.ndarray) -> torch.Tensor:
        with autocast():
            seen, said, scale = model(data.images(rows).to(device()), ids[rows].to(device()))
        return contrast(seen.float(), said.float(), scale.float())

    def loss_of(model: Any, rng: np.random.Generator) -> torch.Tensor:
        size = min(request.batch, len(learnt))
        loss = loss_on(model, rng.choice(learnt, size, replace=False))
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        return loss

    def grid(average: nn.Module) -> Image.Image:
        return found_captions(average, data, ids)

    average, record = fit(
        "clip", model, loss_of,
        plan(request, 1.0, RATE if source is None else TUNED_RATE, 0.995), work,
        watcher(
            work, (lambda average: float(loss_on(average, held[:64]))) if len(held) > 1 else None,
            grid, "CLIP: contrastive loss",
        ),
        request.every,
    )  # fmt: skip
    recipe.write_folder(average, work / "model")
    return record


def found_captions(average: Any, data: OwnSet, ids: torch.Tensor) -> Image.Image:
    """Some pictures with the caption, among 64, that the model finds for each."""
    from toolkit.studies.pictures import Frame, Strip, sheet
    from toolkit.training.own import fixed_rows

    shown = fixed_rows(data)
    others = np.setdiff1d(np.arange(len(data)), shown)[: 64 - len(shown)]
    rows = np.concatenate([shown, others])
    with torch.no_grad():
        images = average.encode_image(data.images(shown).to(device()), normalize=True)
        texts = average.encode_text(ids[rows].to(device()), normalize=True)
    best = (images @ texts.T).argmax(1).cpu().numpy()
    frames = tuple(
        Frame(data.pictures[row], data.captions[rows[at]], strong=at != index)
        for index, (row, at) in enumerate(zip(shown, best, strict=True))
    )
    return sheet([Strip("own pictures, the caption found for each (framed: not its own)", frames)])
