"""Checkpoints by hub id: what is in the cache, what would be fetched, and fetching when allowed.

The command line sets HF_HUB_OFFLINE=1 unless the user has set it: nothing is fetched unless they
say HF_HUB_OFFLINE=0 and name the id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import UserError
from toolkit.pipelines.real.layout import INDEX, Needed, names_in, needed, read_index

ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class Remote:
    """A repository as the hub lists it: names to sizes in bytes, and its pipeline class."""

    kind: str
    sizes: dict[str, int]
    wants: Needed


def offline() -> bool:
    """Whether the hub's library was told to stay offline."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def is_id(name: str) -> bool:
    """Whether this can only be a hub id: `owner/name`, and no such folder."""
    return not Path(name).exists() and ID.fullmatch(name) is not None


def check_id(name: str) -> None:
    """Raise UserError for a name that is no folder and can be no hub id."""
    if not is_id(name):
        raise UserError(
            f"there is no folder {name} and it is no hub id; --model takes a folder in diffusers' "
            "layout, or an id such as stable-diffusion-v1-5/stable-diffusion-v1-5"
        )


def cached_folder(repo: str) -> Path | None:
    """The snapshot of the id in the local cache, whole or not; None if there is none."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, INDEX)
    return Path(found).parent if isinstance(found, str) else None


def lacking(folder: Path) -> tuple[str, ...]:
    """What a snapshot in the cache still lacks; a pickled part counts as lacking."""
    wants = needed(read_index(folder)["_class_name"], names_in(folder))
    return wants.missing + tuple(f"{part}/*.safetensors" for part in wants.pickled)


def find_folder(name: str, say: Callable[[str], None] = lambda text: None) -> Path:
    """Where a folder or a hub id lies on this disk, fetched first if the user allowed that.

    Raises UserError for neither, and for an id that is not whole in the cache while offline.
    """
    if name and Path(name).is_dir():
        return Path(name)
    check_id(name)
    folder = cached_folder(name)
    lacks = (INDEX,) if folder is None else lacking(folder)
    if folder is not None and not lacks:
        return folder
    if offline():
        have = "nothing of it is" if folder is None else f"{lacks[0]} is not"
        raise UserError(
            f"{name} would have to be downloaded ({have} in the cache) and HF_HUB_OFFLINE forbids "
            f"that; see how much with: pellucid doctor --model {name}, then allow it with "
            "HF_HUB_OFFLINE=0"
        )
    return _fetch(name, say)


def look(repo: str) -> Remote:
    """Ask the hub what an id holds. Raises UserError when it can't say or it is another kind."""
    from huggingface_hub import HfApi, hf_hub_download

    try:
        info = HfApi().model_info(repo, files_metadata=True)
        index = read_index(Path(hf_hub_download(repo, INDEX)).parent)
    except UserError:
        raise
    except Exception as error:  # whatever the network raises, the user gets the id
        said = str(error).strip().partition("\n")[0]
        raise UserError(f"the hub could not be asked about {repo} ({said})") from error
    sizes = {one.rfilename: int(one.size or 0) for one in info.siblings or []}
    return Remote(index["_class_name"], sizes, needed(index["_class_name"], sizes))


def _fetch(repo: str, say: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download

    remote = look(repo)
    if lacks := remote.wants.missing + remote.wants.pickled:
        raise UserError(
            f"{repo} has no {lacks[0]} in .safetensors for a {remote.kind}, so nothing was "
            "downloaded; choose a copy that has"
        )
    total = sum(remote.sizes[file] for file in remote.wants.files)
    say(f"downloading {repo}: {len(remote.wants.files)} files, {total / 1e9:.2f} GB in all")
    try:
        return Path(snapshot_download(repo, allow_patterns=list(remote.wants.files)))
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise UserError(f"{repo} could not be downloaded ({said}); try again") from error
