"""TrustMark (Bui et al. 2023, Adobe, MIT licence) behind the two calls of the other baselines.

Its package is no dependency, and Pellucid never fetches its weights: the package `trustmark` has to
be installed and its model files have to lie in a folder that the user names. It has been tried here
with the real architecture and random weights only; with the published weights it is untested.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

BITS = 100  # of the raw payload, without its error correction
LEAST = 150  # pixels a side, by its own documentation
NETWORKS = {"model": "trustmark.model.TrustMark_Arch", "secret_encoder_config": "trustmark.unet.",
            "secret_decoder_config": "trustmark.unet."}  # fmt: skip
DECODERS = ("resnet18", "resnet50")  # others would fetch weights of ImageNet when they are made


class TrustMark:
    """TrustMark's variant Q, B, C or P on the CPU, with 100 raw bits and no key.

    `detect` always reads something. Raises ValueError where the package or a file is missing, and
    for files that hold more than tensors or name other networks than TrustMark's: a pickle from a
    stranger can run anything.
    """

    def __init__(self, folder: str | Path | None, variant: str = "Q"):
        self._model = _loaded(folder, variant)

    def embed(self, image: np.ndarray, payload: int) -> np.ndarray:
        """A marked copy of (h, w, 3) uint8 pixels."""
        from PIL import Image

        bits = f"{payload:0{BITS}b}"
        marked = self._model.encode(Image.fromarray(image), bits, MODE="binary")
        return np.asarray(marked.convert("RGB"))

    def detect(self, image: np.ndarray) -> int:
        """The 100 bits read in (h, w, 3) uint8 pixels, right or not."""
        from PIL import Image

        return int(self._model.decode(Image.fromarray(image), MODE="binary")[0], 2)


def _files(folder: str | Path | None, variant: str) -> tuple[Path, Path, Path]:
    """Configuration, encoder and decoder. Raises ValueError when one is missing."""
    names = (f"trustmark_{variant}.yaml", f"encoder_{variant}.ckpt", f"decoder_{variant}.ckpt")
    if folder is None:
        raise ValueError(
            f"TrustMark needs its model files ({', '.join(names)}), which are never fetched from "
            "here: name the folder where they lie"
        )
    config, encoder, decoder = paths = [Path(folder) / name for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise ValueError(
            f"TrustMark's {', '.join(missing)} is not in {folder}; put the model files there "
            "yourself, they are never fetched from here"
        )
    return config, encoder, decoder


def _loaded(folder: str | Path | None, variant: str) -> Any:
    try:
        from trustmark import TrustMark as Theirs  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"TrustMark can't be loaded ({error}); install the package trustmark"
        ) from error
    paths = _files(folder, variant)
    _check_config(paths[0])
    for path in paths[1:]:
        _check_tensors(path)
    home = paths[0].parent

    class Offline(Theirs):
        """Theirs, which looks for its files in the folder and never fetches any."""

        def check_and_download(self, filename: str) -> None:
            pass  # all are there

        def load_model(
            self, config_path: str, weight_path: str, device: str, secret_len: int, part: str = ""
        ) -> Any:
            found = (str(home / Path(one).name) for one in (config_path, weight_path))
            return super().load_model(*found, device, secret_len, part=part)

    with contextlib.redirect_stdout(sys.stderr):  # it prints what it loads
        return Offline(
            use_ECC=False, verbose=False, device="cpu", model_type=variant, loadRemover=False
        )


def _check_config(path: Path) -> None:
    """Refuse a configuration that would make anything but TrustMark's own two networks."""
    from omegaconf import OmegaConf  # pyright: ignore[reportMissingImports]

    try:
        model = OmegaConf.to_container(OmegaConf.load(path), resolve=False)["model"]
        params = model["params"]
        named = {"model": model} | {name: params[name] for name in NETWORKS if name != "model"}
        right = all(
            str(one["target"]).startswith(NETWORKS[name]) for name, one in named.items()
        ) and not {"yolo_config", "ckpt_path"} & set(params)
        right &= params["secret_decoder_config"]["params"]["arch"] in DECODERS
    except Exception as error:
        raise ValueError(f"{path} is no configuration of TrustMark ({error})") from error
    if not right:
        raise ValueError(f"{path} names other networks than TrustMark's own; it is not used")


def _check_tensors(path: Path) -> None:
    """Refuse a checkpoint that holds anything but tensors and plain values."""
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} can't be read as tensors alone ({why}); reading more could run anything, so "
            "it is not used"
        ) from error
