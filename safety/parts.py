"""Which part of a picture carries which number: several released pictures put together.

Every part of a marked picture holds the whole mark, so each tile is read by itself, as it lies:
a picture that was resized or turned after it was put together is not told apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from safety.watermark import PRESENT, payload_of, read

SIDE = 128  # pixels of a tile: two repeats of the mark each way
MOST = 16  # tiles down and across: one wrong number in 32,768 passes its check sum


@dataclass(frozen=True)
class Part:
    """A number, the least p-value of its tiles (corrected for their number), and where they lie.

    `where` is left, top, right and bottom, each 0 to 1.
    """

    number: int
    p_value: float
    where: tuple[float, float, float, float]


def parts(image: np.ndarray, key: bytes) -> tuple[Part, ...]:
    """The parts of (h, w, 3) uint8 pixels with different numbers; none unless there are two."""
    height, width = image.shape[:2]
    rows, columns = (_edges(side) for side in (height, width))
    tiles = (len(rows) - 1) * (len(columns) - 1)
    found: dict[int, list[tuple[float, int, int, int, int]]] = {}
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            reading = read(np.ascontiguousarray(image[top:bottom, left:right]), key)
            number = payload_of(reading)[0] if reading.p_value * tiles < PRESENT else None
            if number is not None:
                place = (reading.p_value * tiles, left, top, right, bottom)
                found.setdefault(number, []).append(place)
    if len(found) < 2:
        return ()
    return tuple(_part(number, places, width, height) for number, places in sorted(found.items()))


def _edges(side: int) -> list[int]:
    return np.linspace(0, side, min(max(side // SIDE, 1), MOST) + 1).round().astype(int).tolist()


def _part(number: int, places: list[tuple], width: int, height: int) -> Part:
    p_values, lefts, tops, rights, bottoms = zip(*places, strict=True)
    ends = (min(lefts) / width, min(tops) / height, max(rights) / width, max(bottoms) / height)
    return Part(number, min(p_values), ends)
