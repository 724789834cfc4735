"""What every test shares: no network, a quiet home, and what needs the shipped weights says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "2")

WEIGHTS = Path(__file__).parent.parent / "toolkit" / "weights"
NEEDED = (
    "clip/open_clip_model.safetensors",
    "judge/judge.safetensors",
    "judge/marks.safetensors",
    "guard/guard.safetensors",
    "stable-diffusion/unet/diffusion_pytorch_model.safetensors",
    "stable-diffusion/vae/diffusion_pytorch_model.safetensors",
    "unclip/prior/diffusion_pytorch_model.safetensors",
    "unclip/decoder/diffusion_pytorch_model.safetensors",
    "unclip/prior_flow/diffusion_pytorch_model.safetensors",
    "unclip/prior_autoregressive/model.safetensors",
    "unclip/prior_linear/model.safetensors",
    "unclip/super_res_first/diffusion_pytorch_model.safetensors",
)


@pytest.fixture(autouse=True)
def quiet_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys and certificates go to a folder of this test session, never to the user's own."""
    home = tmp_path_factory.getbasetemp() / "pellucid-home"
    monkeypatch.setenv("PELLUCID_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def weights() -> Path:
    """The shipped bundle; a fresh checkout has it, a tree in which it is being trained may not."""
    missing = [name for name in NEEDED if not (WEIGHTS / name).is_file()]
    if missing:
        pytest.skip(f"toolkit/weights has no {', '.join(missing)} yet")
    return WEIGHTS


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium for browser tests."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on this machine; get one with: sudo apt-get install chromium")
