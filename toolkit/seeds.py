"""A seed's random numbers."""

from __future__ import annotations

import numpy as np
import torch


def generator(seed: int) -> torch.Generator:
    """Random numbers that follow from a whole number from 0 up.

    Torch's generator on a CPU reads 32 bits of its seed and would draw 5 and 5 + 2^32 alike:
    longer seeds are mixed into 32 bits first.
    """
    if seed >= 1 << 32:
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    return torch.Generator().manual_seed(seed)
