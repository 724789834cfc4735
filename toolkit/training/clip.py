"""CLIP, from nothing: contrastive learning on portraits and captions (Radford et al. 2021).

Half of every batch is made of twins: a portrait, the same one with a single factor changed, and
captions that name it. A quarter are families: neighbours in the factors. The loss then can't be
solved by the background's colour alone, as with the hard negatives of NegCLIP (Yuksekgonul et al.
2023). Twins differ in what the model confuses most at the time.

A second, smaller loss asks the image embedding for the caption's words, one linear output a word
piece (as CatLIP, Mehta et al. 2024). Without it the white brows of old age, a few pixels, stayed
on the saddle where neither tower tells them apart, so that neither has a reason to. The head is
thrown away: what is shipped is a plain CLIP.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field, replace
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

    lines = gzip.decompress(Path(default_bpe()).read_bytes()).decode().split("\n")[: size - 514 + 1]
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


@dataclass
class Confusion:
    """How often twins are taken for each other, a factor: a running share, 0.5 being chance."""

    error: dict[str, float] = field(default_factory=lambda: dict.fromkeys(FACTORS, 0.5))

    def draw(self, names: list[str], rng: np.random.Generator) -> str:
        """A factor, the more likely the more it is confused."""
        weights = np.array([self.error[name] + 0.02 for name in names])
        return str(rng.choice(names, p=weights / weights.sum()))

    def update(self, changed: list[str], images: torch.Tensor, texts: torch.Tensor) -> None:
        """Embeddings (2n, d): n portraits, then their twins, with their captions."""
        n = len(changed)
        near = (images * texts).sum(1)  # each picture with its own caption
        far = (images * texts.roll(n, 0)).sum(1)  # and with its twin's
        wrong = (near <= far).float().view(2, n).mean(0).tolist()
        for name, share in zip(changed, wrong, strict=True):
            self.error[name] += 0.02 * (share - self.error[name])


def twins(
    data: PortraitSet, rows: np.ndarray, rng: np.random.Generator, confusion: Confusion
) -> tuple[np.ndarray, list[str], list[str]]:
    """A twin of each row with one visible factor changed: pictures, captions, changed factors.

    The 2n captions, of the rows and then of their twins, name the changed factor and the same
    few others, drawn with the same random numbers.
    """
    pictures, captions, changed = [], [], []
    for row in rows:
        one = data.portraits[row]
        factor = confusion.draw([n for n, truth in one.truth().items() if truth.counts], rng)
        others = [level for level in FACTORS[factor] if level != getattr(one, factor)]
        two = replace(one, **{factor: others[int(rng.integers(len(others)))]})
        shared = [f for f in visible_levels(one) if f != factor and f in visible_levels(two)]
        kept = rng.permutation(shared)[: int(rng.integers(1, 6))].tolist()
        words = int(rng.integers(1 << 31))
        captions.append(
            [
                describe(p, np.random.default_rng(words), factors=(factor, *kept)).text
                for p in (one, two)
            ]
        )
        pictures.append(render(two))
        changed.append(factor)
    return np.stack(pictures), [c[0] for c in captions] + [c[1] for c in captions], changed


class WithWords(torch.nn.Module):
    """CLIP and, while it learns, a linear reader of words on its image embedding."""

    def __init__(self, clip: torch.nn.Module, width: int):
        super().__init__()
        self.clip, self.words = clip, torch.nn.Linear(width, VOCABULARY)

    def forward(self, images: torch.Tensor, ids: torch.Tensor):
        seen, said, scale = self.clip(images, ids)
        return seen, said, scale, self.words(seen * seen.shape[1] ** 0.5)


def word_loss(logits: torch.Tensor, ids: torch.Tensor, pairs: int) -> torch.Tensor:
    """How badly word logits (n, V) read the captions (n, L); the first 2 * pairs rows are twins.

    Cross-entropy against the pieces of the own caption, and for twins the choice between the own
    caption and the twin's, which only the words that differ decide.
    """
    real = (ids > 0) & (ids < VOCABULARY - 2)  # not padding, start or end
    chances = logits.float().log_softmax(1)
    own = (chances.gather(1, ids) * real).sum(1)  # (n,)
    other_ids, other_real = ids[: 2 * pairs].roll(pairs, 0), real[: 2 * pairs].roll(pairs, 0)
    other = (chances[: 2 * pairs].gather(1, other_ids) * other_real).sum(1)
    choice = torch.nn.functional.softplus(other - own[: 2 * pairs]).mean()
    return choice - 0.2 * own.sum() / real.sum()


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
    clip = open_clip.CLIP(**MODEL)
    if start is not None:
        clip.load_state_dict(start)
    model = WithWords(clip, MODEL["embed_dim"])
    tokenizer = open_clip.SimpleTokenizer(
        str(checkpoints / "bpe.txt.gz"), context_length=MODEL["text_cfg"]["context_length"]
    )
    codes, loss_function, confusion = data.codes(), open_clip.ClipLoss(), Confusion()

    def loss_of(model, rng: np.random.Generator) -> torch.Tensor:
        pairs = rng.integers(len(data), size=batch // 4)
        altered, captions, changed = twins(data, pairs, rng, confusion)
        near = families(codes, rng, batch // 32, 8)
        rows = np.concatenate([near, rng.integers(len(data), size=batch // 2 - len(near))])
        texts = [*captions, *data.captions(rows, rng)]
        pictures = np.concatenate([data.pictures[pairs], altered, data.pictures[rows]])
        with autocast():
            seen = to_tensor(pictures).to(device())
            ids = tokenizer(texts).to(device())
            images, words, scale, logits = model(seen, ids)
        with torch.no_grad():
            model.clip.logit_scale.clamp_(0, np.log(100))
            confusion.update(changed, images[: 2 * len(pairs)], words[: 2 * len(pairs)])
        contrast = loss_function(images.float(), words.float(), scale)
        return contrast + word_loss(logits, ids, len(pairs))

    average, record = fit("clip", model, loss_of, plan, checkpoints)
    write_folder(average.clip, folder)
    return record | {"portraits": portraits, "batch": batch}
