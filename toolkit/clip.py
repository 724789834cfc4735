"""CLIP through open_clip: tokens, text states, text and image embeddings, and its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.errors import UserError
from toolkit.text import clean

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class TextEncoding:
    """What pipelines and priors take: ids and mask (n, L), states (n, L, d), embedding (n, d).

    States are the text tower's last hidden states after its final norm; the embedding has unit
    norm. Everything past the end token is padding by that same token, as the masks say.
    """

    texts: tuple[str, ...]
    ids: torch.Tensor
    mask: torch.Tensor
    states: torch.Tensor
    embedding: torch.Tensor


class Clip:
    """A CLIP model with its tokenizer and preprocessing (Radford et al. 2021)."""

    def __init__(self, name: str, model: nn.Module, tokenizer, mean, std, digest: str):
        self.name, self.model, self.tokenizer, self.hash = name, model.eval(), tokenizer, digest
        self.id = f"{name}@{digest[:12]}"
        self.mean = torch.tensor(mean).view(1, 3, 1, 1)
        self.std = torch.tensor(std).view(1, 3, 1, 1)
        self.size = int(np.max(model.visual.image_size))  # towers give a number or a pair
        self.length = int(tokenizer.context_length)
        self.dim = int(model.text_projection.size(1))

    def tokens(self, texts: list[str]) -> torch.Tensor:
        """(n, L) int64 token ids, padded with the end token (the same pooled vector as zeros)."""
        ids = self.tokenizer([clean(text) for text in texts])
        end = self.tokenizer.eot_token_id
        first = (ids == end).int().argmax(1, keepdim=True)
        return torch.where(torch.arange(ids.shape[1]) > first, end, ids)

    def _states(self, ids: torch.Tensor) -> torch.Tensor:
        model = self.model
        x = model.token_embedding(ids) + model.positional_embedding  # (n, L, d)
        return model.ln_final(model.transformer(x, attn_mask=model.attn_mask))

    @torch.no_grad()
    def encode(self, texts: list[str], batch: int = 256) -> TextEncoding:
        """Token states and normalised embeddings of the texts. Raises UserError for none."""
        if not texts:
            raise UserError("there is no text to encode; give at least one prompt")
        ids = self.tokens(texts)
        states = torch.cat([self._states(part) for part in ids.split(batch)])
        end = (ids == self.tokenizer.eot_token_id).int().argmax(1)
        pooled = states[torch.arange(len(ids)), end] @ self.model.text_projection
        mask = torch.arange(ids.shape[1]) <= end[:, None]
        embedding = nn.functional.normalize(pooled, dim=-1)
        return TextEncoding(tuple(texts), ids, mask, states, embedding)

    @torch.no_grad()
    def embed(self, texts: Sequence[str], states: torch.Tensor) -> np.ndarray:
        """(n, d) float32 embeddings of unit norm that states (n, L, d) of the texts lead to.

        For states that were changed since: those of `encode` lead to its embeddings.
        """
        ids = self.tokens(list(texts))
        end = (ids == self.tokenizer.eot_token_id).int().argmax(1)
        pooled = states[torch.arange(len(ids)), end] @ self.model.text_projection
        return nn.functional.normalize(pooled, dim=-1).numpy()

    def encode_text(self, texts: list[str]) -> np.ndarray:
        """(n, d) float32 text embeddings of unit norm."""
        return self.encode(texts).embedding.numpy()

    def _batches(self, images: np.ndarray, batch: int) -> Iterator[torch.Tensor]:
        """The pictures as the image tower takes them."""
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise UserError(
                f"pictures must be uint8 (n, h, w, 3), got {images.dtype} {images.shape}; "
                "stack RGB pictures of one size"
            )
        for start in range(0, len(images), batch):
            part = np.array(images[start : start + batch])  # a copy: torch wants it writable
            x = torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255
            if x.shape[-2:] != (self.size, self.size):
                x = nn.functional.interpolate(
                    x, (self.size, self.size), mode="bicubic", antialias=True
                ).clamp(0, 1)
            yield (x - self.mean) / self.std

    @torch.no_grad()
    def encode_image(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """(n, h, w, 3) uint8 pictures to (n, d) float32 embeddings of unit norm."""
        rows = [self.model.encode_image(x, normalize=True) for x in self._batches(images, batch)]
        return torch.cat(rows).numpy() if rows else np.zeros((0, self.dim), np.float32)

    @torch.no_grad()
    def encode_closely(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """(n, d + k) float32: the embeddings, and after them what the tower still sees by place.

        The k are activations of a residual tower's third stage of four (Radford et al. 2021,
        section 2.4): small things that the embedding, where places are pooled, hardly tells from
        what is around them. Raises UserError for another kind of tower.
        """
        tower = self.model.visual
        if not hasattr(tower, "layer4"):
            raise UserError(
                f"the image tower of {self.name} is no residual network, so its stages can't be "
                "looked into; give a CLIP that has one"
            )
        rows = []
        for x in self._batches(images, batch):
            x = tower.layer3(tower.layer2(tower.layer1(tower.stem(x))))  # (n, c, h, w)
            embedding = nn.functional.normalize(tower.attnpool(tower.layer4(x)), dim=-1)
            rows.append(torch.cat([embedding, x.flatten(1)], 1))
        return torch.cat(rows).numpy() if rows else self.encode_image(images)


def file_hash(*paths: Path) -> str:
    """SHA-256 over the bytes of the files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def load_clip(name: str = "portraits") -> Clip:
    """The shipped CLIP, or one from a folder with `open_clip_config.json`.

    The folder must hold `open_clip_model.safetensors` and, if its vocabulary is cut,
    `bpe.txt.gz`. Raises UserError when something is missing or damaged.
    """
    import open_clip

    folder = WEIGHTS / "clip" if name == "portraits" else Path(name)
    config, weights = folder / "open_clip_config.json", folder / "open_clip_model.safetensors"
    for path in (config, weights):
        if not path.exists():
            raise UserError(
                f"no CLIP model in {folder}: {path.name} is missing; known models: portraits, "
                "or a folder in open_clip's layout"
            )
    bpe = folder / "bpe.txt.gz"
    extra = {"bpe_path": str(bpe)} if bpe.exists() else {}
    try:
        pair: Any = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        model, preprocess = pair
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", **extra)
    except Exception as error:  # whatever the loaders raise, the user gets the file's name
        raise UserError(
            f"the CLIP weights in {weights} can't be read ({error}); restore the file"
        ) from error
    normalize = preprocess.transforms[-1]
    digest = file_hash(weights, config, *([bpe] if bpe.exists() else []))
    return Clip(name, model, tokenizer, normalize.mean, normalize.std, digest)
