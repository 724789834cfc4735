"""The bench's thieves: what many marked pictures, or one, tell them of a system's mark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from safety import averaging
from safety.quality import psnr
from toolkit.studies.attack_systems import System

FEW = (5, 20)  # marked pictures, besides all that the thief holds
KINDS = {
    "averaging": "originals unknown",
    "averaging, originals known": "originals known",
    "averaging, lined up blindly": "originals unknown, lined up",
    "averaging, lined up": "originals known, lined up",
    "copy": "one marked picture, original unknown",
}


@dataclass(frozen=True)
class Thief:
    """A pattern (h, w, 3) that a thief of this kind got out of `held` marked pictures."""

    kind: str
    held: int
    pattern: np.ndarray

    def at(self, marked: np.ndarray) -> np.ndarray:
        """The pattern as it is subtracted from a picture: lined up with it, where the thief can."""
        return averaging.placed(self.pattern, marked) if "lined" in self.kind else self.pattern

    @property
    def label(self) -> str:
        if self.kind == "copy" or self.held == 1:
            known = "un" if self.kind == "copy" else ""
            return f"one marked picture, original {known}known"
        return f"{self.held} marked pictures, {KINDS[self.kind]}"


def thieves(
    system: System, others: Sequence[np.ndarray], say: Callable[[str], None] = lambda text: None
) -> Iterator[Thief]:
    """Every thief, in order: half of `others` get marked, the other half are pictures without.

    With fewer than two pictures of each kind there is none.
    """
    held = len(others) // 2
    if held < 2:
        return
    originals, plain = others[:held], others[held : 2 * held]
    say(f"{system.name}: {held} pictures are marked for the thieves")
    marked = [system.embed(one) for one in originals]
    faint = float(np.mean([psnr(a, b) for a, b in zip(originals, marked, strict=True)]))
    counts = [k for k in FEW if k < held] + [held]
    for k in counts:
        yield Thief("averaging", k, averaging.averaged(marked[:k], plain[:k]))
    for k in [1, *counts]:
        pattern = averaging.averaged(marked[:k], originals[:k])
        yield Thief("averaging, originals known", k, averaging.as_loud(pattern, faint))
    cut = np.stack([a.astype(np.float32) - b for a, b in zip(marked, originals, strict=True)])
    grain = np.stack([averaging.lifted(one) for one in marked])
    for kind, traces in (("averaging, lined up blindly", grain), ("averaging, lined up", cut)):
        yield Thief(kind, held, averaging.as_loud(averaging.lined_up(traces), faint))
    yield Thief("copy", 1, averaging.lifted(marked[0]))
