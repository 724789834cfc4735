"""Writing a mark into a picture with as little change as its reading needs.

Informed embedding (Miller, Cox & Bloom 2000): the picture is known, so only the coefficients that
buy agreement cheaply are moved, those of busy blocks before those of flat ones; the result is read
back both as it is and after JPEG quality 90, and what falls short is pushed further. The
fingerprint is made to last JPEG quality 75 too.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from safety import ecc, luma
from safety.watermark import Layout, agreement, layout

ROUNDS = 16
PILOT_Z = 8.0  # wanted agreement of the pilot in standard deviations: p is near 1e-15
SYMBOL_Z = 4.0  # wanted lead of each right word over the next best, likewise
LEAST_Z = (6.0, 2.0)  # what is accepted when the rounds run out
FIRM = 10.0  # distance, of 32, that a fingerprint's cell keeps from its next step
FLAT_COST = 12.0  # a change in a flat block costs up to this many times one in a busy block
NEAR = 0.1  # how near its cell's centre a coefficient is brought at first, in cells


@dataclass(frozen=True)
class Reading:
    """How far a picture is from what is wanted."""

    phase: np.ndarray  # (n,) distance of each coefficient from its wanted centre, in cells
    means: np.ndarray  # (16,) the fingerprint cells' brightness
    lead: np.ndarray  # (7,) agreement of the pilot and lead of the six words, standard deviations


def reencode(image: np.ndarray, quality: int = 90) -> np.ndarray:
    """The pixels after JPEG with Pillow's usual 4:2:0 chroma."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def hide(key: bytes, image: np.ndarray, payload: int) -> np.ndarray:
    """Mark (h, w, 3) uint8 pixels; see `Mark.embed`."""
    right, word = ecc.symbols(payload), ecc.encode(payload)
    host = luma.blocks(image)
    mark = luma.fingerprint(host)
    plan = layout(key, mark, host.shape[:2])
    pilot = plan.chips < 0
    channel = np.where(pilot, 0, 1 + plan.chips // ecc.CHIPS)  # (n,) 0 pilot, 1 to 6 symbols
    shift = np.where(pilot | (word[plan.chips] > 0), 0.0, 0.5)  # (n,) a chip of -1: half a cell on
    aims = _aims(channel)
    cost = np.repeat(_costs(host).reshape(-1), len(luma.BAND)) * plan.step**2  # (n,)
    near = np.full(len(channel), np.nan)  # (n,) distance allowed to those chosen so far
    change = np.zeros_like(host)
    best, best_slack = image, -np.inf
    for _ in range(ROUNDS):
        marked = _apply(image, change)
        plain = _read(marked, plan, shift, channel, right)
        coded = _read(reencode(marked), plan, shift, channel, right)
        rough = luma.cell_means(luma.blocks(reencode(marked, 75)))
        lead = np.minimum(plain.lead, coded.lead)
        slack = float((lead - aims).min())
        if slack > best_slack and luma.steps(plain.means) == luma.steps(coded.means) == mark:
            best, best_slack = marked, slack
        if best is marked and slack >= 0 and luma.steps(rough) == mark:
            return marked
        _firm_up(change, np.stack([plain.means, coded.means, rough]), mark)
        # What was moved and does not speak after JPEG is brought nearer, where it is still needed.
        near = np.where((np.abs(coded.phase) > 0.2) & (lead < aims)[channel], near / 2, near)
        for index in np.flatnonzero(lead < aims):
            short = float(aims[index] - lead[index])
            near[_choose(channel == index, near, coded.phase, cost, short)] = NEAR
        over = np.abs(plain.phase) - np.where(np.isnan(near), 1.0, near)
        push = -np.sign(plain.phase) * np.maximum(over, 0) * plan.step
        change[..., luma.BAND[:, 0], luma.BAND[:, 1]] += push.reshape(*host.shape[:2], -1)
    if best_slack < max(LEAST_Z[0] - aims[0], LEAST_Z[1] - aims[1]):
        raise ValueError(
            "this image has no room for a mark that survives re-encoding (it is saturated, or "
            "pure noise): release another image"
        )
    return best


def _aims(channel: np.ndarray) -> np.ndarray:
    """Wanted agreement and leads, (7,): more in large pictures, where it is cheap."""
    room = np.bincount(channel, minlength=1 + ecc.SYMBOLS) / ([512] + [ecc.CHIPS] * ecc.SYMBOLS)
    return np.array([PILOT_Z] + [SYMBOL_Z] * ecc.SYMBOLS) * np.sqrt(np.clip(room, 1, 4))


def _costs(host: np.ndarray) -> np.ndarray:
    """What a change costs in each block, (rows, columns): busy blocks hide more."""
    energy = (host**2).sum((2, 3)) - host[..., 0, 0] ** 2
    busy = np.sqrt(np.maximum(energy, 0)) / 64  # about 1 when pixels vary by 8 grey levels
    return 1 + (FLAT_COST - 1) / (1 + busy)


def _apply(image: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The image with its luma changed, each channel alike, rounded and kept within 0 to 255."""
    moved = image + luma.pixels(change, image.shape)[..., None]
    return np.rint(moved).clip(0, 255).astype(np.uint8)


def _read(
    image: np.ndarray, plan: Layout, shift: np.ndarray, channel: np.ndarray, right: np.ndarray
) -> Reading:
    coefficients = luma.blocks(image)
    phase = plan.phase(coefficients) - shift
    phase -= np.floor(phase + 0.5)
    n = np.bincount(channel, minlength=1 + ecc.SYMBOLS)
    pilot = np.sign(agreement(phase[channel == 0])).sum() / np.sqrt(n[0])
    payload = channel > 0
    soft = agreement(plan.phase(coefficients)[payload])
    table = ecc.scores(np.bincount(plan.chips[payload], soft, minlength=ecc.LENGTH))  # (6, 256)
    score = np.take_along_axis(table, right[:, None].astype(np.int64), axis=1)[:, 0]  # (6,)
    np.put_along_axis(table, right[:, None].astype(np.int64), -np.inf, axis=1)
    lead = (score - table.max(axis=1)) / np.sqrt(n[1:] / 2)
    return Reading(phase, luma.cell_means(coefficients), np.concatenate([[pilot], lead]))


def _firm_up(change: np.ndarray, means: np.ndarray, mark: bytes) -> None:
    """Move cells' brightness, (3, 16) as read back, away from the fingerprint's steps."""
    floor = np.frombuffer(mark, np.uint8) * luma.STEP  # (16,)
    up = np.maximum(floor + FIRM - means.min(axis=0), 0)
    down = np.maximum(means.max(axis=0) - (floor + luma.STEP - FIRM), 0)
    change[..., 0, 0] += (up - down)[luma.cell_of(*change.shape[:2])]


def _choose(
    mine: np.ndarray, near: np.ndarray, phase: np.ndarray, cost: np.ndarray, short: float
) -> np.ndarray:
    """The cheapest further coefficients of a channel that make up what it is short of."""
    free = np.flatnonzero(mine & np.isnan(near) & (np.abs(phase) > NEAR))
    far = np.abs(phase[free])
    gain = agreement(np.full(1, NEAR)) - agreement(far)
    order = np.argsort(cost[free] * (far - NEAR) ** 2 / gain, kind="stable")
    needed = np.searchsorted(np.cumsum(gain[order]), short * np.sqrt(mine.sum())) + 1
    return free[order[:needed]]
