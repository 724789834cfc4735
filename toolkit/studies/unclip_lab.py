"""The unCLIP laboratory: what an image embedding holds, and what it leaves open.

Variations, interpolations and text diffs are those of Ramesh et al. 2022, section 3; the ladder is
its section 4 (figure 7). Every picture leaves through the guarded door.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import UserError
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment, laboratory_run

SMALL = 32  # pixels of the decoder, before the upsampler
THETAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # radians; the paper goes to 0.25 .. 0.50
RUNGS = (2, 5, 10, 20, 40, 80)
ROUND_TRIP = {"steps": 50, "guidance": 1.0}


def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Between two vectors along the great circle; `share` 0 gives `a`, 1 gives `b` (Shoemake 1985).

    Norms are interpolated too. Vectors along one line are mixed straight.
    """
    one, two = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(np.dot(a, b) / max(one * two, 1e-12), -1, 1))
    if np.sin(angle) < 1e-6:
        return (1 - share) * a + share * b
    way = (np.sin((1 - share) * angle) * a / one + np.sin(share * angle) * b / two) / np.sin(angle)
    return way * ((1 - share) * one + share * two)


def turned(z: np.ndarray, towards: np.ndarray, theta: float) -> np.ndarray:
    """`z` (d,) turned by `theta` radians towards a direction, on the sphere."""
    unit = z / np.linalg.norm(z)
    across = towards - (towards @ unit) * unit
    across = across / max(float(np.linalg.norm(across)), 1e-12)
    return (np.cos(theta) * unit + np.sin(theta) * across).astype(np.float32)


def text_diff(
    z: np.ndarray, before: np.ndarray, after: np.ndarray, theta: float, mean: np.ndarray | None
) -> np.ndarray:
    """An image embedding (d,) turned along the difference of two text embeddings.

    With the `mean` of real image embeddings the turn is made around it: image embeddings fill a
    narrow cone, which a turn around the origin leaves (Liang et al. 2022, the modality gap).
    """
    if mean is None:
        return turned(z, after - before, theta)
    away = z - mean
    moved = mean + turned(away, after - before, theta) * np.linalg.norm(away)
    return (moved / np.linalg.norm(moved)).astype(np.float32)


def read_picture(path: str | Path) -> np.ndarray:
    """(64, 64, 3) uint8, the middle square of a picture file. Raises UserError if there is none."""
    from PIL import Image, ImageOps

    from safety.pictures import BadPicture, upright_picture

    try:
        whole = upright_picture(Path(path)).convert("RGB")
        square = ImageOps.fit(whole, (64, 64), Image.Resampling.BICUBIC)
    except BadPicture as error:
        raise UserError(
            f"{path} can't be read as a picture ({error}); give a PNG, JPEG or WebP"
        ) from error
    return np.array(square)  # a copy of its own: torch warns of what it may not write


def small(pictures: np.ndarray) -> torch.Tensor:
    """(n, 64, 64, 3) uint8 to the decoder's (n, 3, 32, 32) in [-1, 1], by area."""
    from toolkit.training.data import to_tensor

    return torch.nn.functional.avg_pool2d(to_tensor(pictures), 2)


@dataclass(frozen=True)
class Line:
    """A row of the sheet: heading, one label a picture, and what the decoder is given for each."""

    heading: str
    labels: tuple[str, ...]
    embeddings: np.ndarray  # (n, d)
    seeds: tuple[int, ...]
    noises: torch.Tensor | None = None  # (n, 3, 32, 32)
    eta: float = 0.0


def drawing(door: Door, line: Line, prompt: str) -> Drawing:
    """A line as the laboratory draws it; the guard sees every embedding."""
    model = door.pipeline("unclip")

    def decode(rows: np.ndarray, trace) -> np.ndarray:
        noises = None if line.noises is None else line.noises[rows]
        seeds = [line.seeds[row] for row in rows]
        return model.decode(line.embeddings[rows], seeds, noises, trace, eta=line.eta)

    prompts = (prompt,) * len(line.seeds)
    return Drawing(
        "unclip", line.heading, line.labels, prompts, line.seeds, decode, line.embeddings
    )


