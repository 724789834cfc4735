"""What the attack bench marks and attacks: portraits, photographs, or the user's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.errors import UserError

SMALLEST = 64  # pixels a side that any mark here needs
LARGEST = 4096 * 4096  # pixels; every picture goes through every attack
HELD = 120 * 512 * 512  # pixels of pictures that a thief holds, at most


@dataclass(frozen=True)
class Pictures:
    """A set of pictures to test, and others that a thief may hold: all (h, w, 3) uint8.

    `sources` says how many of the tested ones are independent: cuts of one photograph are not.
    """

    name: str
    tested: tuple[np.ndarray, ...]
    others: tuple[np.ndarray, ...]
    sources: int


def portraits(n: int, held: int, seed: int) -> Pictures:
    """Renders of the test split at 64 pixels; a thief holds others of it."""
    from toolkit.world import render_all, sample

    every = render_all(sample("test", n + 2 * held, seed))
    return Pictures("portraits, 64 px", tuple(every[:n]), tuple(every[n:]), n)


def photographs(n: int, held: int, seed: int) -> Pictures:
    """Cuts of photographs at 512 pixels, one of each before any second one."""
    from toolkit.studies.photographs import cut, photos

    rng, every = np.random.default_rng([seed, 42]), list(photos().values())
    order = np.random.default_rng([seed, 43]).permutation(len(every))
    cuts = [cut(every[order[i % len(every)]], rng) for i in range(n + 2 * held)]
    return Pictures("photographs, 512 px", tuple(cuts[:n]), tuple(cuts[n:]), min(n, len(every)))


def picture_files(given: Sequence[str]) -> list[Path]:
    """The files given, and those inside folders given. Raises UserError for none."""
    from toolkit.studies.audit import SUFFIXES

    files: list[Path] = []
    for path in map(Path, given):
        if not path.exists():
            raise UserError(f"there is no picture and no folder at {path}")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        files += inside if path.is_dir() else [path]
    if not files:
        raise UserError(f"there is no picture in {', '.join(map(str, given))}")
    return files


def own_pictures(given: Sequence[str], n: int, held: int, seed: int) -> Pictures:
    """The user's pictures in random order: `n` are tested, a thief holds the rest.

    Raises UserError for a file that is no picture, is too small for a mark or too large.
    """
    from safety.pictures import BadPicture, load_picture

    files = picture_files(given)
    order = np.random.default_rng([seed, 44]).permutation(len(files))[: n + 2 * held]
    loaded: list[np.ndarray] = []
    for file in (files[i] for i in order):
        if sum(one.shape[0] * one.shape[1] for one in loaded[n:]) > 2 * HELD:
            break  # a thief need not hold more, and memory is not for ever
        try:
            image = np.asarray(load_picture(file).convert("RGB"))
        except BadPicture as error:
            raise UserError(f"{file} can't be read as a picture ({error})") from None
        if min(image.shape[:2]) < SMALLEST or image.shape[0] * image.shape[1] > LARGEST:
            size = f"{image.shape[1]}x{image.shape[0]} pixels"
            raise UserError(
                f"{file} has {size}; the bench takes {SMALLEST} a side to {LARGEST} in all"
            )
        loaded.append(image)
    return Pictures("given pictures", tuple(loaded[:n]), tuple(loaded[n:]), min(n, len(loaded)))


def held_by_thief(pictures: Pictures, held: int) -> tuple[np.ndarray, ...]:
    """The others of the first tested picture's shape, 2 * `held` at most and what memory bears."""
    shape = pictures.tested[0].shape
    most = max(4, min(2 * held, 2 * HELD // (shape[0] * shape[1])))
    return tuple(one for one in pictures.others if one.shape == shape)[:most]
