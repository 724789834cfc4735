"""From measured effects to one of four words. The rules stand here and nowhere else.

*causal*: the named level moves further than the null directions' do (p at most alpha), it does not
fall on the way, and no other reading surely moves more.
*correlate*: something else moves, and the named level does not, or surely less.
*no effect*: the interval of the effect lies inside what was called negligible beforehand.
*inconclusive*: everything else; more starts may tell.

Only the first condition of *causal* is a bet; the others are vetoes that need proof. So a direction
that is no better than the nulls is called causal alpha of the time: that is what can be tested.
"""

from __future__ import annotations

from dataclasses import dataclass

CAUSAL, CORRELATE, NOTHING, OPEN = "causal", "correlate", "no effect", "inconclusive"
VERDICTS = (CAUSAL, CORRELATE, NOTHING, OPEN)
FEWEST = 8  # starts: with fewer, even a level that always moves has an interval too wide to use


@dataclass(frozen=True)
class Findings:
    """What the verdict is made of; `leaks` are the factors that move beyond doubt (Holm)."""

    n: int
    p: float
    low: float
    high: float
    falls: bool
    dominated: bool
    leaks: tuple[str, ...]


def verdict(found: Findings, negligible: float, alpha: float) -> tuple[str, tuple[str, ...]]:
    """The verdict, and its reasons as sentences."""
    moved = found.p <= alpha
    also = f"it also moves {', '.join(found.leaks)}" if found.leaks else ""
    if found.n < FEWEST:
        return OPEN, (f"{found.n} starts are too few for a verdict; give at least {FEWEST}",)
    if moved and found.dominated:
        return CORRELATE, ("it moves another reading surely more than the one it is named for",)
    if moved and found.falls:
        return OPEN, ("the level moves, but on the way it surely falls again",)
    if moved:
        return CAUSAL, tuple(
            filter(None, ("it moves its level further than null directions", also))
        )
    if found.leaks:
        return CORRELATE, ("it does not move its own level beyond null directions, but", also)
    if -negligible <= found.low and found.high <= negligible:
        return NOTHING, (f"whatever it does to its level is smaller than {negligible:g}",)
    wrong = found.p >= 1 - alpha
    reason = (
        "it moves its level the other way" if wrong else "null directions move its level as far"
    )
    return OPEN, (reason,)
