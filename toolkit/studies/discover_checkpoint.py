"""Directions in a real checkpoint, from words alone: twin captions through its own text tower.

Nothing here has seen a picture of the model, so a direction's sigma is that of captions (text
states) or of the prior's own statistics of image embeddings; whether it does anything, steering
has to show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from probes import Direction, MeanDifference, Space
from toolkit.errors import UserError
from toolkit.runs import RunWriter
from toolkit.studies.discover import PAIRS, Discovered, file_name, paired_captions, poles

if TYPE_CHECKING:
    from toolkit.pipelines.checkpoints import Checkpoint

AT_ONCE = 16  # captions through the tower


def checkpoint_directions(
    model: Checkpoint,
    factors: Sequence[str],
    seed: int,
    say: Callable[[str], None] = lambda text: None,
    pairs: int = PAIRS,
) -> list[Direction]:
    """A direction for each level of each factor, at every site where words reach the model.

    At `text_states` the difference of class means over the words' states; at `image_embedding`
    the mean text diff (Ramesh et al. 2022, 3.3). Raises UserError for a checkpoint whose image
    embeddings no text tower shares.
    """
    sites = [site for site in model.spaces if site == "text_states" or model.statistics]
    if not sites:
        raise UserError(f"{model.name} has no site that words reach")
    found = []
    for factor in factors:
        for name, level in poles(factor).items():
            on, off = paired_captions(factor, level, pairs, seed)
            say(f"{name}: {len(on)} pairs of captions")
            for site in sites:
                vectors = [_vectors(model, site, texts) for texts in (on, off)]
                how = _state_direction if site == "text_states" else _text_diff
                found.append(how(model, model.spaces[site], name, level, *vectors))
    return found


def _vectors(model: Checkpoint, site: str, texts: Sequence[str]) -> np.ndarray:
    parts = range(0, len(texts), AT_ONCE)
    return np.concatenate([model.text_vectors(site, texts[i : i + AT_ONCE]) for i in parts])


def _state_direction(
    model: Checkpoint, space: Space, name: str, level: str, on: np.ndarray, off: np.ndarray
) -> Direction:
    labels = {name: ["yes"] * len(on) + ["no"] * len(off)}
    one = MeanDifference(space).fit(np.concatenate([on, off]), labels).directions_[name]
    evidence = one.evidence | {"level": level, "pairs": len(on)}
    return Direction(one.vector, one.mean, one.sigma, space, name, one.method, evidence)


def _text_diff(
    model: Checkpoint, space: Space, name: str, level: str, on: np.ndarray, off: np.ndarray
) -> Direction:
    """The prior keeps each number's mean and spread over real image embeddings: sigma is theirs.

    As if the numbers varied independently, which is all that the checkpoint tells of them.
    """
    mean, spread = model.statistics or (np.zeros(on.shape[1]), np.ones(on.shape[1]))
    gap = (on - off).mean(0)
    length = float(np.linalg.norm(gap))
    if length < 1e-9:
        raise UserError(f"{model.name} reads the captions of {name} and their twins alike")
    sigma = float(np.linalg.norm(gap / length * spread))
    evidence = {"level": level, "pairs": len(on), "gap": length}
    return Direction(gap, mean, sigma, space, name, "mean text difference", evidence)


def checkpoint_run(
    out: str,
    model: str,
    factors: tuple[str, ...],
    seed: int,
    replace: bool,
    say: Callable[[str], None],
    methods: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """`pellucid discover --model`: a run that holds the directions. Returns one row each."""
    from toolkit.pipelines.checkpoints import load_checkpoint

    if methods := tuple(methods):
        raise UserError(
            f"--method {methods[0]} needs labelled portraits, which {model} has never seen; leave "
            "it out: directions of a real checkpoint come from captions"
        )
    checkpoint = load_checkpoint(model, say)
    config = {"factors": list(factors), "seed": seed, "model": checkpoint.name}
    with RunWriter(out, f"pellucid discover {' '.join(factors)}", config, replace) as run:
        run.manifest["models"] = {checkpoint.name: checkpoint.hash}
        run.manifest["checkpoint"] = {"name": checkpoint.name, "kind": checkpoint.kind}
        run.manifest["seeds"] = [seed]
        with run.timed("discover"):
            found = checkpoint_directions(checkpoint, factors, seed, say)
        for one in found:
            one.save(run.file(f"directions/{file_name(one.name, one.space.site)}"))
    return Discovered(tuple(found), np.zeros((0, 1)), ()).facts()
