"""`pellucid embed`: a folder of pictures to a store of vectors, with any open_clip model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.embeddings import SITE, Store, StoreWriter
from toolkit.errors import UserError
from toolkit.labels import read_labels
from toolkit.runs import versions

if TYPE_CHECKING:
    from PIL import Image

    from toolkit.clip import Clip

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SHARD = 2048  # pictures: what an interruption costs at most
BATCH = 64
Say = Callable[[str], None]


def load_model(name: str) -> Clip:
    """A CLIP model by name: what `--model` takes, and what a store keeps as its `model`.

    `portraits`; a folder in open_clip's layout; `ARCHITECTURE:TAG` or `ARCHITECTURE:FILE` with
    one of open_clip's architectures and a pretrained tag or a .safetensors file; or
    `hf-hub:OWNER/NAME`. The last and a tag are remote: they are fetched when HF_HUB_OFFLINE=0
    says so, else taken from the cache. Raises UserError for what can't be loaded.
    """
    from toolkit.clip import load_clip

    if name == "portraits" or Path(name).is_dir() or ":" not in name:
        return load_clip(name)
    import open_clip

    from toolkit.clip import Clip

    scheme, _, rest = name.partition(":")
    hub = scheme == "hf-hub"
    if not hub:
        _check_named(scheme, rest)
    try:
        made: Any = open_clip.create_model_from_pretrained(
            name if hub else scheme, None if hub else rest, device="cpu"
        )
        tokenizer = open_clip.get_tokenizer(name if hub else scheme)
    except Exception as error:  # whatever the loaders raise, the user gets the model's name
        offline = " (HF_HUB_OFFLINE=0 allows fetching it)" if _offline() else ""
        raise UserError(f"the model {name} can't be loaded{offline}: {error}") from error
    model, preprocess = made
    if not hasattr(model, "text_projection") or not hasattr(model, "token_embedding"):
        raise UserError(f"the model {name} has a text tower of another kind than CLIP's own")
    normalize = preprocess.transforms[-1]
    return Clip(name, model, tokenizer, normalize.mean, normalize.std, _digest(model))


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _check_named(architecture: str, weights: str) -> None:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    if architecture not in open_clip.list_models():
        raise UserError(
            f"open_clip has no architecture {architecture!r}; give ARCHITECTURE:TAG, for example "
            "ViT-B-32:laion2b_s34b_b79k, hf-hub:OWNER/NAME or a model's folder"
        )
    if weights.endswith(".safetensors"):
        if not Path(weights).is_file():
            raise UserError(f"there is no file {weights} with weights for {architecture}")
        return
    config = get_pretrained_cfg(architecture, weights)
    if not config:
        tags = ", ".join(list_pretrained_tags_by_model(architecture)) or "none"
        raise UserError(
            f"{architecture} has no weights {weights!r}; give a .safetensors file or a tag: {tags}"
        )
    if _offline() and not config.get("hf_hub"):
        raise UserError(
            f"{architecture}:{weights} is fetched from the web and HF_HUB_OFFLINE forbids that; "
            "set HF_HUB_OFFLINE=0, or give a .safetensors file"
        )


def _digest(model: Any) -> str:
    """SHA-256 over every weight and the preprocessing, wherever the files came from."""
    digest = hashlib.sha256(json.dumps(model.visual.preprocess_cfg, sort_keys=True).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weight.cpu().numpy()).tobytes())
    return digest.hexdigest()


def framing(clip: Clip) -> Callable[[Image.Image], np.ndarray]:
    """How this model wants a picture cut and resized: (size, size, 3) uint8 of any picture."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = PreprocessCfg(**clip.model.visual.preprocess_cfg)
    steps: Any = image_transform_v2(config, is_train=False)
    before = []
    for step in steps.transforms:
        if type(step).__name__ in ("ToTensor", "MaybeToTensor"):
            break
        before.append(step)

    def framed(picture: Image.Image) -> np.ndarray:
        for step in before:
            picture = step(picture)
        return np.asarray(picture)

    return framed


