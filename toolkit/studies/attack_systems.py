"""The watermarks of the attack bench behind the same two calls, each with a p-value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import UserError

FPR = 1e-3  # false positive rate at which detections count
BITS = 32  # of the payload, which all pictures of a bench share: what averaging likes best
NAMES = ("pellucid", "guidance", "dwtDct", "dwtDctSvd", "trustmark")


@dataclass(frozen=True)
class Look:
    """What a detector says of a picture: its p-value, its own verdict, the payload right or not."""

    p_value: float
    present: bool
    exact: bool


@dataclass(frozen=True)
class System:
    """A watermark with its key or payload chosen. `least`: pixels a side that it can mark."""

    name: str
    embed: Callable[[np.ndarray], np.ndarray]
    look: Callable[[np.ndarray], Look]
    least: int
    rule: str  # when it counts as detected, in words


def agreement_p(right: int, bits: int) -> float:
    """P(at least so many of the bits agree by chance), each with 1/2."""
    from scipy.stats import binom

    return float(binom.sf(right - 1, bits, 0.5))


def bits_needed(bits: int, fpr: float = FPR) -> int:
    """The fewest agreeing bits whose chance is at most `fpr`; bits + 1 where none is so rare."""
    return next((k for k in range(bits + 1) if agreement_p(k, bits) <= fpr), bits + 1)


def ours(seed: int) -> System:
    """Pellucid's post-hoc mark under a key of the seed, never the user's own."""
    from safety.watermark import PRESENT, SMALLEST, Mark

    rng = np.random.default_rng([seed, 40])
    mark, payload = Mark(rng.bytes(32)), int(rng.integers(1 << BITS))

    def look(image: np.ndarray) -> Look:
        found = mark.detect(image)
        return Look(found.p_value, found.verdict == "present", found.payload == payload)

    rule = (
        f"its exact p-value, corrected for the search, is at most {FPR:g}; it says present itself "
        f"under {PRESENT:g}"
    )
    return System("pellucid", lambda image: mark.embed(image, payload), look, SMALLEST, rule)


def guidance(seed: int) -> System:
    """The mark that generation is guided towards, put into pictures that are there already.

    Stable Diffusion's decoder takes no part, so that it can be compared on any picture.
    """
    from safety.cells import find_cells
    from safety.watermark import PRESENT, SMALLEST
    from toolkit.studies.guided_mark import guided_picture

    key = np.random.default_rng([seed, 42]).bytes(32)

    def look(image: np.ndarray) -> Look:
        (found,) = find_cells(image[None], key)
        return Look(found.p_value, found.p_value < PRESENT, found.p_value < PRESENT)

    rule = f"its exact p-value is at most {FPR:g}; it carries no payload"
    return System("guidance", lambda image: guided_picture(image, key), look, SMALLEST, rule)


def _by_bits(
    name: str, bits: int, payload: int, least: int,
    embed: Callable[[np.ndarray, int], np.ndarray], detect: Callable[[np.ndarray], int],
) -> System:  # fmt: skip
    """A system that reads bits of any picture: it is told the payload and counts those right."""
    need = bits_needed(bits)

    def look(image: np.ndarray) -> Look:
        if image.shape[0] * image.shape[1] < least * least:
            return Look(1.0, False, False)  # too small to be read
        right = bits - (detect(image) ^ payload).bit_count()
        p = agreement_p(right, bits)
        return Look(p, p <= FPR, right == bits)

    rule = f"at least {need} of {bits} bits agree with the payload, which it is told"
    return System(name, lambda image: embed(image, payload), look, least, rule)


def baseline(name: str, seed: int, weights: str | None) -> System:
    """Somebody else's watermark. Raises UserError where it is not installed."""
    from safety.baselines import InvisibleWatermark

    rng = np.random.default_rng([seed, 41])
    try:
        if name == "trustmark":
            return _trustmark(seed, weights)
        theirs = InvisibleWatermark(name, BITS)
    except ValueError as error:
        raise UserError(str(error)) from error
    payload = int(rng.integers(1 << BITS))
    return _by_bits(name, BITS, payload, 256, theirs.embed, theirs.detect)


def _trustmark(seed: int, weights: str | None) -> System:
    from safety.trustmark import BITS as LONG
    from safety.trustmark import LEAST, TrustMark

    payload = int.from_bytes(np.random.default_rng([seed, 41]).bytes(LONG // 8 + 1))
    theirs = TrustMark(weights)
    return _by_bits("trustmark", LONG, payload >> 4, LEAST, theirs.embed, theirs.detect)


def chosen_systems(names: Sequence[str], seed: int, weights: str | None = None) -> list[System]:
    """The systems of those names, in order. Raises UserError for others and for none."""
    wrong = [name for name in names if name not in NAMES]
    if wrong or not names:
        raise UserError(
            f"no watermark is named {', '.join(map(repr, wrong)) or 'nothing'}; choose from "
            f"{', '.join(NAMES)}"
        )
    own = {"pellucid": ours, "guidance": guidance}
    return [
        own[name](seed) if name in own else baseline(name, seed, weights)
        for name in dict.fromkeys(names)
    ]
