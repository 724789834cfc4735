"""CLIP, from nothing: contrastive learning on portraits and captions (Radford et al. 2021).

Half of every batch is made of twins: a portrait, the same one with a single factor changed, and
captions that name it. A quarter are families: neighbours in the factors. The loss then can't be
solved by the background's colour alone, as with the hard negatives of NegCLIP (Yuksekgonul et al.
2023); without twins the white brows of old age were never learnt.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from toolkit.training.data import PortraitSet, portrait_set, to_tensor
from toolkit.training.loop import Plan, autocast, device, fit
from toolkit.world import FACTORS, describe, render, visible_levels

VOCABULARY = 4096
MODEL = {
    "embed_dim": 192,
    # A ModifiedResNet, as in CLIP's RN50: at this little data it learnt glasses and hair styles in
    # half the steps of a ViT/8 of the same cost.
    "vision_cfg": {"image_size": 64, "layers": (2, 2, 2, 2), "width": 24, "head_width": 64},
    "text_cfg": {
        "context_length": 40,
        "vocab_size": VOCABULARY,
        "width": 192,
        "heads": 3,
        "layers": 3,
    },
}
# Twins differ in these more often: few pixels tell them, so they are learnt last.
FINE = {"age": 4.0, "expression": 2.0}
PREPROCESS = {
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "interpolation": "bicubic",
    "resize_mode": "squash",
}


def write_vocabulary(path: Path, size: int = VOCABULARY) -> None:
    """CLIP's byte-pair merges cut to `size` entries, so that any text still tokenises.

    512 byte symbols and 2 specials leave size - 514 merges. No newline at the end: open_clip
    would read it as one more, empty merge and shift the special ids.
    """
    from open_clip.tokenizer import default_bpe

    lines = gzip.open(default_bpe()).read().decode().split("\n")[: size - 514 + 1]
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write("\n".join(lines).encode())


def write_folder(model: torch.nn.Module, folder: Path) -> None:
    """Save in open_clip's folder layout, fp16."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().half().contiguous().cpu() for k, v in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_vocabulary(folder / "bpe.txt.gz")


def families(codes: np.ndarray, rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """`count` groups of `size` rows: an anchor and rows that share most of its levels."""
    pool = rng.choice(len(codes), min(len(codes), 6000), replace=False)
    anchors = rng.choice(pool, count, replace=False)
    shared = codes[anchors] @ codes[pool].T + rng.uniform(0, 1.5, (count, len(pool)))  # ties broken
    return pool[np.argpartition(-shared, size, 1)[:, :size]].ravel()


def twins(
    data: PortraitSet, rows: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[str], list[str]]:
    """A twin of each row with one visible factor changed: its picture, and both captions.

    Both captions name the changed factor and the same few others, in the same words' order.
    """
    pictures, captions, twin_captions = [], [], []
    for row in rows:
        one = data.portraits[row]
        shown = [name for name, truth in one.truth().items() if truth.counts]
        weights = np.array([FINE.get(name, 1.0) for name in shown])
        factor = str(rng.choice(shown, p=weights / weights.sum()))
        others = [level for level in FACTORS[factor] if level != getattr(one, factor)]
        two = replace(one, **{factor: others[int(rng.integers(len(others)))]})
        shared = [f for f in visible_levels(one) if f != factor and f in visible_levels(two)]
        kept = rng.permutation(shared)[: int(rng.integers(1, 6))].tolist()
        words = int(rng.integers(1 << 31))
        texts = [
            describe(p, np.random.default_rng(words), factors=(factor, *kept)).text
            for p in (one, two)
        ]
        pictures.append(render(two))
        captions.append(texts[0])
        twin_captions.append(texts[1])
    return np.stack(pictures), captions, twin_captions


def train(
    folder: Path,
    checkpoints: Path,
    plan: Plan,
    portraits: int = 30_000,
    batch: int = 192,
    start: dict | None = None,
):
    """Learn and write `folder`. Returns the record of the run."""
    import open_clip

    data: PortraitSet = portrait_set("train", portraits, plan.seed, checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    write_vocabulary(checkpoints / "bpe.txt.gz")
    torch.manual_seed(plan.seed)
    model = open_clip.CLIP(**MODEL)
    if start is not None:
        model.load_state_dict(start)
    tokenizer = open_clip.SimpleTokenizer(
        str(checkpoints / "bpe.txt.gz"), context_length=MODEL["text_cfg"]["context_length"]
    )
    codes, loss_function = data.codes(), open_clip.ClipLoss()

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        pairs = rng.integers(len(data), size=batch // 4)
        altered, captions, twin_captions = twins(data, pairs, rng)
        near = families(codes, rng, batch // 32, 8)
        rows = np.concatenate([near, rng.integers(len(data), size=batch // 2 - len(near))])
        texts = [*captions, *twin_captions, *data.captions(rows, rng)]
        pictures = np.concatenate([data.pictures[pairs], altered, data.pictures[rows]])
        with autocast():
            seen = to_tensor(pictures).to(device())
            images, words, scale = model(seen, tokenizer(texts).to(device()))
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        return loss_function(images.float(), words.float(), scale)

    average, record = fit("clip", model, loss_of, plan, checkpoints)
    write_folder(average, folder)
    return record | {"portraits": portraits, "batch": batch}
