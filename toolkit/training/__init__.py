"""Recipes, one file a model; `train` runs one or all of them in order and writes model cards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """A model to train: where it goes, its share of a whole budget, and how fast it learns."""

    name: str
    folder: str
    share: float
    lr: float
    ema: float
    weight_decay: float
    what: str


RECIPES: tuple[Recipe, ...] = (
    Recipe("clip", "clip", 0.19, 8e-4, 0.995, 0.05, "CLIP: text and image towers"),
    Recipe("text", "clip", 0.06, 4e-4, 0.995, 0.01, "CLIP's text tower, in other manners"),
    Recipe("autoencoder", "stable-diffusion", 0.11, 1e-3, 0.998, 0.0, "AutoencoderKL, f = 4"),
    Recipe("judge", "judge", 0.06, 1e-3, 0.998, 0.01, "the CNN judge"),
    Recipe("marks", "judge", 0.03, 1e-3, 0.99, 0.01, "the judge of restricted concepts, figures"),
    Recipe("upsampler", "unclip", 0.06, 6e-4, 0.998, 0.01, "unCLIP upsampler, 32 to 64 px"),
    Recipe("prior", "unclip", 0.04, 5e-4, 0.998, 0.01, "unCLIP diffusion prior"),
    Recipe("flow", "unclip", 0.04, 5e-4, 0.998, 0.01, "unCLIP prior by flow matching"),
    Recipe("autoregressive", "unclip", 0.04, 8e-4, 0.998, 0.01, "unCLIP autoregressive prior"),
    Recipe("linear", "unclip", 0.0, 0.0, 0.0, 0.0, "unCLIP linear prior, fitted at once"),
    Recipe("unet", "stable-diffusion", 0.24, 6e-4, 0.999, 0.01, "Stable Diffusion U-Net"),
    Recipe("decoder", "unclip", 0.22, 6e-4, 0.999, 0.01, "unCLIP decoder, 32 px"),
    Recipe(
        "guard", "guard", 0.0, 0.0, 0.0, 0.0, "the guard's concepts and templates, fitted at once"
    ),
)
NAMES = tuple(recipe.name for recipe in RECIPES)


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises UserError naming those that exist."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise UserError(f"no recipe is named {name!r}; choose all or one of {', '.join(NAMES)}")


def minutes_in(budget: str) -> float:
    """ "3h", "90m" or "45" (minutes) as minutes. Raises UserError for anything else."""
    units = {"h": 60.0, "m": 1.0, "s": 1 / 60}
    number, unit = (budget[:-1], budget[-1]) if budget[-1:] in units else (budget, "m")
    try:
        minutes = float(number) * units[unit]
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 1e5:
        raise UserError(f"the budget {budget!r} can't be read; write it like 3h, 90m or 600s")
    return minutes


def train(
    which: str,
    weights: Path,
    checkpoints: Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    portraits: int = 30_000,
) -> list[Path]:
    """Train one model, or with "all" every one in order within `minutes` altogether.

    Writes each model below `weights` with a card, and returns the cards. A finished model of an
    interrupted run is not trained again: its checkpoint folder holds `NAME.done`.
    """
    from toolkit.training.cards import write_card
    from toolkit.training.loop import Plan

    recipes = RECIPES if which == "all" else (recipe_named(which),)
    whole = sum(recipe.share for recipe in recipes)
    cards = []
    for recipe in recipes:
        done = checkpoints / f"{recipe.name}.done"
        if which == "all" and done.exists():
            cards.append(Path(done.read_text()))
            continue
        share = None if minutes is None else minutes * recipe.share / max(whole, 1e-9)
        plan = Plan(
            share, steps, recipe.lr, ema=recipe.ema, weight_decay=recipe.weight_decay, seed=seed
        )
        record = run(recipe, plan, weights, checkpoints, portraits)
        cards.append(write_card(recipe, record, weights))
        done.write_text(str(cards[-1]))
    return cards


def run(recipe: Recipe, plan, weights: Path, checkpoints: Path, portraits: int = 30_000) -> dict:
    """Run one recipe into `weights`; returns its record (steps, seconds, hardware, settings)."""
    from toolkit.training import (
        autoencoder,
        clip,
        decoder,
        guard,
        judge,
        marks,
        prior,
        priors,
        text,
        unet,
        upsampler,
    )

    folder, vae, words = (
        weights / recipe.folder,
        weights / "stable-diffusion" / "vae",
        weights / "clip",
    )
    known: dict[str, Callable[[], dict]] = {
        "clip": lambda: clip.train(folder, checkpoints, plan, portraits),
        "text": lambda: text.train(folder, checkpoints, plan, portraits),
        "autoencoder": lambda: autoencoder.train(vae, checkpoints, plan, portraits),
        "judge": lambda: judge.train(folder, checkpoints, plan, vae, portraits),
        "marks": lambda: marks.train(folder, checkpoints, plan, vae, min(portraits, 12_000)),
        "upsampler": lambda: upsampler.train(folder, checkpoints, plan, portraits),
        "prior": lambda: prior.train(folder, checkpoints, plan, words, portraits),
        "flow": lambda: priors.train_flow(folder, checkpoints, plan, words, portraits),
        "autoregressive": lambda: priors.train_autoregressive(
            folder, checkpoints, plan, words, portraits
        ),
        "linear": lambda: priors.train_linear(folder, checkpoints, plan, words, portraits),
        "unet": lambda: unet.train(folder, checkpoints, plan, words, portraits),
        "guard": lambda: guard.train_here(
            weights, folder, plan.seed, min(portraits, guard.FITTED_ON)
        ),
        "decoder": lambda: decoder.train(folder, checkpoints, plan, words, portraits),
    }
    return known[recipe.name]()
