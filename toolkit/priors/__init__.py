"""Priors: text to CLIP image embedding, behind one interface.

Each has `sample(text, seeds, trace=None) -> (n, d)` unit embeddings, where `text` is a
TextEncoding: ids, mask, token states and embedding together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from toolkit.clip import Clip, TextEncoding
from toolkit.errors import UserError

PRIORS = ("diffusion", "autoregressive", "flow", "linear", "linear-500", "none")


class Prior(Protocol):
    """What every prior can do."""

    def sample(self, text: TextEncoding, seeds: Any, trace: Any = None) -> torch.Tensor:
        """(n, d) image embeddings of unit norm, one for each text and seed."""
        ...


def known_prior(name: str) -> str:
    """The name. Raises UserError naming those there are for any other."""
    if name not in PRIORS:
        raise UserError(f"no prior is named {name!r}; choose one of {', '.join(PRIORS)}")
    return name


def load_prior(name: str, folder: Path, clip: Clip) -> Prior:
    """A prior of an unCLIP folder. Raises UserError naming those there are."""
    from toolkit.pipelines.onednn import hasten
    from toolkit.priors.autoregressive import AutoregressivePrior
    from toolkit.priors.diffusion import DiffusionPrior
    from toolkit.priors.flow import FlowPrior
    from toolkit.priors.linear import LinearPrior, NoPrior

    kinds = {
        "diffusion": lambda folder: DiffusionPrior(folder, clip),
        "autoregressive": AutoregressivePrior,
        "flow": FlowPrior,
        "linear": LinearPrior,
        "linear-500": lambda folder: LinearPrior(folder, "few"),
        "none": lambda folder: NoPrior(),
    }
    try:
        prior = kinds[known_prior(name)](folder)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the {name} prior in {folder} can't be read ({error}); restore its files or train it: "
            f"pellucid train {RECIPE_OF.get(name, name)}"
        ) from error
    if hasattr(prior, "model"):
        hasten(prior.model)
    return prior


RECIPE_OF = {"diffusion": "prior", "linear-500": "linear"}
