"""The payload's code: a CRC, then a convolutional code read with soft decisions.

Rate 1/4, constraint length 9, generators 463, 535, 733 and 745 in octal (Proakis, Digital
Communications, table 8.2-3), ended in state zero and decoded by Viterbi's algorithm (1967). A
payload below 2^32 goes out in a short frame, one up to 2^64 in a long one; what is left of the
chips repeats the code from its start, so that a short payload stands more.
"""

from __future__ import annotations

import binascii
from functools import cache

import numpy as np

SIZES = (32, 64)  # bits of the payload in a short and in a long frame
CRC = {32: 0xFFFF, 64: 0x1D0F}  # start values of CRC-16 CCITT: a frame is not read as the other
CLEAR = 0.85  # share of agreeing votes that no wrong reading has: the other frame need not be tried
MEMORY = 8  # bits that the encoder remembers
STATES = 1 << MEMORY
GENERATORS = (0o463, 0o535, 0o733, 0o745)


@cache
def branches() -> np.ndarray:
    """The four signs sent for each register, newest bit last, (512, 4) float32."""
    registers = np.arange(2 * STATES)
    odd = [[bin(r & generator).count("1") & 1 for generator in GENERATORS] for r in registers]
    return 1 - 2 * np.array(odd, np.float32)


def frame(payload: int) -> np.ndarray:
    """Payload and CRC as bits, (48,) or (80,) uint8. Raises ValueError unless it fits in 64."""
    size = next((size for size in SIZES if 0 <= payload < 1 << size), None)
    if size is None:
        raise ValueError(f"the payload is {payload}, expected 0 to {(1 << 64) - 1}: it has 64 bits")
    body = int(payload).to_bytes(size // 8, "big")
    return np.unpackbits(np.frombuffer(body + _crc(body), np.uint8))


def _crc(body: bytes) -> bytes:
    return binascii.crc_hqx(body, CRC[8 * len(body)]).to_bytes(2, "big")


def encode(payload: int, length: int) -> np.ndarray:
    """The signs of a payload, (length,) float32 of -1 and 1."""
    return np.resize(branches()[_registers(frame(payload))], length)


def _registers(bits: np.ndarray) -> np.ndarray:
    """What the encoder's register holds after each bit (n,) and the zeros that end it, (n + 8,)."""
    padded = np.concatenate([bits, np.zeros(MEMORY, np.uint8)]).astype(int)
    return np.convolve(padded, 1 << np.arange(MEMORY + 1))[: len(padded)]


def decode(votes: np.ndarray) -> tuple[int | None, float]:
    """The payload most like the soft votes (n,), and the share of votes that agree with it.

    None where no frame's CRC passes: one wrong reading in 32,768 does.
    """
    frames = [(size, _summed(votes, size)) for size in reversed(SIZES)]
    for size, summed in frames:  # of a clean picture, the quick way will do
        found = _payload(followed(summed), votes, size)
        if found[1] > CLEAR:
            return found
    best: tuple[int | None, float] = (None, 0.0)
    for size, summed in frames:
        best = max(best, _payload(viterbi(summed), votes, size), key=lambda found: found[1])
        if best[1] > CLEAR:
            break
    return best


def _summed(votes: np.ndarray, size: int) -> np.ndarray:
    """The votes for each chip of a frame, which is repeated while there is room."""
    length = len(GENERATORS) * (size + 16 + MEMORY)
    whole = np.zeros(-(-len(votes) // length) * length)
    whole[: len(votes)] = votes
    return whole.reshape(-1, length).sum(0)


def _payload(bits: np.ndarray, votes: np.ndarray, size: int) -> tuple[int | None, float]:
    """The payload of a frame's bits and the share of votes for it; None unless its CRC passes."""
    read = np.packbits(bits).tobytes()
    payload = int.from_bytes(read[:-2], "big")
    small = size > SIZES[0] and not payload >> SIZES[0]  # a small number has a short frame
    if small or _crc(read[:-2]) != read[-2:]:
        return None, 0.0
    return payload, float((encode(payload, len(votes)) * votes > 0).mean())


@cache
def _quartets() -> tuple[np.ndarray, list[int]]:
    """All 16 patterns of four signs, (4, 16), and which of them each state sends with a 0."""
    patterns = 1 - 2 * (np.arange(16) >> np.arange(4)[:, None] & 1)
    sent = branches()[2 * np.arange(STATES)]  # a register is a state and the newest bit
    return patterns.astype(np.float32), ((sent < 0) @ (1 << np.arange(4))).tolist()


def followed(votes: np.ndarray) -> np.ndarray:
    """Bits of summed votes (4 * (n + 8),), each the likelier after those before: (n,) uint8.

    Without doubtful votes it is Viterbi's answer in a tenth of the time. Every generator takes the
    newest bit, so that a 1 sends the opposite of what a 0 does.
    """
    patterns, sent = _quartets()
    steps = (votes.astype(np.float32).reshape(-1, len(GENERATORS)) @ patterns).tolist()
    state, bits = 0, []
    for step in steps[:-MEMORY]:
        bit = step[sent[state]] < 0
        state = (state << 1 | bit) & (STATES - 1)
        bits.append(bit)
    return np.array(bits, np.uint8)


def viterbi(votes: np.ndarray) -> np.ndarray:
    """The likeliest bits of summed votes (4 * (n + 8),): (n,) uint8, by maximum likelihood."""
    steps = votes.astype(np.float32).reshape(-1, len(GENERATORS)) @ branches().T  # (n + 8, 512)
    # A state's two predecessors are half of its number, and that many and STATES / 2.
    metrics = np.full((len(steps) + 1, STATES), -np.inf, np.float32)
    metrics[0, 0] = 0
    for index, step in enumerate(steps):
        one, other = metrics[index].reshape(2, -1, 1) + step.reshape(2, -1, 2)
        np.maximum(one, other, out=metrics[index + 1].reshape(-1, 2))
    state, bits = 0, np.empty(len(steps), np.uint8)
    for index in range(len(steps) - 1, -1, -1):
        bits[index] = state & 1
        one, step = state >> 1, steps[index]
        other = one + STATES // 2
        late = metrics[index, other] + step[state + STATES] > metrics[index, one] + step[state]
        state = other if late else one
    return bits[:-MEMORY]
