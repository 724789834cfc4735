"""The eight ways in which a picture can lie: mirrored or not, and turned by quarters.

Pixels only change places, so a detector that looks at all eight loses nothing but the p-value's
correction. As a picture usually lies as it was released, half of the false alarms are granted to
that, and the seven others share the other half (Bonferroni's bound with unequal weights, which
holds however much the eight depend on each other).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from safety import tile

UPRIGHT = 0.5  # share of false alarms granted to the picture as it lies
Box = tuple[float, float, float, float]  # left, top, right and bottom, each 0 to 1


@dataclass(frozen=True)
class Orientation:
    """What was done to a picture: mirrored left to right, then turned by so many quarters.

    The turn is against the clock.
    """

    mirrored: bool = False
    quarters: int = 0

    @property
    def words(self) -> str:
        """What was done, for a reader; empty where nothing was."""
        turn = ("", "90 degrees against the clock", "180 degrees", "90 degrees with the clock")
        turned = f"turned by {turn[self.quarters]}" if self.quarters else ""
        if self.mirrored and self.quarters == 2:
            return "mirrored upside down"
        return ", then ".join(filter(None, ("mirrored" if self.mirrored else "", turned)))

    def undo(self, pixels: np.ndarray) -> np.ndarray:
        """Values (h, w, ...) the right way round; (w, h, ...) after an odd number of quarters."""
        back = np.rot90(pixels, -self.quarters)
        return np.ascontiguousarray(back[:, ::-1] if self.mirrored else back)

    def box(self, where: Box) -> Box:
        """Where a box of the picture the right way round lies in the picture as it is."""
        left, top, right, bottom = where
        if self.mirrored:
            left, right = 1 - right, 1 - left
        for _ in range(self.quarters):
            left, top, right, bottom = top, 1 - right, bottom, 1 - left
        return left, top, right, bottom

    def phases(self, seen: np.ndarray) -> np.ndarray:
        """Phase factors (308,) of a picture, see `tile.seen`, as if it was the right way round.

        Up to a shift of the tile, of which a detector tries all. Where blocks of 8 pixels do not
        fill the picture, its local means are taken a little differently: the mark hardly, and
        the exactness of the test not at all, depends on that.
        """
        places, other_half = _places(self)
        return np.where(other_half, seen[places].conj(), seen[places])

    def corrected(self, p_value: float) -> float:
        """A p-value of this orientation, as one of the least of all eight."""
        share = UPRIGHT if self == AS_IT_LIES else (1 - UPRIGHT) / len(OTHERS)
        return min(1.0, p_value / share)


AS_IT_LIES = Orientation()
OTHERS = tuple(
    Orientation(mirrored, quarters)
    for mirrored in (False, True)
    for quarters in range(4)
    if mirrored or quarters
)


@cache
def _places(lies: Orientation) -> tuple[np.ndarray, np.ndarray]:
    """Which frequency of `tile.BAND` each comes from, (308,), and whether conjugate."""
    rule = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), lies.quarters)
    rule = rule @ np.diag([1, -1 if lies.mirrored else 1])
    index = {(int(down), int(across)): i for i, (down, across) in enumerate(tile.BAND)}
    places, other_half = [], []
    for down, across in tile.BAND @ rule.T:
        at = index.get((int(down), int(across)))
        other_half.append(at is None)
        places.append(index[int(-down), int(-across)] if at is None else at)
    return np.array(places), np.array(other_half)
