"""Marks that are made while a picture is drawn, and what a key finds of them in a picture.

Guidance (Gesny et al. 2025) changes what is about to be decoded (`toolkit.studies.guided_mark`);
its test needs the picture alone. Gaussian Shading (Yang et al. 2024) and Tree-Ring (Wen et al.
2023) mark the noise that drawing begins with and change nothing else; it is recovered by running
DDIM backwards. The prompt is unknown to whoever tests a file, so Stable Diffusion runs with none
and unCLIP with the picture's own CLIP embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from safety.cells import find_cells
from safety.shading import Shaded, recognise, shade
from safety.tree_ring import detect, imprint
from toolkit.errors import UserError
from toolkit.pipelines.batch import generators, noise
from toolkit.studies.guided_mark import guide_of
from toolkit.training.data import to_tensor

SHAPES = {"stable-diffusion": (4, 16, 16), "unclip": (3, 32, 32)}
STEPS = 10
FITTING, RATE = 40, 0.03  # steps of Adam that fit a latent to its picture, and their first size
PRESENT = 1e-6


class Noise(NamedTuple):
    """How a key is written into noise (n, c, h, w), and how it is looked for there."""

    write: Callable[[np.ndarray, bytes], np.ndarray]
    find: Callable[[np.ndarray, bytes], list[Shaded]]


NOISES = {"gaussian-shading": Noise(shade, recognise), "tree-ring": Noise(imprint, detect)}
DEFAULT = "guidance"
SCHEMES = (DEFAULT, *NOISES)


def check_scheme(name: str) -> None:
    """Raises UserError unless there is a scheme of that name."""
    if name not in SCHEMES:
        raise UserError(
            f"{name!r} is no scheme of marking generation; there are {', '.join(SCHEMES)} "
            "(after --generation-mark the next word is read as one: give prompts first)"
        )


def marking(
    pipeline: str, seeds: Sequence[int], key: bytes, scheme: str | None = DEFAULT
) -> dict[str, Any]:
    """What to give to `generate(prompts, seeds, ...)` for pictures with the key's mark.

    Nothing without a scheme. Raises UserError for an unknown one.
    """
    if scheme is None:
        return {}
    check_scheme(scheme)
    if scheme == DEFAULT:
        return {"guide": guide_of(key)}
    plain = noise(SHAPES[pipeline], generators(seeds)).numpy()
    return {"start": torch.from_numpy(NOISES[scheme].write(plain, key))}


def recovered_noise(model: Any, images: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """(n, 64, 64, 3) uint8 pictures to the noise that they may have been drawn from."""
    if model.name == "unclip":
        from toolkit.studies.unclip_lab import small

        embeddings = model.clip.encode_image(images)
        return model.invert(small(images), embeddings, steps=steps, rounds=1).numpy()
    return model.invert(fitted_latents(model, images), steps=steps).numpy()


def fitted_latents(model: Any, images: np.ndarray, steps: int = FITTING) -> torch.Tensor:
    """Latents (n, 4, 16, 16) whose decoding is nearest the pictures (n, 64, 64, 3) uint8.

    The decoder inverted by gradient descent from the encoder's answer (Hong et al. 2024, "On exact
    inversion of DPM-solvers", section 4.3): the encoder's own error hides most of what a latent
    keeps of its noise.
    """
    seen, scale = to_tensor(np.array(images)), model.vae.config.scaling_factor
    with torch.enable_grad():
        latents = model.encode(images).clone().requires_grad_(True)
        adam = torch.optim.Adam([latents], lr=RATE)
        for step in range(steps):
            adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
            # A sum over pictures: none of them depends on how many there are.
            loss = ((model.vae.decode(latents / scale).sample - seen) ** 2).sum()
            (latents.grad,) = torch.autograd.grad(loss, [latents])
            adam.step()
    return latents.detach()


def find_mark(model: Any, images: np.ndarray, key: bytes, scheme: str = DEFAULT) -> list[Shaded]:
    """How well each picture (n, h, w, 3) uint8, or the noise behind it, agrees with a key."""
    check_scheme(scheme)
    if scheme == DEFAULT:
        return find_cells(images, key)
    return NOISES[scheme].find(recovered_noise(model, images), key)


def look_for_marks(
    files: Sequence[str], pipeline: str, scheme: str = DEFAULT
) -> list[dict[str, Any]]:
    """`pellucid generation-mark`: one row a file, with this machine's key.

    The p-value is the least of the pipelines' that were tried, times their number. What does not
    say *present* is inconclusive: JPEG washes a mark of the noise out, and moving the picture one
    of guidance. Raises UserError for a file that is no picture, an unknown pipeline or scheme, and
    where there are no keys.
    """
    from safety.keys import keys
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.checkup import home
    from toolkit.studies.generate import chosen_pipelines
    from toolkit.studies.unclip_lab import read_picture

    check_scheme(scheme)
    names, images = chosen_pipelines(pipeline), np.stack([read_picture(name) for name in files])
    folder = home() / "keys"
    if not folder.is_dir():
        raise UserError(
            f"there is no key in {folder}; copy the keys of the machine that made the pictures, "
            "or name their home with PELLUCID_HOME"
        )
    key = keys(folder).watermark
    if scheme == DEFAULT:  # one test, whatever drew the picture
        found = {pipeline: find_cells(images, key)}
    else:
        found = {name: find_mark(load_pipeline(name), images, key, scheme) for name in names}
    rows = []
    for index, file in enumerate(files):
        best = min(found, key=lambda name: found[name][index].p_value)
        p = min(1.0, found[best][index].p_value * len(found))
        rows.append({
            "file": file, "verdict": "present" if p < PRESENT else "inconclusive", "p_value": p,
            "pipeline": best, "agreement": round(found[best][index].agreement, 2),
        })  # fmt: skip
    return rows
