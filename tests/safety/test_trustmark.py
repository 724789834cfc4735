"""TrustMark's adapter: refusals without its package, and its real architecture where that is there.

The published weights are not here, so that nothing says how well it hides or reads a mark.
"""

from __future__ import annotations

import json
import pickle
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from safety.quality import psnr
from safety.trustmark import BITS, TrustMark, _check_tensors, _files
from toolkit.cli import main

CONFIG = {
    "model": {
        "target": "trustmark.model.TrustMark_Arch",
        "params": {
            "cover_key": "image", "secret_key": "secret", "secret_len": BITS, "resolution": 256,
            "secret_encoder_config": {
                "target": "trustmark.unet.Unet1", "params": {"width": 8, "ndown": 4},
            },
            "secret_decoder_config": {
                "target": "trustmark.unet.SecretDecoder", "params": {"arch": "resnet18"},
            },
            "discriminator_config": {"target": "not.used", "params": {}},
            "loss_config": {"target": "not.used", "params": {}},
            "noise_config": {"target": "not.used", "params": {}},
        },
    }
}  # fmt: skip


def test_without_its_package_or_files_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trustmark", None)
    with pytest.raises(ValueError, match="install the package trustmark"):
        TrustMark(tmp_path)
    with pytest.raises(ValueError, match="name the folder"):
        _files(None, "Q")
    (tmp_path / "trustmark_Q.yaml").touch()
    with pytest.raises(ValueError, match=r"encoder_Q\.ckpt, decoder_Q\.ckpt is not in"):
        _files(tmp_path, "Q")
    assert main(["attack-bench", "--systems", "trustmark", "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_checkpoint_that_could_run_something_is_refused(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Bad()}, tmp_path / "bad.ckpt")
    (tmp_path / "raw.ckpt").write_bytes(pickle.dumps(Bad()))
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    for name in ("bad", "raw", "text"):
        with pytest.raises(ValueError, match=r"not used|can't be read"):
            _check_tensors(tmp_path / f"{name}.ckpt")
    assert not (tmp_path / "ran").exists()
    torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 3}, tmp_path / "good.ckpt")
    _check_tensors(tmp_path / "good.ckpt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The real architecture, small, with random weights, as the real files are laid out."""
    unet = pytest.importorskip("trustmark.unet", reason="the package trustmark is not installed")
    torch.manual_seed(0)
    networks = {
        "encoder": unet.Unet1(256, BITS, 8, 4, 0),
        "decoder": unet.SecretDecoder("resnet18", 224, BITS),
    }
    for name, network in networks.items():
        state = {f"{name}.{key}": value for key, value in network.state_dict().items()}
        torch.save({"state_dict": state, "global_step": 1, "epoch": 1},
                   tmp_path / f"{name}_Q.ckpt")  # fmt: skip
    (tmp_path / "trustmark_Q.yaml").write_text(json.dumps(CONFIG))  # JSON is YAML
    return tmp_path


def test_random_weights_go_through_the_adapter_without_a_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*args, **kwargs):
        raise AssertionError("it wants the network")

    monkeypatch.setattr(socket, "socket", no_network)
    model = TrustMark(folder)
    image = np.full((200, 260, 3), 128, np.uint8)
    first, again, other = (model.embed(image, payload) for payload in (5, 5, 2**99 + 3))
    assert first.shape == image.shape and first.dtype == np.uint8
    assert (first == again).all() and (first != other).any() and psnr(first, image) < 100
    assert 0 <= model.detect(first) < 2**BITS and model.detect(first) == model.detect(again)
    saved = torch.load(folder / "encoder_Q.ckpt", weights_only=True)["state_dict"]
    loaded = model._model.encoder.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in saved.items())
    assert capsys.readouterr().out == ""  # data alone goes to stdout


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("secret_encoder_config", {"target": "os.system", "params": {}}),
        ("secret_decoder_config",
         {"target": "trustmark.unet.SecretDecoder", "params": {"arch": "convnext"}}),
        ("yolo_config", {"target": "os.system", "params": {}}),
    ],
)  # fmt: skip
def test_a_configuration_of_other_networks_is_refused(
    folder: Path, place: str, value: dict
) -> None:
    params = CONFIG["model"]["params"] | {place: value}
    (folder / "trustmark_Q.yaml").write_text(
        json.dumps({"model": CONFIG["model"] | {"params": params}})
    )
    with pytest.raises(ValueError, match="other networks"):
        TrustMark(folder)
