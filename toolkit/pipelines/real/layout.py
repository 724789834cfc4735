"""What a diffusers folder of each known kind is made of, and which of its files we read.

Only safetensors are read: a pickle (.bin, .ckpt) can run code when it is opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UserError

INDEX = "model_index.json"
SCHEDULER, TOKENIZER = "Scheduler", "CLIPTokenizer"
_TEXT, _PROJECTED = "CLIPTextModel", "CLIPTextModelWithProjection"
_UNET, _VAE = "UNet2DConditionModel", "AutoencoderKL"
_STABLE = {
    "unet": _UNET, "vae": _VAE, "text_encoder": _TEXT, "tokenizer": TOKENIZER,
    "scheduler": SCHEDULER,
}  # fmt: skip
_NOISED = {
    "image_normalizer": "StableUnCLIPImageNormalizer",
    "image_noising_scheduler": SCHEDULER,
}
# Pipeline class to its parts and their classes; a safety checker is the guard's (toolkit.checker).
KINDS: dict[str, dict[str, str]] = {
    "StableDiffusionPipeline": _STABLE,
    "StableDiffusionXLPipeline": _STABLE | {"text_encoder_2": _PROJECTED, "tokenizer_2": TOKENIZER},
    "StableUnCLIPPipeline": _STABLE
    | _NOISED
    | {
        "prior": "PriorTransformer", "prior_text_encoder": _PROJECTED,
        "prior_tokenizer": TOKENIZER, "prior_scheduler": SCHEDULER,
    },
    "StableUnCLIPImg2ImgPipeline": _STABLE
    | _NOISED
    | {"image_encoder": "CLIPVisionModelWithProjection"},
    "UnCLIPPipeline": {
        "prior": "PriorTransformer", "decoder": _UNET, "text_proj": "UnCLIPTextProjModel",
        "super_res_first": "UNet2DModel", "super_res_last": "UNet2DModel",
        "text_encoder": _PROJECTED, "tokenizer": TOKENIZER, "prior_scheduler": SCHEDULER,
        "decoder_scheduler": SCHEDULER, "super_res_scheduler": SCHEDULER,
    },
    "KandinskyV22PriorPipeline": {
        "prior": "PriorTransformer", "text_encoder": _PROJECTED, "tokenizer": TOKENIZER,
        "image_encoder": "CLIPVisionModelWithProjection", "scheduler": SCHEDULER,
    },
    "KandinskyV22Pipeline": {"unet": _UNET, "movq": "VQModel", "scheduler": SCHEDULER},
}  # fmt: skip
_TOKENIZER_FILES = (
    "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


@dataclass(frozen=True)
class Needed:
    """The files of a folder that we read, by name inside it, and what is amiss.

    `missing` are names that ought to be there; `pickled` are parts that only have a pickle;
    `variants` are parts whose files carry "fp16" in their names.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...]
    pickled: tuple[str, ...]
    variants: tuple[str, ...]


def read_index(folder: Path) -> dict[str, Any]:
    """The folder's model_index.json, of a kind that we know.

    Raises UserError for a folder without one, a damaged one, and another kind.
    """
    path = folder / INDEX
    if not path.is_file():
        raise UserError(
            f"{folder} has no {INDEX}; --model takes a folder in diffusers' layout, or an id such "
            "as stable-diffusion-v1-5/stable-diffusion-v1-5"
        )
    try:
        index = json.loads(path.read_text())
        kind = index["_class_name"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(
            f"{path} can't be read ({type(error).__name__}: {error}); restore the file"
        ) from error
    if kind not in KINDS:
        raise UserError(f"{path} is of kind {kind!r}; those that work here: {', '.join(KINDS)}")
    return index


def needed(kind: str, names: Collection[str]) -> Needed:
    """Which of a folder's files (named relative to it) the kind needs; see Needed."""
    files, missing, pickled, variants = [INDEX], [], [], []
    for part, class_name in KINDS[kind].items():
        inside = {name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")}
        if class_name == SCHEDULER:
            found, lacks = _present(("scheduler_config.json",), inside)
        elif class_name == TOKENIZER:
            found = [name for name in _TOKENIZER_FILES if name in inside]
            whole = "tokenizer.json" in inside or {"vocab.json", "merges.txt"} <= inside
            lacks = [] if whole else ["vocab.json", "merges.txt"]
            lacks = [name for name in lacks if name not in inside]
        else:
            found, lacks = _present(("config.json",), inside)
            weights, variant = _weights(class_name, inside)
            found += weights
            if variant:
                variants.append(part)
            if not weights and any(name.endswith((".bin", ".ckpt")) for name in inside):
                pickled.append(part)
            elif not weights:
                lacks.append(f"{_stem(class_name)}.safetensors")
        files += [f"{part}/{name}" for name in found]
        missing += [f"{part}/{name}" for name in lacks]
    if INDEX not in names:
        files, missing = files[1:], [INDEX, *missing]
    return Needed(tuple(files), tuple(missing), tuple(pickled), tuple(variants))


def _present(wanted: Collection[str], inside: Collection[str]) -> tuple[list[str], list[str]]:
    return [n for n in wanted if n in inside], [n for n in wanted if n not in inside]


def _stem(class_name: str) -> str:
    """How each library names a weight file."""
    return "model" if class_name.startswith("CLIP") else "diffusion_pytorch_model"


def _weights(class_name: str, inside: Collection[str]) -> tuple[list[str], str | None]:
    """A part's weight files and their variant: full precision before half, one before shards."""
    stem = _stem(class_name)
    for variant, dotted in ((None, ""), ("fp16", ".fp16")):
        single = f"{stem}{dotted}.safetensors"
        if single in inside:
            return [single], variant
        table = f"{stem}.safetensors.index{dotted}.json"
        shard = re.compile(
            rf"{stem}{re.escape(dotted)}-\d+-of-(\d+)\.safetensors"
            rf"|{stem}-\d+-of-(\d+){re.escape(dotted)}\.safetensors"
        )
        shards = sorted(name for name in inside if shard.fullmatch(name))
        if table in inside and shards:
            match = shard.fullmatch(shards[0])
            assert match is not None
            if len(shards) == int(match[1] or match[2]):
                return [table, *shards], variant
    return [], None


def names_in(folder: Path) -> set[str]:
    """Every file of the folder by its name in it; not a link that leads nowhere."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def check_folder(folder: Path) -> tuple[dict[str, Any], Needed]:
    """The index and the files of a whole folder. Raises UserError naming what it lacks."""
    index = read_index(folder)
    wants = needed(index["_class_name"], names_in(folder))
    if wants.pickled:
        raise UserError(
            f"{folder / wants.pickled[0]} has its weights only as a pickle (.bin or .ckpt), which "
            "can run code when opened and is not read here; save it as .safetensors (diffusers: "
            "save_pretrained with safe_serialization=True)"
        )
    if wants.missing:
        first, *rest = wants.missing
        more = f" and {len(rest)} more" if rest else ""
        raise UserError(
            f"{folder} has no {first}{more}; a {index['_class_name']} needs it: "
            "restore the file, or see pellucid doctor --model"
        )
    return index, wants