def variations(door: Door, picture: np.ndarray, seed: int, count: int = 7) -> list[Line]:
    """One embedding, other noise: what CLIP did not keep is what changes."""
    z = door.clip.encode_image(picture[None])
    seeds = tuple(seed + i for i in range(count))
    same = np.repeat(z, count, 0)
    inverted = door.pipeline("unclip").invert(small(picture[None]), z, **ROUND_TRIP)
    noises = inverted.repeat(count, 1, 1, 1)
    etas = (0.0, 0.5, 1.0)
    return [
        Line("its embedding, decoded with other noise", tuple(f"seed {s}" for s in seeds), same,
             seeds),
        *(
            Line(f"its embedding and its own noise, by inversion; DDIM eta {eta:g}",
                 tuple(f"seed {s}" for s in seeds), same, seeds, noises, eta)
            for eta in etas[1:]
        ),
    ]  # fmt: skip


def interpolation(door: Door, a: np.ndarray, b: np.ndarray, seed: int, count: int = 7):
    """From one picture's embedding to another's, with one noise and with noise in between."""
    za, zb = door.clip.encode_image(np.stack([a, b]))
    shares = np.linspace(0, 1, count)
    between = np.stack([slerp(za, zb, s) for s in shares]).astype(np.float32)
    xa, xb = door.pipeline("unclip").invert(
        small(np.stack([a, b])), np.stack([za, zb]), **ROUND_TRIP
    )
    noises = torch.stack(
        [
            torch.from_numpy(slerp(xa.numpy().ravel(), xb.numpy().ravel(), s)).view_as(xa)
            for s in shares
        ]
    ).float()
    labels, seeds = tuple(f"{s:.2f}" for s in shares), (seed,) * count
    return [
        Line("embedding in between, one noise", labels, between, seeds),
        Line("embedding and inverted noise in between", labels, between, seeds, noises),
    ]


def difference(door: Door, picture: np.ndarray, before: str, after: str, seed: int) -> list[Line]:
    """A picture along the difference of two texts, around the origin and around the cone's mean."""
    from toolkit.world import render_all, sample

    z = door.clip.encode_image(picture[None])[0]
    said = door.clip.encode_text([before, after])
    mean = door.clip.encode_image(render_all(sample("probe", 400, seed))).mean(0)
    noises = door.pipeline("unclip").invert(small(picture[None]), z[None], **ROUND_TRIP)
    count, seeds = len(THETAS), (seed,) * len(THETAS)
    lines = []
    for heading, centre, own in (
        ("around the origin, as in the paper; one noise", None, None),
        ("around the mean of real embeddings; one noise", mean, None),
        ("the same with the picture's own noise, by inversion: it holds on", mean, noises),
    ):
        wide = 1 if centre is None else 3  # centred embeddings spread over a wider angle
        turns = [wide * theta for theta in THETAS]
        moved = np.stack([text_diff(z, said[0], said[1], turn, centre) for turn in turns])
        labels = tuple(f"{turn:.2f} rad" for turn in turns)
        start = None if own is None else own.repeat(count, 1, 1, 1)
        lines.append(Line(heading, labels, moved, seeds, start))
    return lines


def ladder(door: Door, picture: np.ndarray, seed: int) -> list[Line]:
    """The embedding rebuilt from more and more principal components, decoded on one seed."""
    from probes import PCADirections
    from toolkit.world import render_all, sample

    z = door.clip.encode_image(picture[None])
    real = door.clip.encode_image(render_all(sample("probe", 800, seed)))
    pca = PCADirections(min(max(RUNGS), real.shape[1])).fit(real)
    axes = pca.transform(z)
    rungs = [
        pca.mean_ + axes[:, :k] @ pca.components_[:k] for k in RUNGS if k <= len(pca.components_)
    ]
    rebuilt = np.concatenate([*rungs, z])
    rebuilt /= np.linalg.norm(rebuilt, axis=1, keepdims=True)
    labels = (*(f"{k} components" for k in RUNGS[: len(rungs)]), f"all {z.shape[1]}")
    kept = rebuilt.astype(np.float32)
    return [Line("what the first components hold", labels, kept, (seed,) * len(labels))]


def unclip_run(
    out: str,
    kind: str,
    make: Callable[[Door, list[np.ndarray]], list[Line]],
    paths: Sequence[str],
    prompt: str,
    *,
    replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Draw an experiment into a run: pictures, `laboratory/KIND.png`, the report."""
    pictures = [read_picture(path) for path in paths]

    def experiment(door: Door) -> Experiment:
        lines = make(door, pictures)
        return Experiment(f"unCLIP: {kind}", [drawing(door, line, prompt) for line in lines])

    given = [(Path(path).name, picture) for path, picture in zip(paths, pictures, strict=True)]
    return laboratory_run(
        out, f"pellucid unclip {kind}", kind, experiment,
        config={"prompt": prompt}, given=given, sources=paths, replace=replace, say=say,
    )  # fmt: skip
