"""Which Stable Diffusion safety checker is at hand: this machine's own, else the checkpoint's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safety.diffusion_checker import weights_in
from toolkit.people import home

if TYPE_CHECKING:
    from safety.diffusion_checker import Checker

PART = "safety_checker"  # the folder's name, in a checkpoint and in this machine's home


def how() -> str:
    """How a checker is given."""
    return (
        f"put a folder of it (config.json, model.safetensors) at {home() / PART}, or a link to "
        f"one, or have the checkpoint's own at {PART}/ in its folder"
    )


def checker_folder(checkpoint: Path | None) -> Path | None:
    """Where the checker at hand lies; None for none.

    What was put in this machine's home is taken even where it turns out to be damaged, and before
    the checkpoint's own, which may have come from anywhere.
    """
    own = home() / PART
    if own.exists() or own.is_symlink():
        return own
    if checkpoint is not None and weights_in(checkpoint / PART) is not None:
        return checkpoint / PART
    return None


def known_checker(checkpoint: Path | None) -> Checker | None:
    """The checker at hand, loaded; None for none. Raises BadChecker for a damaged one."""
    from safety.diffusion_checker import Checker

    folder = checker_folder(checkpoint)
    return None if folder is None else Checker.load(folder)


def unread(checkpoint: Path | None) -> str | None:
    """What a checkpoint's own checker lacks to be read, if it has one that is not at hand."""
    if checkpoint is None or checker_folder(checkpoint) is not None:
        return None
    names = {path.name for path in (checkpoint / PART).glob("*")}
    if any(name.endswith((".bin", ".ckpt")) for name in names):
        return "its weights are only there as a pickle (.bin), which can run code and is not read"
    return "it has no weights" if names else None
