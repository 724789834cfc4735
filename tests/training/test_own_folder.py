"""Training on own pictures: what is refused, that a killed run ends the same, what comes out."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from toolkit.cli import main
from toolkit.clip import load_clip
from toolkit.studies.portraits import described, write_portraits
from toolkit.training import own, own_diffusion, unet
from toolkit.training.curves import loss_curve
from toolkit.training.loop import Plan, fit
from toolkit.training.own_data import read_own


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty portraits with captions, as `pellucid world sample --out` writes them."""
    folder = tmp_path_factory.mktemp("own") / "pictures"
    write_portraits(str(folder), described("test", 40, 3))
    return folder


@pytest.fixture
def copied(pictures: Path, tmp_path: Path) -> Path:
    """The pictures again, to be damaged."""
    return Path(shutil.copytree(pictures, tmp_path / "damaged"))


@pytest.fixture
def small_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "SHOWN", 1)
    monkeypatch.setattr(own_diffusion, "GRID_STEPS", 2)


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_three_layouts_are_read_the_same(pictures: Path, copied: Path, tmp_path: Path) -> None:
    import pandas as pd

    plain = read_own(pictures, 16)
    assert plain.pictures.shape == (40, 64, 64, 3) and plain.names[0].endswith(".png")
    rows = sorted(rows_of(pictures), key=lambda row: row["file_name"])
    assert plain.captions == tuple(row["caption"] for row in rows)
    (copied / "metadata.jsonl").unlink()
    pd.DataFrame({"file_name": [r["file_name"] for r in rows], "text": plain.captions}).to_csv(
        copied / "metadata.csv", index=False
    )
    assert read_own(copied, 16).digest == plain.digest
    cells = [{"bytes": (pictures / r["file_name"]).read_bytes(), "path": "x"} for r in rows]
    table = pd.DataFrame({"image": cells, "text": plain.captions})
    table.to_parquet(tmp_path / "train-00000.parquet")
    assert read_own(tmp_path / "train-00000.parquet", 16).digest == plain.digest


def test_other_sizes_give_their_middle_square(tmp_path: Path) -> None:
    wide = np.zeros((64, 192, 3), np.uint8)
    wide[:, 64:128] = (200, 30, 30)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "wide.png", "text": "red"}\n')
    found = read_own(tmp_path, 1)
    assert (found.pictures[0, :, 8:56] == (200, 30, 30)).all()
    assert [len(part) for part in found.split()] == [1, 0]


def test_every_tenth_of_many_is_held_out(pictures: Path) -> None:
    learnt, held = read_own(pictures, 16).split()
    assert held.tolist() == [9, 19, 29, 39] and len(learnt) == 36


def _no_caption(folder: Path) -> None:
    rows = rows_of(folder)
    rows[3]["caption"] = " "
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _not_listed(folder: Path) -> None:
    rows = rows_of(folder)[1:]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _copy(folder: Path) -> None:
    shutil.copy(folder / "test-3-00001.png", folder / "test-3-00004.png")


def _outside(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text('{"file_name": "../x.png", "text": "a"}\n')


def _table(folder: Path) -> None:
    import pandas as pd

    pd.DataFrame({"picture": [b"x"], "label": [1]}).to_parquet(folder / "a.parquet")


BROKEN = {
    "test-3-00003.png in .* has no caption": _no_caption,
    "test-3-00000.png in .* has no caption": _not_listed,
    "test-3-00002.png in .* can't be read": lambda f: (f / "test-3-00002.png").write_text("hi"),
    "there is no picture test-3-00005.png": lambda f: (f / "test-3-00005.png").unlink(),
    "00001.png and test-3-00004.png in .* are the same picture": _copy,
    "has no metadata.jsonl or metadata.csv": lambda f: (f / "metadata.jsonl").unlink(),
    "metadata.jsonl can't be read": lambda f: (f / "metadata.jsonl").write_text("{no"),
    "entry 1: no file_name of a picture": _outside,
    "has the columns picture, label": _table,
    "holds no picture": lambda f: [p.unlink() for p in f.glob("*.png")],
    "has 40 pictures with captions, at least 100 are needed": lambda f: None,
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_folder_that_cannot_work_is_refused_in_one_sentence(
    sentence: str, copied: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    BROKEN[sentence](copied)
    monkeypatch.chdir(tmp_path)
    start = "nothing" if "100" in sentence else "portraits"
    assert main(["train", "unet", "--data", "damaged", "--from", start, "--steps", "1"]) == 2
    told = capsys.readouterr().err
    assert re.search(sentence, told) and told.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["damaged"]


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["prior", "--data", "x"], "'prior' can't be trained on own pictures"),
        (["unet", "--data", "no-such-folder"], "there is no no-such-folder"),
        (["unet", "--data", "x", "--from", "elsewhere"], "elsewhere has no model_index.json"),
        (["unet", "--data", "x", "--steps", "0"], "--steps is at least 1"),
        (["unet", "--data", "x", "--steps", "5", "--budget", "1h"], "both --steps and --budget"),
        (["unet", "--out", "x"], "name them with --data"),
    ],
)
def test_a_bad_request_is_one_sentence(
    argv: list[str], sentence: str, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *argv]) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


LEARN = """
import os, signal, sys
from pathlib import Path
import torch
from torch import nn
from toolkit.training.loop import Plan, fit

torch.manual_seed(0)
calls = []

def loss(model, rng):
    calls.append(1)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), int(sys.argv[3]))
    x = torch.from_numpy(rng.normal(size=(8, 3))).float()
    return ((model(x) - x.sum(1, keepdim=True) + torch.randn(8, 1)) ** 2).mean()

fit("a", nn.Linear(3, 1), loss, Plan(steps=6, save_every=0.0), Path(sys.argv[1]), every=4)
"""


