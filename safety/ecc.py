"""The payload's code: 32 bits and a CRC as six words of the first-order Reed-Muller code RM(1, 7).

Six symbols of 8 bits; a symbol is one of 256 words of 128 signs, any two of which differ in at
least 64 places (Muller 1954, Reed 1954; the code of Mariner 9). Decoding by maximum likelihood is
one product with a Hadamard matrix (Green 1966), so that silent and doubtful signs cost little.
"""

from __future__ import annotations

import binascii
from functools import cache

import numpy as np
from scipy.linalg import hadamard
from scipy.special import softmax

BITS = 32
SYMBOLS = 6  # 32 bits of payload and 16 of CRC, 8 bits each
CHIPS = 128  # signs of a symbol's word
LENGTH = SYMBOLS * CHIPS


@cache
def words() -> np.ndarray:
    """The 256 words, (256, 128) int8 of -1 and 1: Hadamard rows, then their negatives."""
    rows = hadamard(CHIPS).astype(np.int8)
    return np.concatenate([rows, -rows])  # (256, 128)


def symbols(payload: int) -> np.ndarray:
    """Payload and CRC as six bytes, (6,) uint8. Raises ValueError unless it fits in 32 bits."""
    if not 0 <= payload < 1 << BITS:
        raise ValueError(
            f"the payload is {payload}, expected 0 to {(1 << BITS) - 1}: it has {BITS} bits"
        )
    body = int(payload).to_bytes(4, "big")
    return np.frombuffer(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big"), np.uint8)


def encode(payload: int) -> np.ndarray:
    """The signs of a payload, (768,) int8."""
    return words()[symbols(payload)].reshape(-1)


def scores(votes: np.ndarray) -> np.ndarray:
    """Agreement of summed votes (768,) with each word: (6, 256)."""
    return votes.reshape(SYMBOLS, CHIPS) @ words().T.astype(np.float64)


def decode(votes: np.ndarray) -> tuple[int | None, float]:
    """The most likely payload of summed soft votes (768,), and the probability that it is right.

    The payload is None when its CRC (CCITT, 16 bits) fails: one wrong reading in 65,536 passes.
    The probability is the posterior of the six best words, with equal priors and Gaussian noise
    of the spread seen in the votes themselves; the CRC's evidence is not counted in it.
    """
    table = scores(votes)
    best = table.argmax(axis=1).astype(np.uint8)
    signal = table.max(axis=1, keepdims=True) / CHIPS  # (6, 1) mean vote for the best word
    noise = (votes.reshape(SYMBOLS, CHIPS) ** 2).mean(axis=1, keepdims=True) - signal**2
    likely = softmax(table * signal / np.maximum(noise, 1e-9), axis=1)  # (6, 256)
    body, check = best[:4].tobytes(), best[4:].tobytes()
    passes = binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big") == check
    return (int.from_bytes(body, "big") if passes else None), float(likely.max(axis=1).prod())
