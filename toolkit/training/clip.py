"""CLIP, from nothing: contrastive learning on portraits and captions (Radford et al. 2021).

Half of every batch is made of families: an anchor and its nearest neighbours in the factors.
Captions then differ in a detail (glasses, expression) and the loss can't be solved by the
background's colour alone, as with the hard negatives of NegCLIP (Yuksekgonul et al. 2023).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import torch

from toolkit.training.data import PortraitSet, portrait_set
from toolkit.training.loop import Plan, autocast, device, fit

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


def train(folder: Path, checkpoints: Path, plan: Plan, portraits: int = 30_000, batch: int = 192):
    """Learn and write `folder`. Returns the record of the run."""
    import open_clip

    data: PortraitSet = portrait_set("train", portraits, plan.seed, checkpoints)
    checkpoints.mkdir(parents=True, exist_ok=True)
    write_vocabulary(checkpoints / "bpe.txt.gz")
    torch.manual_seed(plan.seed)
    model = open_clip.CLIP(**MODEL)
    tokenizer = open_clip.SimpleTokenizer(str(checkpoints / "bpe.txt.gz"), context_length=MODEL["text_cfg"]["context_length"])
    codes, loss_function = data.codes(), open_clip.ClipLoss()

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        near = families(codes, rng, batch // 16, 8)
        rows = np.unique(np.concatenate([near, rng.integers(len(data), size=batch - len(near))]))
        ids = tokenizer(data.captions(rows, rng)).to(device())
        with autocast():
            images, texts, scale = model(data.images(rows).to(device()), ids)
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        return loss_function(images.float(), texts.float(), scale)

    average, record = fit("clip", model, loss_of, plan, checkpoints)
    write_folder(average, folder)
    return record | {"portraits": portraits, "batch": batch}