def _weights(folder: Path) -> dict:
    saved = torch.load(folder / "a.pt", weights_only=True)
    return saved["average"] | {"losses": [row[2] for row in saved["curve"]], "step": saved["step"]}


def _learn(folder: Path, at: int = 0, kill: int = 0) -> int:
    argv = [sys.executable, "-c", LEARN, str(folder), str(at), str(int(kill))]
    return subprocess.run(argv, capture_output=True, env=os.environ).returncode


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    assert _learn(folder) == 0
    return folder


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_to_the_same_result(straight: Path, tmp_path: Path, kill: int) -> None:
    assert _learn(tmp_path, 4, kill) != 0
    saved = torch.load(tmp_path / "a.pt", weights_only=True)["step"]
    assert saved == (3 if kill == signal.SIGKILL else 4)  # a polite kill ends its step first
    assert _learn(tmp_path) == 0
    whole, cut = _weights(straight), _weights(tmp_path)
    assert whole["losses"] == cut["losses"] and len(whole["losses"]) == 6
    assert torch.equal(whole["weight"], cut["weight"])


def test_watching_sees_every_so_many_steps_and_the_end(tmp_path: Path) -> None:
    torch.manual_seed(0)
    seen = []

    def loss(model, rng):
        return (model(torch.from_numpy(rng.normal(size=(4, 3))).float()) ** 2).mean()

    def watch(step, average, curve):
        seen.append((step, len(curve)))

    fit("a", nn.Linear(3, 1), loss, Plan(steps=50), tmp_path, watch, every=20)
    assert seen == [(20, 10), (40, 20), (50, 25)]


def test_a_loss_curve_falls_on_the_picture() -> None:
    falling = np.asarray(loss_curve("loss", [(10, 1.0), (20, 0.1)]).convert("RGB")).astype(int)
    blue = np.argwhere(np.abs(falling - (0x2F, 0x6F, 0x8F)).sum(2) < 8)
    line = blue[blue[:, 1] < 600]  # without the legend
    left, right = line[line[:, 1].argmin()], line[line[:, 1].argmax()]
    assert left[0] < right[0] - 100  # down is a larger row


def test_stopped_and_repeated_it_gives_the_same_model(
    weights: Path, pictures: Path, tmp_path: Path, small_grids, capsys, monkeypatch
) -> None:
    argv = ["train", "unet", "--data", str(pictures), "--steps", "4", "--every", "2"]
    argv += ["--batch", "2", "--seed", "7"]
    assert main([*argv, "--out", str(tmp_path / "whole")]) == 0
    real, calls = unet.noised, []

    def stopped(*args):
        calls.append(1)
        if len(calls) == 4:  # two steps, their look at held out pictures, and the third
            raise KeyboardInterrupt
        return real(*args)

    cut = tmp_path / "cut"
    monkeypatch.setattr(unet, "noised", stopped)
    assert main([*argv, "--out", str(cut)]) == 130
    monkeypatch.setattr(unet, "noised", real)
    assert not cut.exists() and (tmp_path / "cut.training" / "unet.pt").exists()
    capsys.readouterr()
    assert main([*argv, "--out", str(cut), "--seed", "8"]) == 2
    assert "unfinished training" in capsys.readouterr().err
    assert main([*argv, "--out", str(cut)]) == 0
    assert not (tmp_path / "cut.training").exists()
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    names = sorted(p.name for p in (cut / "training" / "samples").iterdir())
    assert names == ["step-000002.png", "step-000004.png"]
    curve = json.loads((cut / "training" / "curve.json").read_text())
    assert [row[0] for row in curve["learnt"]] == [1, 2, 3, 4]
    assert [row[0] for row in curve["held_out"]] == [2, 4]
    start = weights / "stable-diffusion" / name
    assert (cut / name).read_bytes() != start.read_bytes()
    assert main([*argv, "--out", str(cut)]) == 2  # a model that is there stays


def test_from_nothing_is_a_pipeline_that_diffusers_and_ours_load(
    weights: Path, pictures: Path, tmp_path: Path, small_grids, monkeypatch
) -> None:
    from diffusers import StableDiffusionPipeline

    from toolkit.pipelines.stable_diffusion import StableDiffusion

    monkeypatch.setitem(own.LEAST, "nothing", 16)
    out = tmp_path / "new"
    request = own.Request("unet", str(pictures), "nothing", steps=1, batch=2)
    own.train_own(request, out)
    batch = StableDiffusion(out, load_clip()).generate(["a chef"], [1], steps=2)
    assert batch.images.shape == (1, 64, 64, 3)
    pipe = StableDiffusionPipeline.from_pretrained(out, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    drawn = pipe("a chef", num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, 64, 64, 3) and np.isfinite(drawn).all()
    assert (out / "training" / "autoencoder-loss.png").exists()
    assert (out / "training" / "samples" / "autoencoder-step-000001.png").exists()


def test_clip_learns_own_pairs_and_feeds_a_unet(
    weights: Path, pictures: Path, tmp_path: Path, small_grids
) -> None:
    out = tmp_path / "my-clip"
    own.train_own(own.Request("clip", str(pictures), steps=2, batch=8, every=1), out)
    mine, shipped = load_clip(str(out)), load_clip()
    assert mine.hash != shipped.hash
    texts = ["a smiling chef"]
    assert mine.encode_text(texts) @ shipped.encode_text(texts).T > 0.9  # two gentle steps
    tuned = own.Request("unet", str(pictures), steps=1, batch=2, clip=str(out))
    model = own.train_own(tuned, tmp_path / "model")
    with Image.open(model / "training" / "samples" / "step-000001.png") as opened:
        assert opened.width > 128
