"""Real checkpoints by hub id or folder: `load_checkpoint`, behind `--model`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import UserError
from toolkit.pipelines.real.hub import find_folder
from toolkit.pipelines.real.layout import read_index

if TYPE_CHECKING:
    from toolkit.pipelines.real.kandinsky import KandinskyCheckpoint
    from toolkit.pipelines.real.karlo import KarloCheckpoint
    from toolkit.pipelines.real.stable import StableCheckpoint
    from toolkit.pipelines.real.stable_unclip import StableUnclipCheckpoint

    Checkpoint = StableCheckpoint | StableUnclipCheckpoint | KarloCheckpoint | KandinskyCheckpoint


SECONDS = 10  # between two lines of progress


def load_checkpoint(name: str, say: Callable[[str], None] = lambda text: None) -> Checkpoint:
    """A pipeline from a folder in diffusers' layout, or from a hub id such as `owner/name`.

    Which kind it is, the folder's model_index.json says; toolkit.pipelines.real.layout.KINDS are
    those that work. Kandinsky's halves are two folders side by side, or two ids, whose names
    differ by `prior` and `decoder`: name either. An id is taken from the cache; it is fetched only
    where HF_HUB_OFFLINE=0 allows it, and `say` hears first what and how much. Raises UserError for
    what can't be found, read or trusted.
    """
    folder = find_folder(name, say)
    kind = read_index(folder)["_class_name"]
    short = shown_name(name)
    tell = teller(short, say)
    if kind in ("KandinskyV22Pipeline", "KandinskyV22PriorPipeline"):
        from toolkit.pipelines.real.kandinsky import KandinskyCheckpoint

        other = find_folder(other_half(name, kind), say)
        prior, decoder = (folder, other) if "Prior" in kind else (other, folder)
        for half, wanted in (
            (prior, "KandinskyV22PriorPipeline"),
            (decoder, "KandinskyV22Pipeline"),
        ):
            if (found := read_index(half)["_class_name"]) != wanted:
                raise UserError(f"{half} is a {found} where Kandinsky's {wanted} was expected")
        return KandinskyCheckpoint(prior, decoder, short, tell)
    if kind == "UnCLIPPipeline":
        from toolkit.pipelines.real.karlo import KarloCheckpoint

        return KarloCheckpoint(folder, short, tell)
    if kind.startswith("StableUnCLIP"):
        from toolkit.pipelines.real.stable_unclip import StableUnclipCheckpoint

        return StableUnclipCheckpoint(folder, short, tell)
    from toolkit.pipelines.real.stable import StableCheckpoint

    return StableCheckpoint(folder, short, tell)


def shown_name(name: str) -> str:
    """The last part of an id or path: what runs and pictures call the model.

    Never a shipped pipeline's own name, whose rules and readings are not those of a checkpoint.
    """
    from toolkit.pipelines import PIPELINES

    short = Path(name).resolve().name or str(name)
    return f"{short}-checkpoint" if short in PIPELINES else short


def teller(name: str, say: Callable[[str], None]) -> Callable[[int, int], None]:
    """Says how far a drawing is, every few seconds and no oftener."""
    said = time.monotonic()

    def tell(step: int, of: int) -> None:
        nonlocal said
        if time.monotonic() - said > SECONDS:
            said = time.monotonic()
            say(f"{name}: step {step} of {of}")

    return tell


def other_half(name: str, kind: str) -> str:
    """The name of Kandinsky's other folder. Raises UserError where the name does not tell."""
    have, want = ("prior", "decoder") if "Prior" in kind else ("decoder", "prior")
    head, found, tail = name.rpartition(have)
    if not found:
        raise UserError(
            f"{name} is Kandinsky's {have} and the {want} must be beside it under the same name "
            f"with {want!r} for {have!r}; rename the two folders so"
        )
    return f"{head}{want}{tail}"
