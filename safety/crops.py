"""Which released picture a crop is of, by the maps of brightness in manifests.

A crop hides most of what the whole picture's map says, but each of the map's cells that lies wholly
within it can be compared as exactly as ever, once it is known where the crop was cut. So all places
and sizes are tried in steps of a 64th, and that which fits a map best is judged by what it misses.
Height and width are taken to have been cut by the same share, or the pixels of a portrait of
64 pixels to have been left as they were.

Portraits of 64 pixels, 10 to 25 % of height and width cut away at random places, among 1,000 maps:
all of 200 are found as cut, all of 200 after JPEG 75, and 199 of 200 enlarged to what they were and
saved as JPEG 75. Of 4,400 portraits that are in no map, whole and cropped, none is taken for one.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from safety.brightness import SIDE, Compared

STEPS = 64  # places down and across at which a crop may begin or end
LEAST = 46  # of them that are left: 28 % of height and width cut away
SAME = 2.5  # grey levels, root mean square over the cells within the crop
PLAIN = 10.0  # grey levels of deviation below which a part tells nothing apart
CONTRAST = (0.5, 2.0)
MOST = 1000  # maps among which the rate of wrong finds was measured
LARGEST = 128  # pixels of a side that are looked at


def find_crop(maps: np.ndarray, image: np.ndarray) -> tuple[int, Compared] | None:
    """Which of maps (n, 256) a part of fits (h, w, 3) uint8 pixels, and how; None where none does.

    `cut` says what part of the released picture is left.
    """
    if not len(maps):
        return None
    height, width = (min(side, LARGEST) for side in image.shape[:2])
    grey = Image.fromarray(image).convert("L").resize((width, height), Image.Resampling.BOX)
    luma = np.asarray(grey, np.float32)
    said = maps.reshape(-1, SIDE, SIDE).astype(np.float32)
    found = [
        _best(seen, *_evened(said, rows, columns), cuts)
        for (rows, columns), (seen, cuts) in _guesses(luma).items()
    ]
    rms, index, contrast, cut = min(found)
    if rms > SAME:
        return None
    return index, Compared("cropped", rms, contrast, 0, None, cut)


Span = tuple[int, int]  # the first cell, and the one after the last
Cut = tuple[float, float, float, float]


def _guesses(luma: np.ndarray) -> dict[tuple[Span, Span], tuple[np.ndarray, list[Cut]]]:
    """What the cells within a crop would be, (n, cells), for each span of cells and each cut."""
    height, width = luma.shape
    sizes = {(size, size) for size in range(LEAST, STEPS)}
    if LEAST <= min(height, width) < STEPS >= max(height, width):
        sizes.add((height, width))
    found: dict[tuple[Span, Span], tuple[list[np.ndarray], list[Cut]]] = {}
    for tall, wide in sorted(sizes):
        for rows, (tops, down) in _spans(height, tall).items():
            part = down @ luma  # (tops, cells, w)
            for columns, (lefts, across) in _spans(width, wide).items():
                seen = np.einsum("anw,bmw->abnm", part, across, optimize=True)
                seens, cuts = found.setdefault((rows, columns), ([], []))
                seens.append(seen.reshape(len(tops) * len(lefts), -1))
                cuts += [
                    (left / STEPS, top / STEPS, (left + wide) / STEPS, (top + tall) / STEPS)
                    for top in tops for left in lefts
                ]  # fmt: skip
    return {spans: (np.concatenate(seens), cuts) for spans, (seens, cuts) in found.items()}


@lru_cache(64)
def _spans(length: int, left: int) -> dict[Span, tuple[list[int], np.ndarray]]:
    """By the span of cells that lie wholly within a crop: where it may begin, and their means.

    The means as matrices over its pixels, (places, cells, length).
    """
    cell, pixel = STEPS // SIDE, length / left  # steps of a cell, pixels of a step
    ends = np.arange(length)
    found: dict[Span, tuple[list[int], list[np.ndarray]]] = {}
    for begin in range(STEPS - left + 1):
        span = -(-begin // cell), (begin + left) // cell
        edges = (cell * np.arange(span[0], span[1] + 1)[:, None] - begin) * pixel
        over = np.minimum(ends + 1, edges[1:]) - np.maximum(ends, edges[:-1])
        places, means = found.setdefault(span, ([], []))
        places.append(begin)
        means.append((np.maximum(over, 0) / (cell * pixel)).astype(np.float32))
    return {span: (places, np.stack(means)) for span, (places, means) in found.items()}


def _evened(said: np.ndarray, rows: Span, columns: Span) -> tuple[np.ndarray, np.ndarray]:
    """Part of maps (m, 16, 16) as (m, cells) of mean 0 and spread 1, and the spread (m,).

    A part that is too plain gives zeros.
    """
    part = said[:, slice(*rows), slice(*columns)].reshape(len(said), -1)
    part = part - part.mean(1, keepdims=True)
    told = part.std(1)
    kept = told[:, None] > PLAIN
    return np.divide(part, told[:, None], out=np.zeros_like(part), where=kept), told


def _best(
    seen: np.ndarray, said: np.ndarray, told: np.ndarray, cuts: list[Cut]
) -> tuple[float, int, float, Cut]:
    """What the best pair of cells seen (n, cells) and said (m, cells) misses; its map and cut."""
    seen = seen - seen.mean(1, keepdims=True)
    spread = seen.std(1)
    along = seen @ said.T  # (n, m)
    maps = along.argmax(1)
    levels = along[np.arange(len(seen)), maps] / said.shape[1]  # that the map tells, in grey levels
    contrast = levels / np.maximum(told[maps], PLAIN)
    rms = np.sqrt(np.maximum(spread**2 - levels**2, 0))
    rms[(spread < PLAIN) | (contrast < CONTRAST[0]) | (contrast > CONTRAST[1])] = np.inf
    best = int(rms.argmin())
    return float(rms[best]), int(maps[best]), float(contrast[best]), cuts[best]
