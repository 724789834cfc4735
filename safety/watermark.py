"""An invisible keyed mark with a payload of 64 bits, and an exact test for it.

Phase modulation of a repeated tile: a picture's brightness is folded into 64 x 64 pixels
(`safety.tile`), and the mark turns the phases of 308 of its frequencies towards the key's. A third
of them, the pilot, tell presence and where the tile begins (phase-only correlation, Kuglin & Hines
1975); the others carry payload and CRC (`safety.ecc`). Every part of a picture holds the whole
mark, so it stands cropping, resizing, brightness and JPEG.

The test is exact for *any* picture: without the mark, the key's phases make the differences
uniform (`safety.chance`), and the p-value counts every shift, size and turn that was tried, and
every way to lie (`safety.orientation`).

What a result does not say: a mark can be washed out by whoever means to (drawing the picture anew
is enough), so absence does not show that a person made it. Whoever holds the key can mark
anything, and whoever has a marked picture can lift its mark onto another: only the ledger, which
keeps what each number's picture looked like, tells that apart. Whoever has some tens of large
marked pictures of one key can line their marks up, and then wash them out at little cost in quality
or forge them better (`safety.averaging`, `pellucid attack-bench`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import shake_256
from typing import Literal

import numpy as np

from safety import chance, ecc, tile
from safety.orientation import AS_IT_LIES, OTHERS, Orientation

PRESENT = 1e-6  # a p-value below this says present
ABSENT = 1e-3  # and one above this says absent
SMALLEST = 64  # pixels: the least height and width of a marked image
STRAIGHT = 0.95  # share of false alarms granted to the picture as it is; guesses get the rest
FINE = np.arange(-4, 5) / 8  # pixels about the best whole shift

Verdict = Literal["present", "absent", "inconclusive"]


@dataclass(frozen=True)
class MarkResult:
    """What the key finds in a picture. `payload` is given only when present and its CRC passes."""

    verdict: Verdict
    p_value: float  # chance of so much agreement in a picture without this key's mark
    payload: int | None
    agreement: float  # sum of the pilot's cosines, at most 103
    votes: float  # share of the payload's signs that agree with what was read
    scale: float  # how many times larger the picture was made, as far as the mark tells
    turn: float  # degrees that it was turned against the clock, likewise
    reason: str
    lies: Orientation = AS_IT_LIES  # mirrored or turned by quarters, where that was looked at

    def to_json(self) -> dict[str, object]:
        """As a plain dict for a JSON file."""
        return asdict(self)


def check_pixels(image: np.ndarray) -> np.ndarray:
    """The image itself, or ValueError unless it is (h, w, 3) uint8."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"the image has shape {image.shape} and type {image.dtype}; "
            "expected (height, width, 3) uint8: convert it to RGB first"
        )
    return image


def phases(key: bytes) -> np.ndarray:
    """The key's phase factors, (308,) complex: SHAKE-256, 16 bits each."""
    drawn = shake_256(b"pellucid mark 2" + key).digest(2 * len(tile.BAND))
    return np.exp(2j * np.pi / 65536 * np.frombuffer(drawn, "<u2"))


def wanted(key: bytes, payload: int) -> np.ndarray:
    """The phase factors of a mark, (308,): the key's, turned by the payload's signs (QPSK)."""
    signs = ecc.encode(payload, 2 * len(tile.CARRIER)).reshape(-1, 2)
    aim = phases(key)
    aim[tile.CARRIER] *= (signs[:, 0] + 1j * signs[:, 1]) / math.sqrt(2)
    return aim


@dataclass(frozen=True)
class Reading:
    """How a picture's phases agree with a key's at the best shift."""

    agreement: float  # sum of the pilot's cosines
    p_value: float
    shift: tuple[int, int]  # down and across, in pixels
    turned: np.ndarray  # (308,) the picture's phase factors less the key's


def read(image: np.ndarray, key: bytes) -> Reading:
    """Compare (h, w, 3) uint8 pixels with a key at all 64 x 64 shifts."""
    return compare(tile.seen(image), key)


def compare(seen: np.ndarray, key: bytes) -> Reading:
    """Compare a picture's phase factors (308,) with a key's; see `tile.seen`."""
    turned = seen * phases(key).conj()
    sums = tile.alignment(turned[tile.PILOT])
    down, across = np.unravel_index(sums.argmax(), sums.shape)
    best = float(sums[down, across])
    p_value = chance.best_shift(best, len(tile.PILOT))
    return Reading(best, p_value, (int(down), int(across)), turned)


def payload_of(reading: Reading) -> tuple[int | None, float]:
    """The payload at the reading's shift, refined to an eighth of a pixel; and the votes for it."""
    turned = reading.turned * tile.moved(reading.shift, np.arange(len(tile.BAND))).conj()
    down, across = _fine()
    sums = ((down * turned[tile.PILOT]) @ across.T).real  # (9, 9)
    i, j = np.unravel_index(sums.argmax(), sums.shape)
    votes = turned[tile.CARRIER] * tile.moved((FINE[i], FINE[j]), tile.CARRIER).conj()
    return ecc.decode(np.stack([votes.real, votes.imag], 1).ravel())


