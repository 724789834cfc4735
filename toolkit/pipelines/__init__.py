"""Text to image, every intermediate kept: Stable Diffusion and unCLIP (DALL-E 2)."""

from __future__ import annotations

from functools import cache

from toolkit.clip import WEIGHTS, load_clip
from toolkit.errors import UserError
from toolkit.pipelines.batch import Batch, Edit, Trace

PIPELINES = ("stable-diffusion", "unclip")

__all__ = ["PIPELINES", "Batch", "Edit", "Trace", "load_pipeline"]


@cache
def _shared_clip():
    return load_clip()


@cache
def _loaded(name: str):
    from toolkit.pipelines.stable_diffusion import StableDiffusion
    from toolkit.pipelines.unclip import UnClip

    kinds = {"stable-diffusion": StableDiffusion, "unclip": UnClip}
    return kinds[name](WEIGHTS / name, _shared_clip())


def load_pipeline(name: str, prior: str = "diffusion"):
    """A shipped pipeline by name, loaded once; `prior` is unCLIP's (toolkit.priors.PRIORS).

    Raises UserError naming those there are.
    """
    if name not in PIPELINES:
        raise UserError(f"no pipeline is named {name!r}; choose one of {', '.join(PIPELINES)}")
    pipeline = _loaded(name)
    return pipeline.with_prior(prior) if name == "unclip" else pipeline
