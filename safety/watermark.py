"""An invisible keyed mark with a 32-bit payload, and an exact test for it.

Dither modulation (Chen & Wornell 2001) of some thousand DCT coefficients of brightness: each votes
by the half of a lattice cell it lies in, and the key draws where the cells begin. Presence is a
sign test on the pilot votes, exact for *any* picture: without the mark, the key's draws make each
vote a fair coin. The draws come from the key *and* the picture's fingerprint (the brightness of
its 16 cells, which the embedder makes firm), so that one key's p-values on many pictures that
share flat areas are independent too, marks cannot be averaged out of many pictures, and a mark
cut from one picture says nothing on another. The payload rides on other coefficients
(`safety.ecc`) and is never looked at to decide presence.

What a result does not say: a mark can be washed out by whoever means to (a new generation, a
crop, an edit that moves a cell's mean brightness by 2 grey levels), so absence does not show that
a person made the picture; and whoever holds the key can mark anything.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import shake_256
from typing import Literal

import numpy as np
from scipy.stats import binom

from safety import ecc, luma

PRESENT = 1e-6  # a p-value below this says present
ABSENT = 1e-3  # and one above this says absent
PILOT = 0.4  # share of the coefficients that tell presence; the others carry the payload

Verdict = Literal["present", "absent", "inconclusive"]


@dataclass(frozen=True)
class MarkResult:
    """What the key finds in a picture. `payload` is given only when present and its CRC passes."""

    verdict: Verdict
    p_value: float  # chance of so much agreement in a picture without this key's mark
    payload: int | None
    confidence: float  # probability that the payload's six symbols are all right, before the CRC
    votes: int  # pilot coefficients
    agree: int  # how many of them vote for the key
    reason: str

    def to_json(self) -> dict[str, object]:
        """As a plain dict for a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Layout:
    """Which coefficient does what under one key, for one picture's fingerprint."""

    dither: np.ndarray  # (n,) in [0, 1): where in its lattice cell a coefficient's centre lies
    chips: np.ndarray  # (n,) int: -1 for the pilot, else the chip (0 to 767) it carries
    step: np.ndarray  # (n,) lattice cell of each coefficient, in its own units
    tie: float  # in (0, 1): where in a step of the discrete test this picture lies

    def phase(self, coefficients: np.ndarray) -> np.ndarray:
        """Place of each coefficient in its cell, (n,) in [-1/2, 1/2); 0 votes most for the key."""
        place = luma.band(coefficients) / self.step - self.dither
        return place - np.floor(place + 0.5)


def layout(key: bytes, fingerprint: bytes, shape: tuple[int, int]) -> Layout:
    """Draw dithers and places from the key (SHAKE-256), for blocks in `shape` rows and columns."""
    n = shape[0] * shape[1] * len(luma.BAND)
    seed = b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (b"pellucid mark 1", key, fingerprint, b"%d %d" % shape)
    )
    stream = np.frombuffer(shake_256(seed).digest(8 * (2 * n + 1)), "<u8")
    place = np.empty(n, np.int64)
    place[np.argsort(stream[:n], kind="stable")] = np.arange(n)
    payload = place - int(PILOT * n)
    return Layout(
        dither=(stream[n : 2 * n] >> np.uint64(11)) * 2.0**-53,
        chips=np.where(payload < 0, -1, payload % ecc.LENGTH),
        step=np.tile(luma.LATTICE, shape[0] * shape[1]),
        tie=(int(stream[2 * n]) + 0.5) * 2.0**-64,
    )


def agreement(phase: np.ndarray) -> np.ndarray:
    """How much each coefficient speaks for the key, (n,) from -1 to 1: cos of its phase."""
    return np.cos(2 * np.pi * phase)


def sign_test(agree: int, n: int, tie: float) -> float:
    """P(K > agree) + tie * P(K = agree) for K ~ Binomial(n, 1/2): uniform where there is no mark.

    `tie`, a uniform number drawn from the key, spreads each step of the discrete distribution
    (randomised test, Lehmann & Romano 2005, section 3.1); without it the test would be too timid.
    """
    return float(binom.sf(agree, n, 0.5) + tie * binom.pmf(agree, n, 0.5))


def check_pixels(image: np.ndarray) -> np.ndarray:
    """The image itself, or ValueError unless it is (h, w, 3) uint8."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"the image has shape {image.shape} and type {image.dtype}; "
            "expected (height, width, 3) uint8: convert it to RGB first"
        )
    return image


def too_small(image: np.ndarray) -> bool:
    return min(image.shape[:2]) < luma.SMALLEST


@dataclass(frozen=True, repr=False)
class Mark:
    """The mark of one secret key (16 bytes or more).

    >>> mark = Mark(secrets.token_bytes(32))
    >>> mark.detect(mark.embed(image, 7)).payload
    7
    """

    key: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.key, bytes) or len(self.key) < 16:
            raise ValueError(
                "a watermark key has at least 16 bytes; make one with safety.keys.keys"
            )

    def embed(self, image: np.ndarray, payload: int) -> np.ndarray:
        """A marked copy of (h, w, 3) uint8 pixels; same shape, the input is left alone.

        Raises ValueError when the image is smaller than 64 pixels a side, the payload does not
        fit in 32 bits, or the picture has no room for a mark that can be read back.
        """
        from safety.hide import hide

        image = check_pixels(image)
        if too_small(image):
            raise ValueError(
                f"the image is {image.shape[1]}x{image.shape[0]} pixels; a mark needs at least "
                f"{luma.SMALLEST} a side: draw it larger"
            )
        return hide(self.key, image, payload)

    def detect(self, image: np.ndarray) -> MarkResult:
        """Look for this key's mark in (h, w, 3) uint8 pixels. One key, one test: no search."""
        image = check_pixels(image)
        if too_small(image):
            size = f"{image.shape[1]}x{image.shape[0]}"
            return MarkResult("inconclusive", 1.0, None, 0.0, 0, 0, f"{size} pixels is too small")
        coefficients = luma.blocks(image)
        plan = layout(self.key, luma.fingerprint(coefficients), coefficients.shape[:2])
        soft = agreement(plan.phase(coefficients))  # (n,)
        pilot = plan.chips < 0
        n, agree = int(pilot.sum()), int((soft[pilot] > 0).sum())
        p_value = sign_test(agree, n, plan.tie)
        if p_value < PRESENT:
            sums = np.bincount(plan.chips[~pilot], soft[~pilot], minlength=ecc.LENGTH)
            payload, confidence = ecc.decode(sums)
            said = "the mark is there" if payload is not None else "there, its payload unreadable"
            return MarkResult("present", p_value, payload, confidence, n, agree, said)
        if p_value > ABSENT:
            said = "no mark of this key can be read"
            return MarkResult("absent", p_value, None, 0.0, n, agree, said)
        said = f"p = {p_value:.1e} lies between {PRESENT:g} and {ABSENT:g}"
        return MarkResult("inconclusive", p_value, None, 0.0, n, agree, said)


def mark_image(image: np.ndarray, key: bytes, payload: int) -> np.ndarray:
    """A marked copy of an image; see `Mark.embed`."""
    return Mark(key).embed(image, payload)


def detect_mark(image: np.ndarray, key: bytes) -> MarkResult:
    """What a key finds in an image; see `Mark.detect`."""
    return Mark(key).detect(image)
