"""The noise schedules, one function each, shared by training and drawing.

All end in pure noise (zero terminal SNR, Lin et al. 2024): with any signal left at the last step
a model learns to lean on the mean brightness and never draws a plain background right.
"""

from __future__ import annotations

from typing import Any


def _ddim(**settings: Any):
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=1000,
        clip_sample=settings.pop("clip_sample", False),
        steps_offset=1,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        **settings,
    )


def latent_schedule():
    """Stable Diffusion's betas with v-prediction (Salimans & Ho 2022)."""
    return _ddim(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
    )


def prior_schedule():
    """The diffusion prior: cosine, predicting the clean embedding (Ramesh et al. 2022, 2.2)."""
    return _ddim(beta_schedule="squaredcos_cap_v2", prediction_type="sample")


def decoder_schedule():
    """The 32 px decoder: cosine, v-prediction, in pixels."""
    return _pixels("v_prediction")


def upsampler_schedule():
    """The upsampler: cosine, predicting the clean picture.

    It sees the small picture, so the clean one is nearly known from the start; predicting v would
    have a small network carry every pixel's noise through, and leaves a grain.
    """
    return _pixels("sample")


def _pixels(prediction: str):
    return _ddim(
        beta_schedule="squaredcos_cap_v2",
        prediction_type=prediction,
        clip_sample=True,
        clip_sample_range=1.0,
    )
