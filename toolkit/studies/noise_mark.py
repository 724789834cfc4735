"""Pictures drawn from marked noise, and the noise recovered from a picture to find the mark.

Gaussian Shading (Yang et al. 2024) or Tree-Ring (Wen et al. 2023): the noise is recovered by
running DDIM backwards. The prompt is unknown to whoever tests a file, so Stable Diffusion runs
with none and unCLIP with the picture's own CLIP embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from safety.shading import Shaded, recognise, shade
from safety.tree_ring import detect, imprint
from toolkit.errors import UserError
from toolkit.pipelines.batch import generators, noise
from toolkit.training.data import to_tensor

SHAPES = {"stable-diffusion": (4, 16, 16), "unclip": (3, 32, 32)}
STEPS = 10
FITTING, RATE = 40, 0.03  # steps of Adam that fit a latent to its picture, and their first size
PRESENT = 1e-6


class Scheme(NamedTuple):
    """How a key is written into noise (n, c, h, w), and how it is looked for there."""

    write: Callable[[np.ndarray, bytes], np.ndarray]
    find: Callable[[np.ndarray, bytes], list[Shaded]]


SCHEMES = {"gaussian-shading": Scheme(shade, recognise), "tree-ring": Scheme(imprint, detect)}
DEFAULT = "gaussian-shading"


def scheme_of(name: str) -> Scheme:
    """The marking scheme of that name. Raises UserError."""
    if name not in SCHEMES:
        raise UserError(
            f"{name!r} is no scheme of marking noise; there are {' and '.join(SCHEMES)} "
            "(after --noise-mark the next word is read as one: give prompts first)"
        )
    return SCHEMES[name]


def marked_noise(
    pipeline: str, seeds: Sequence[int], key: bytes, scheme: str | None = DEFAULT
) -> torch.Tensor | None:
    """The seeds' noise with the key in it, for `generate(..., start=)`; None without a scheme."""
    if scheme is None:
        return None
    plain = noise(SHAPES[pipeline], generators(seeds)).numpy()
    return torch.from_numpy(scheme_of(scheme).write(plain, key))


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


def find_noise_mark(
    model: Any, images: np.ndarray, key: bytes, scheme: str = DEFAULT
) -> list[Shaded]:
    """How well the noise behind each picture agrees with a key."""
    return scheme_of(scheme).find(recovered_noise(model, images), key)


def look_for_noise_marks(
    files: Sequence[str], pipeline: str, scheme: str = DEFAULT
) -> list[dict[str, Any]]:
    """`pellucid noise-mark`: one row a file, with this machine's key.

    The p-value is the least of the pipelines' that were tried, times their number. What does not
    say *present* is inconclusive: JPEG is enough to wash this mark out. Raises UserError for a
    file that is no picture, an unknown pipeline or scheme, and where there are no keys.
    """
    from safety.keys import keys
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.checkup import home
    from toolkit.studies.generate import chosen_pipelines
    from toolkit.studies.unclip_lab import read_picture

    scheme_of(scheme)
    names, images = chosen_pipelines(pipeline), np.stack([read_picture(name) for name in files])
    folder = home() / "keys"
    if not folder.is_dir():
        raise UserError(
            f"there is no key in {folder}; copy the keys of the machine that made the pictures, "
            "or name their home with PELLUCID_HOME"
        )
    key = keys(folder).watermark
    found = {name: find_noise_mark(load_pipeline(name), images, key, scheme) for name in names}
    rows = []
    for index, file in enumerate(files):
        best = min(names, key=lambda name: found[name][index].p_value)
        p = min(1.0, found[best][index].p_value * len(names))
        rows.append({
            "file": file, "verdict": "present" if p < PRESENT else "inconclusive", "p_value": p,
            "pipeline": best, "agreement": round(found[best][index].agreement, 2),
        })  # fmt: skip
    return rows
