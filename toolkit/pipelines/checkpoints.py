"""Real checkpoints by hub id or folder: `load_checkpoint`, behind `--model`."""

from __future__ import annotations

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
        return KandinskyCheckpoint(prior, decoder, short)
    if kind == "UnCLIPPipeline":
        from toolkit.pipelines.real.karlo import KarloCheckpoint

        return KarloCheckpoint(folder, short)
    if kind.startswith("StableUnCLIP"):
        from toolkit.pipelines.real.stable_unclip import StableUnclipCheckpoint

        return StableUnclipCheckpoint(folder, short)
    from toolkit.pipelines.real.stable import StableCheckpoint

    return StableCheckpoint(folder, short)


def shown_name(name: str) -> str:
    """The last part of an id or path: what runs and pictures call the model."""
    return Path(name).name or str(name)


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
