"""The lesson's exercises: questions whose answers are measured in the run at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboards.frames import distance

LETTERS = "ABCDEF"
CLOSE = 10.0  # levels of 255: closer than this, eyes no longer tell a patch from the finished one


@dataclass(frozen=True)
class Ordering:
    """Frames under letters, in mixed order; `steps[letter]` is the step that a frame is from."""

    steps: dict[str, int]

    @property
    def answer(self) -> tuple[str, ...]:
        return tuple(sorted(self.steps, key=self.steps.__getitem__))

    def first_wrong(self, given: Sequence[str]) -> int | None:
        """The first place (0 for the first) that is not right, None when all are."""
        wrong = [i for i, (a, b) in enumerate(zip(given, self.answer, strict=True)) if a != b]
        return wrong[0] if wrong else None


def ordering(predicted: np.ndarray, seed: int, n: int = 4) -> Ordering:
    """`n` steps of (steps, h, w, 3) guesses that differ by about the same, in mixed order.

    Equal steps would look alike at the end of a trace, so the distance to the last guess is cut
    into equal parts instead. The order is never right by chance.
    """
    far = np.array([distance(frame, predicted[-1]) for frame in predicted])
    chosen = [0]
    for level in np.linspace(far[0], 0, n)[1:-1]:
        later = range(chosen[-1] + 1, len(predicted) - (n - 1 - len(chosen)))
        chosen.append(min(later, key=lambda i: abs(far[i] - level)))
    chosen.append(len(predicted) - 1)
    rng = np.random.default_rng(seed)
    mixed = list(chosen)
    while mixed == chosen:
        rng.shuffle(mixed)
    return Ordering(dict(zip(LETTERS, mixed, strict=False)))


@dataclass(frozen=True)
class Settling:
    """Distance to the finished guess by part of the picture, and the step from which it is small.

    `steps` counts from 1; `answer` names the part that settles first, or "together".
    """

    curves: dict[str, list[float]]
    steps: dict[str, int]

    @property
    def answer(self) -> str:
        least = min(self.steps.values())
        first = [part for part, step in self.steps.items() if step == least]
        return first[0] if len(first) == 1 else "together"


def parts(frame: np.ndarray) -> dict[str, np.ndarray]:
    """(h, w, 3) cut into background (the two upper corners) and face (the middle)."""
    side = frame.shape[0]
    edge, low, high = side // 6, 3 * side // 8, 5 * side // 8
    corners = np.concatenate([frame[:edge, :edge], frame[:edge, -edge:]])
    return {"background": corners, "face": frame[low:high, low:high]}


def settling(predicted: np.ndarray, close: float = CLOSE) -> Settling:
    """Which part of (steps, h, w, 3) guesses first comes within `close` of the end, and stays."""
    last = parts(predicted[-1])
    curves: dict[str, list[float]] = {name: [] for name in last}
    for frame in predicted:
        for name, patch in parts(frame).items():
            curves[name].append(distance(patch, last[name]))
    steps = {}
    for name, curve in curves.items():
        far = [i for i, value in enumerate(curve, start=1) if value > close]
        steps[name] = (far[-1] if far else 0) + 1
    return Settling(curves, steps)
