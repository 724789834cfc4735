"""Priors: text to CLIP image embedding, behind one interface."""

from toolkit.priors.diffusion import DiffusionPrior

__all__ = ["DiffusionPrior"]
