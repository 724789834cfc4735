"""Attacks by whoever holds many marked pictures, or one: steal the mark, or forge it.

Averaging (Yang et al. 2024, "Can simple averaging defeat modern watermarks?"): the pictures average
out and what all marks share stays. Subtracted, it removes the mark; added, it accuses pictures that
were never marked. The copy attack (Kutter, Voloshynovskiy & Herrigel 2000) lifts it off one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Pictures = Sequence[np.ndarray]  # of one shape (h, w, 3), uint8
ROUNDS = 3  # of lining up differences with their mean
LARGEST = 6.0  # grey levels of a lifted mark: what sticks out further is the picture's own edge


def averaged(marked: Pictures, plain: Pictures) -> np.ndarray:
    """Mean of marked pictures less the mean of other, unmarked ones, (h, w, 3).

    Of the same pictures without their mark where the thief has those.
    """
    return np.mean([np.asarray(one, np.float32) for one in marked], 0) - np.mean(
        [np.asarray(one, np.float32) for one in plain], 0
    )


def lined_up(differences: np.ndarray) -> np.ndarray:
    """The mean (h, w, 3) of differences (n, h, w, 3) after each was rolled to agree with the rest.

    For a thief who knows that every picture's mark begins at another place: the shift is where
    the cross-correlation of brightness is largest (Kuglin & Hines 1975).
    """
    grey = [np.fft.rfft2(one.mean(-1)) for one in differences]
    shape, model, moved = differences.shape[1:3], grey[0], list(differences)
    for _ in range(ROUNDS):
        moved, spectra = [], []
        for one, spectrum in zip(differences, grey, strict=True):
            match = np.fft.irfft2(model * spectrum.conj(), shape)
            shift = np.unravel_index(match.argmax(), shape)
            moved.append(np.roll(one, shift, (0, 1)))
            spectra.append(np.fft.rfft2(moved[-1].mean(-1)))
        model = np.mean(spectra, 0)
    return np.mean(moved, 0)


def placed(pattern: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The pattern (h, w, 3) rolled to where a marked picture's fine grain agrees with it best.

    What a thief does before subtracting a pattern that begins elsewhere in every picture.
    """
    grain = np.fft.rfft2(lifted(image).mean(-1))
    match = np.fft.irfft2(grain * np.fft.rfft2(pattern.mean(-1)).conj(), pattern.shape[:2])
    return np.roll(pattern, np.unravel_index(match.argmax(), match.shape), (0, 1))


def as_loud(pattern: np.ndarray, decibels: float) -> np.ndarray:
    """The pattern made as strong as a mark of that PSNR is; nothing at all stays nothing."""
    size = float(np.sqrt(np.mean(pattern * pattern)))
    return pattern * (255 / 10 ** (decibels / 20) / size) if size > 1e-6 else pattern


def lifted(marked: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    """What is faint and fine in one marked picture (h, w, 3): its mark, and some of its own grain.

    The copy attack's estimate: the picture less its blurred self, large values cut.
    """
    from scipy.ndimage import gaussian_filter

    values = np.asarray(marked, np.float32)
    fine = values - gaussian_filter(values, (sigma, sigma, 0))
    return np.clip(fine, -LARGEST, LARGEST)


def stolen(image: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """A marked picture (h, w, 3) uint8 without the pattern: theft."""
    return np.rint(image - pattern).clip(0, 255).astype(np.uint8)


def forged(image: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """An unmarked picture (h, w, 3) uint8 with the pattern: forgery."""
    return np.rint(image + pattern).clip(0, 255).astype(np.uint8)
