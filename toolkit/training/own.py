"""`pellucid train … --data FOLDER`: learning from the user's own pictures and captions.

While it goes, `OUT.training/` holds sample grids, the loss curve and what to go on from; a killed
run that is repeated goes on to the same weights. When it is done, OUT is there, complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.clip import WEIGHTS
from toolkit.errors import UserError
from toolkit.runs import write_bytes, write_json
from toolkit.training.own_data import OwnSet, read_own

MODELS = ("unet", "clip")
LEAST = {"nothing": 100}  # pictures; fine-tuning asks for LEAST_TUNED
LEAST_TUNED = 16
STEPS, EVERY, BATCH, SHOWN = 1000, 500, 16, 8
Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What decides the result, and how often to look: `start` is portraits, nothing or a folder.

    Give `steps` for a result that depends on the request alone, or `minutes`. `clip` is a CLIP
    folder in place of the shipped one.
    """

    model: str
    data: str
    start: str = "portraits"
    steps: int | None = STEPS
    minutes: float | None = None
    seed: int = 0
    batch: int = BATCH
    every: int = EVERY
    clip: str | None = None

    def source(self) -> Path | None:
        """The folder to start from; None for nothing."""
        if self.start == "nothing":
            return None
        shipped = WEIGHTS / {"unet": "stable-diffusion", "clip": "clip"}[self.model]
        return shipped if self.start == "portraits" else Path(self.start)

    def check(self) -> None:
        """Raise UserError for what can't be trained."""
        if self.model not in MODELS:
            raise UserError(
                f"{self.model!r} can't be trained on own pictures; choose one of "
                f"{', '.join(MODELS)} with --data"
            )
        source = self.source()
        needed = {"unet": "model_index.json", "clip": "open_clip_config.json"}[self.model]
        if source is not None and not (source / needed).is_file():
            raise UserError(
                f"{source} has no {needed}, so training can't start from it; give portraits, "
                "nothing or a folder that pellucid train wrote to --from"
            )
        if self.clip and not (Path(self.clip) / "open_clip_config.json").is_file():
            raise UserError(f"{self.clip} has no open_clip_config.json; give a CLIP folder")
        low = [name for name in ("batch", "every") if getattr(self, name) < 1]
        if self.steps is not None and self.steps < 1:
            low.append("steps")
        if low:
            raise UserError(f"--{low[0]} is at least 1")


def train_own(request: Request, out: str | Path, say: Say = lambda text: None) -> Path:
    """Learn from `request.data` and write `out`, complete or not at all. Returns it.

    Raises UserError for data that can't work (see `read_own`), an `out` that exists, and an
    unfinished training of another request in its place.
    """
    from toolkit.training import own_clip, own_diffusion

    request.check()
    out = Path(out)
    if out.exists():
        raise UserError(f"{out} exists; choose another --out for the trained model")
    data = read_own(request.data, LEAST.get(request.start, LEAST_TUNED))
    work = _work_folder(request, data, out)
    learnt, held = data.split()
    say(f"{len(learnt)} pictures to learn from, {len(held)} held out; look into {work}")
    run = {"unet": own_diffusion.learn, "clip": own_clip.learn}[request.model]
    record = run(request, data, work, say)
    model = work / "model"
    kept = model / "training"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(work / "samples", kept / "samples")
    for file in (*work.glob("*loss.png"), work / "curve.json", *work.glob("*-curve.json")):
        shutil.copy(file, kept)
    facts = asdict(request) | {"pictures": len(data), "held_out": len(held), **record}
    facts |= {"data": Path(request.data).name, "data_sha256": data.digest}
    write_json(kept / "training.json", facts)
    write_bytes(model / "README.md", _card(request, facts).encode())
    os.replace(model, out)
    shutil.rmtree(work)
    return out


def _work_folder(request: Request, data: OwnSet, out: Path) -> Path:
    """OUT.training, new or of this very request."""
    work = out.with_name(f"{out.name}.training")
    asked = json.loads(json.dumps(asdict(request) | {"data_sha256": data.digest}))
    asked["data"] = Path(request.data).name  # the pictures count, not where they lie
    path = work / "request.json"
    if not path.exists():
        if work.exists() and any(work.iterdir()):
            raise UserError(f"{work} exists and is not a training; choose another --out")
        try:
            (work / "samples").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{work} can't be made ({error.strerror})") from error
        write_json(path, asked)
        return work
    before = json.loads(path.read_text())
    other = [name for name in asked if before.get(name) != asked[name]]
    if other:
        was = ", ".join(f"{name} {before.get(name)}" for name in other if name != "data_sha256")
        raise UserError(
            f"{work} holds an unfinished training on "
            f"{'other data' if 'data_sha256' in other else 'the same data'}"
            f"{' with ' + was if was else ''}; repeat that command to go on, or remove the folder"
        )
    return work


def watcher(
    work: Path,
    held_loss: Callable[[nn.Module], float] | None,
    grid: Callable[[nn.Module], Any],
    title: str,
    prefix: str = "",
) -> Callable[[int, nn.Module, list], None]:
    """What looks at a training as it goes: samples/step-N.png, loss.png and curve.json."""
    from toolkit.studies.pictures import save
    from toolkit.training.curves import loss_curve

    path = work / f"{prefix}curve.json"

    def watch(step: int, average: nn.Module, curve: list) -> None:
        before = json.loads(path.read_text())["held_out"] if path.exists() else []
        held = [row for row in before if row[0] < step]
        if held_loss is not None:
            with torch.random.fork_rng(), torch.no_grad():
                torch.manual_seed(0)  # the same noise each time: only the model changes
                held.append([step, held_loss(average)])
        write_json(path, {"learnt": [list(row) for row in curve], "held_out": held})
        points = [(row[0], row[2]) for row in curve]
        save(loss_curve(title, points, [(s, v) for s, v in held]), work / f"{prefix}loss.png")
        save(grid(average), work / "samples" / f"{prefix}step-{step:06d}.png")

    return watch


def fixed_rows(data: OwnSet) -> np.ndarray:
    """The rows that every sample grid shows: held out ones first."""
    learnt, held = data.split()
    return np.concatenate([held, learnt])[:SHOWN]


def _card(request: Request, facts: dict[str, Any]) -> str:
    what = {"unet": "A Stable Diffusion pipeline (diffusers layout)", "clip": "A CLIP (open_clip)"}
    skipped = ("model", "plan", "data")
    rows = "\n".join(
        f"| {key} | {value} |" for key, value in facts.items()
        if key not in skipped and isinstance(value, str | int | float)
    )  # fmt: skip
    return f"""# {what[request.model]}

Trained with `pellucid train {request.model} --data {Path(request.data).name}`, at 64 x 64 pixels,
on {facts["pictures"]} pictures of its maker. A small model learns few pictures by heart: look at
`training/loss.png` (a held-out loss that rises while the other falls is memorising) and do not
share pictures of people who did not agree. How it went is in `training/`.

| fact | value |
|---|---|
{rows}
"""