@cache
def _fine() -> tuple[np.ndarray, np.ndarray]:
    """The pilot's phase factors of small shifts down and across, undone: (9, 103) each."""
    down, across = (np.outer(FINE, tile.BAND[tile.PILOT, axis]) for axis in (0, 1))
    return np.exp(2j * np.pi / tile.SIDE * down), np.exp(2j * np.pi / tile.SIDE * across)


def guessed(image: np.ndarray) -> list[tuple[float, float, np.ndarray]]:
    """Scale, turn and phase factors (308,) of a picture with each likely change undone."""
    from safety.geometry import guesses

    undone = [(geometry, geometry.undo(image)) for geometry in guesses(image)]
    return [(g.scale, g.turn, tile.seen(back)) for g, back in undone if min(back.shape[:2]) >= 16]


def best_guess(
    found: list[tuple[float, float, np.ndarray]], key: bytes, straight: Reading
) -> tuple[float, Reading, float, float]:
    """The least p-value, corrected for all that was tried; its reading, scale and turn."""
    best = (min(1.0, straight.p_value / STRAIGHT), straight, 1.0, 0.0)
    for scale, turn, seen in found:
        tried = compare(seen, key)
        corrected = min(1.0, tried.p_value * len(found) / (1 - STRAIGHT))
        best = min(best, (corrected, tried, scale, turn), key=lambda one: one[0])
    return best


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

        A payload below 2^32 suits any picture; up to 2^64, those of 256 pixels a side and more.
        Raises ValueError when the image is smaller than 64 pixels a side or the payload does not
        fit.
        """
        from safety.hide import hide

        image = check_pixels(image)
        if min(image.shape[:2]) < SMALLEST:
            raise ValueError(
                f"the image is {image.shape[1]}x{image.shape[0]} pixels; a mark needs at least "
                f"{SMALLEST} a side: draw it larger"
            )
        return hide(self.key, image, payload)

    def detect(
        self, image: np.ndarray, search: bool = True, anyhow: bool = False
    ) -> MarkResult:  # fmt: skip
        """Look for this key's mark in (h, w, 3) uint8 pixels, at every shift.

        With `search` also at the sizes and turns that the picture's own repetition suggests, and
        with `anyhow` also mirrored and turned by quarters, when nothing is found at once; the
        p-value is corrected for all that was tried.
        """
        from safety import geometry

        image = check_pixels(image)
        if min(image.shape[:2]) < 16:
            size = f"{image.shape[1]}x{image.shape[0]} pixels is too small"
            return MarkResult("inconclusive", 1.0, None, 0.0, 0.0, 1.0, 0.0, size)
        search = search and min(image.shape[:2]) >= geometry.LEAST
        seen = tile.seen(image)
        reading = compare(seen, self.key)
        p_value = min(1.0, reading.p_value / STRAIGHT) if search else reading.p_value
        p_value = AS_IT_LIES.corrected(p_value) if anyhow else p_value
        if p_value < PRESENT or not (search or anyhow):
            return self._result(image, p_value, reading)
        views = guessed(image) if search else []
        best = (p_value, reading, 1.0, 0.0, AS_IT_LIES)
        for lies in (AS_IT_LIES, *OTHERS) if anyhow else (AS_IT_LIES,):
            # Mirroring and quarter turns come after a guess is undone, where they cost nothing.
            tried = compare(lies.phases(seen), self.key)
            if search:
                found = [(scale, turn, lies.phases(view)) for scale, turn, view in views]
                p_value, tried, *undone = best_guess(found, self.key, tried)
            else:
                p_value, undone = tried.p_value, [1.0, 0.0]
            p_value = lies.corrected(p_value) if anyhow else p_value
            best = min(best, (p_value, tried, *undone, lies), key=lambda one: one[0])
        return self._result(image, *best)

    def _result(
        self, image: np.ndarray, p_value: float, reading: Reading, scale: float = 1.0,
        turn: float = 0.0, lies: Orientation = AS_IT_LIES,
    ) -> MarkResult:  # fmt: skip
        payload, votes = None, 0.0
        if p_value < PRESENT:
            verdict, (payload, votes) = "present", payload_of(reading)
            said = "the mark is there" if payload is not None else "there, its payload unreadable"
        elif p_value > ABSENT and min(image.shape[:2]) >= SMALLEST:
            verdict, said = "absent", "no mark of this key can be read"
        elif p_value > ABSENT:
            size = f"{image.shape[1]}x{image.shape[0]}"
            verdict, said = "inconclusive", f"{size} pixels is too small to say that none is there"
        else:
            verdict = "inconclusive"
            said = f"p = {p_value:.1e} lies between {PRESENT:g} and {ABSENT:g}"
        return MarkResult(
            verdict,
            p_value,
            payload,
            reading.agreement,
            votes,
            scale,
            float(np.rad2deg(turn)),
            said,
            lies,
        )


def mark_image(image: np.ndarray, key: bytes, payload: int) -> np.ndarray:
    """A marked copy of an image; see `Mark.embed`."""
    return Mark(key).embed(image, payload)


def detect_mark(image: np.ndarray, key: bytes) -> MarkResult:
    """What a key finds in an image; see `Mark.detect`."""
    return Mark(key).detect(image)
