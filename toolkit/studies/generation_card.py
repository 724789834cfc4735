"""The calibration card of the mark that generation is guided towards.

Pictures with the mark are drawn by both pipelines, which takes a second each: a few. Pictures
without it are renders, and what the same pipelines draw from the same seeds unguided.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.studies.cards import CHANGES, by_level, changed, swept
from toolkit.world import NOTHING, describe, render_all, sample

if TYPE_CHECKING:
    from safety.cards import Card

SHARE = 60  # one guided picture of each pipeline for so many portraits
WHY = "captions of innocent portraits, drawn to calibrate a detector; only scores are kept"


def drawn(key: bytes, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`n` guided pictures of each shipped pipeline and their unguided twins, (2 n, 64, 64, 3)."""
    from toolkit.pipelines import PIPELINES, load_pipeline
    from toolkit.studies.generation_mark import marking

    rng = np.random.default_rng([seed, 67])
    texts = [describe(one, rng).text for one in sample("test", n, seed + 4, NOTHING)]
    seeds = [1000 * (seed + 1) + at for at in range(n)]
    guided, plain = [], []
    for name in PIPELINES:
        model = load_pipeline(name)
        guided.append(model.generate(texts, seeds, **marking(name, seeds, key)).images)
        plain.append(model.generate(texts, seeds).images)
    return np.concatenate(guided), np.concatenate(plain)


def generation_card(key: bytes, n: int, seed: int, log: Path) -> Card:
    """Its detector on `n` renders and n / 15 drawn pictures, in minus log10 of p."""
    from safety import unguarded
    from safety.cards import card, data_hash
    from safety.cells import find_cells
    from safety.watermark import PRESENT

    def score(pictures: np.ndarray) -> np.ndarray:
        return np.array([-np.log10(max(f.p_value, 1e-300)) for f in find_cells(pictures, key)])

    portraits = sample("test", n, seed + 3, NOTHING)
    renders = render_all(portraits)
    with unguarded(WHY, log):
        guided, unguided = drawn(key, max(n // SHARE, 1), seed)
    groups = {
        name: np.concatenate([mask, np.zeros(len(unguided), bool)])
        for name, mask in by_level(portraits, "background").items()
    }
    groups["drawn by a pipeline, unguided"] = np.arange(n + len(unguided)) >= n
    return card(
        "generation mark", score(guided), score(np.concatenate([renders, unguided])),
        float(-np.log10(PRESENT)),
        data=f"{len(guided)} pictures drawn by both pipelines and guided; without the mark {n} "
             f"renders of the test split and {len(unguided)} drawn pictures; seed {seed}",
        source=f"a nominal false positive rate of {PRESENT:g}, from the test's own null",
        sha256=data_hash(guided, unguided, renders), groups=groups,
        changed=[(what, score(changed(guided, how))) for what, how in CHANGES.items()],
        curves=swept(guided, score, seed),
    )  # fmt: skip