def read_picture(file: Path, data: bytes) -> Image.Image:
    """An upright RGB picture. Raises UserError naming the file that is none."""
    from safety.pictures import BadPicture, upright_picture

    try:
        opened = upright_picture(data)
        if opened.mode[0] in "IF":
            raise BadPicture(f"mode {opened.mode}, more than 8 bits")
        return opened.convert("RGB")
    except (ValueError, OSError) as error:
        raise UserError(
            f"the picture {file} can't be read ({str(error).partition(chr(10))[0]}); "
            "repair or remove it, then repeat the command"
        ) from error


def pictures_of(folder: Path) -> list[Path]:
    """The pictures at and below a folder, by name. Raises UserError for none, or a file cut off."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give one with pictures")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    if not files:
        raise UserError(f"{folder} holds no picture (looked for {', '.join(ENDINGS)})")
    for file in files:
        if not file.stat().st_size:
            raise UserError(f"the picture {file} is empty; repair or remove it")
    return files


def _unchanged(writer: StoreWriter, folder: Path, ids: list[str]) -> None:
    """Keep the finished shards whose pictures are still these, byte for byte."""
    start = 0
    for number, table in enumerate(list(writer.tables())):
        rows = list(zip(table["id"], table["sha256"], strict=True))
        names = ids[start : start + len(rows)]
        if [name for name, _ in rows] != names or any(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
            for name, digest in rows
        ):
            writer.keep(number)
            return
        start += len(rows)


def embed_folder(
    folder: str | Path,
    out: str | Path,
    *,
    model: str = "portraits",
    labels: str | Path | None = None,
    shard: int = SHARD,
    say: Say = lambda text: None,
) -> Store:
    """Embed every picture below `folder` into a store at `out`, with labels from a CSV.

    A picture's id is its path below the folder. Sizes differ freely: each is framed as the model
    was trained to see it. A command that was stopped goes on at the shard it was in, to the same
    bytes. Raises UserError for no picture, one that can't be read, labels that don't fit, or an
    `out` that exists; whole shards that were finished by then are kept in `out`.partial.
    """
    import pandas as pd

    from probes import Space

    folder, out = Path(folder), Path(out)
    if shard < 1:
        raise UserError("--shard is at least 1")
    files = pictures_of(folder)
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{out} lies inside of {folder}, whose pictures it is made of; move it")
    ids = [file.relative_to(folder).as_posix() for file in files]
    table = None if labels is None else read_labels(labels, ids)
    if out.exists():
        raise UserError(f"{out} exists; choose another --out for the store")
    clip = load_model(model)
    framed = framing(clip)
    writer = StoreWriter(out, {"model": clip.hash, "site": SITE, "shard": shard})
    _unchanged(writer, folder, ids)
    if writer.rows:
        say(f"going on after {writer.rows} of {len(files)} pictures")
    try:
        for start in range(writer.rows, len(files), shard):
            vectors, facts = [], []
            for first in range(start, min(start + shard, len(files)), BATCH):
                batch = []
                for row in range(first, min(first + BATCH, start + shard, len(files))):
                    data = files[row].read_bytes()
                    picture = read_picture(files[row], data)
                    batch.append(framed(picture))
                    facts.append((ids[row], hashlib.sha256(data).hexdigest(), *picture.size))
                vectors.append(clip.encode_image(np.stack(batch)))
            writer.add(
                np.concatenate(vectors),
                pd.DataFrame(facts, columns=["id", "sha256", "width", "height"]),
            )
            say(f"{writer.rows} of {len(files)} pictures")
    except BaseException:
        writer.discard()
        if writer.rows:
            say(f"{writer.rows} pictures are kept in {writer.folder}; repeat this to go on")
        raise
    return writer.finish(
        table,
        model,
        Space(clip.hash, SITE),
        preprocessing=clip.model.visual.preprocess_cfg,
        pictures=folder.name,
        versions=versions(),
    )
