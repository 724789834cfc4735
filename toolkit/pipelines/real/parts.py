"""The parts of a checkpoint, loaded whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from toolkit.errors import UserError
from toolkit.pipelines.onednn import hasten
from toolkit.pipelines.real.layout import KINDS, SCHEDULER, TOKENIZER, Needed, check_folder


def device() -> torch.device:
    """Where the networks run; noise is always drawn on the CPU, as a seed is an image."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_parts(folder: Path) -> tuple[SimpleNamespace, dict[str, Any], Needed]:
    """Every part of a folder in float32 under its own name, its index and its files.

    Float32 whatever the files hold: left to themselves the libraries would mix precisions.
    Raises UserError for what is missing, damaged, or does not fit its configuration.
    """
    index, wants = check_folder(folder)
    parts = SimpleNamespace()
    for part, class_name in KINDS[index["_class_name"]].items():
        where = folder / part
        try:
            if class_name == SCHEDULER:
                made = _scheduler(index, part, where)
            elif class_name == TOKENIZER:
                made = _tokenizer(where)
            else:
                made = _network(class_name, where, part in wants.variants)
        except UserError:
            raise
        except Exception as error:  # whatever the loaders raise, the user gets the part's name
            said = str(error).strip().partition("\n")[0]
            raise UserError(f"{where} can't be loaded ({said}); restore its files") from error
        setattr(parts, part, made)
    return parts, index, wants


def model_class(name: str) -> Any:
    """A model class by the name that an index or KINDS has it under."""
    import diffusers
    import transformers

    if name == "UnCLIPTextProjModel":
        from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

        return UnCLIPTextProjModel
    if name == "StableUnCLIPImageNormalizer":
        from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
            StableUnCLIPImageNormalizer,
        )

        return StableUnCLIPImageNormalizer
    return getattr(transformers if name.startswith("CLIP") else diffusers, name)


def _scheduler(index: dict[str, Any], part: str, where: Path):
    import diffusers

    named = index.get(part)
    name = str(named[1]) if isinstance(named, list) and len(named) == 2 else ""
    found = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if found is None:
        raise UserError(
            f"{where.parent / 'model_index.json'} names {name or named!r} as {part}, which is no "
            "scheduler of the installed diffusers; correct the entry"
        )
    return found.from_pretrained(where)


def _tokenizer(where: Path):
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(where)


def _network(class_name: str, where: Path, half: bool):
    """A network, frozen and whole: the libraries would fill missing tensors with noise."""
    model, info = model_class(class_name).from_pretrained(
        where, use_safetensors=True, variant="fp16" if half else None, dtype=torch.float32,
        output_loading_info=True,
    )  # fmt: skip
    if lacks := sorted(info["missing_keys"]):
        raise UserError(
            f"the weights in {where} lack {lacks[0]} and {len(lacks) - 1} more of {class_name}; "
            "they belong to another model, or the file is damaged"
        )
    hasten(model)
    return model.float().eval().requires_grad_(False).to(device())


def digest(folder: Path, wants: Needed, parts: Iterable[str]) -> str:
    """SHA-256 over the weight files of some parts, in their order."""
    total = hashlib.sha256()
    for part in parts:
        for name in wants.files:
            if name.startswith(f"{part}/") and name.endswith(".safetensors"):
                with (folder / name).open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
