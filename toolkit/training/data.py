"""The training set: portraits of the `train` split, drawn once and kept beside the checkpoints."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from toolkit.world import FACTORS, Portrait, describe, describe_freely, render, sample
from toolkit.world.sample import SPLITS


@dataclass(frozen=True)
class PortraitSet:
    """Portraits and their pictures: (n, 64, 64, 3) uint8, memory-mapped; `name` says which."""

    name: str
    portraits: list[Portrait]
    pictures: np.ndarray

    def __len__(self) -> int:
        return len(self.portraits)

    def captions(
        self, rows: np.ndarray, rng: np.random.Generator, brief: float = 0.0, free: float = 0.0
    ) -> list[str]:
        """One fresh caption for each row: text varies from epoch to epoch.

        A share of `brief` say little, as people do: without them "a portrait of a doctor" would
        be unlike all that a model has read, and it would fall back on a few faces. A share of
        `free` are in other manners than the usual sentence; a third of those name everything.
        """
        said = []
        for row in rows:
            few = rng.random() < brief
            some = tuple(rng.permutation(list(FACTORS))[: rng.integers(3)]) if few else None
            manner = describe_freely if rng.random() < free else describe
            if manner is describe_freely and not few and rng.random() < 1 / 3:
                some = tuple(FACTORS)
            said.append(manner(self.portraits[row], rng, factors=some).text)
        return said

    def cache(self, folder: Path, what: str) -> Path:
        """Where something worked out from this very set is kept."""
        return folder / f"{what}-{self.name}.npy"

    def images(self, rows: np.ndarray) -> torch.Tensor:
        """(n, 3, 64, 64) float32 in [-1, 1]."""
        return to_tensor(self.pictures[rows])

    def codes(self) -> np.ndarray:
        """(n, sum of levels) float32: which level each factor has, one-hot."""
        columns = []
        for name, levels in FACTORS.items():
            chosen = np.array([levels.index(getattr(p, name)) for p in self.portraits])
            columns.append(np.eye(len(levels), dtype=np.float32)[chosen])
        return np.concatenate(columns, 1)


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, h, w, 3) to float32 (n, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(tensor: torch.Tensor) -> np.ndarray:
    """float (n, 3, h, w) in [-1, 1] to uint8 (n, h, w, 3)."""
    scaled = (tensor.detach().float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def portrait_set(split: str, n: int, seed: int, folder: Path) -> PortraitSet:
    """Draw a split once; later calls map the file that the first one wrote."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    portraits = sample(split, n, seed)
    name = f"{split}-{n}-{seed}"
    path = folder / f"{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        sys.stderr.write(f"drawing {n} portraits of the {split} split\n")
        pictures = np.empty((n, 64, 64, 3), np.uint8)
        for row, portrait in enumerate(portraits):
            pictures[row] = render(portrait)
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npy")
        np.save(temporary, pictures)
        os.replace(temporary, path)
    return PortraitSet(name, portraits, np.load(path, mmap_mode="r"))
