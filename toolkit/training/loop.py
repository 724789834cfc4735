"""The loop that every recipe shares: a time or step budget, EMA, progress, checkpoints, resume."""

from __future__ import annotations

import copy
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn.

    Give `steps` for a run that is the same on any machine, or `minutes` for one that fits an
    evening: the learning rate then follows the clock. `ema` is the decay of averaged weights.
    """

    minutes: float | None = None
    steps: int | None = None
    lr: float = 1e-3
    warmup: float = 0.03
    weight_decay: float = 0.01
    ema: float = 0.998
    seed: int = 0
    save_every: float = 180.0  # seconds


def device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast():
    """bfloat16 products: 2 to 7 times faster than fp32 on recent CPUs, exact enough to learn."""
    return torch.autocast(device().type, torch.bfloat16)


def learning_rate(plan: Plan, progress: float) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017); progress in [0, 1]."""
    if progress < plan.warmup:
        return plan.lr * (progress + 1e-3) / (plan.warmup + 1e-3)
    return plan.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _say(name: str, step: int, progress: float, loss: float, rate: float, began: float) -> None:
    left = (time.monotonic() - began) * (1 - progress) / max(progress, 1e-6)
    sys.stderr.write(
        f"{name}: {100 * progress:3.0f} %  step {step}  loss {loss:.4f}  "
        f"{rate:.2f} s/step  about {left / 60:.0f} min left\n"
    )
    sys.stderr.flush()


def _save(path: Path, state: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def fit(
    name: str,
    model: nn.Module,
    loss_of: Callable[[nn.Module, np.random.Generator], torch.Tensor],
    plan: Plan,
    folder: Path,
) -> tuple[nn.Module, dict]:
    """Train `model` and return its averaged weights with a record of the run.

    `loss_of(model, rng)` draws its own batch from `rng`, which depends on the seed and the step
    alone, so that a run killed and resumed sees the batches that it would have seen. The
    checkpoint is `folder/name.pt` (tensors only, loaded with `weights_only=True`).
    """
    if (plan.minutes is None) == (plan.steps is None):
        raise ValueError("a plan needs either minutes or steps; give exactly one of them")
    place = device()
    model.to(place).train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    weights = [p for p in model.parameters() if p.requires_grad]
    averaged = [
        a for a, p in zip(average.parameters(), model.parameters(), strict=True) if p.requires_grad
    ]
    optimizer = torch.optim.AdamW(
        weights, plan.lr, (0.9, 0.98), weight_decay=plan.weight_decay, fused=True
    )
    path, step, before = folder / f"{name}.pt", 0, 0.0
    if path.exists():
        saved = torch.load(path, map_location=place, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        step, before = saved["step"], saved["seconds"]
        sys.stderr.write(f"{name}: going on from step {step}\n")
    began = time.monotonic() - before
    said = saved_at = time.monotonic()
    said_step, losses, curve = step, [], []

    def progress() -> float:
        if plan.steps is not None:
            return step / plan.steps
        return (time.monotonic() - began) / (60 * (plan.minutes or 1))

    def keep() -> None:
        state = {
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "seconds": time.monotonic() - began,
        }
        _save(path, state)

    try:
        while (done := progress()) < 1:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(plan, done)
            rng = np.random.default_rng([plan.seed, step])
            torch.manual_seed(int(rng.integers(1 << 62)))
            loss = loss_of(model, rng)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            decay = min(plan.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                torch._foreach_lerp_(averaged, weights, 1 - decay)
                for a, p in zip(average.buffers(), model.buffers(), strict=True):
                    a.copy_(p)  # running statistics of batch norms, where there are any
            losses.append(float(loss.detach()))
            now = time.monotonic()
            if now - said > 20:
                mean = float(np.mean(losses))
                _say(name, step, progress(), mean, (now - said) / (step - said_step), began)
                curve.append((step, round(now - began, 1), mean))
                said, said_step, losses = now, step, []
            if now - saved_at > plan.save_every:
                keep()
                saved_at = now
    except KeyboardInterrupt:
        keep()
        raise
    keep()
    record = {
        "steps": step,
        "seconds": round(time.monotonic() - began, 1),
        "hardware": f"{place.type}, {torch.get_num_threads()} thread(s)",
        "parameters": sum(p.numel() for p in model.parameters()),
        "plan": {k: v for k, v in vars(plan).items() if v is not None},
    }
    (folder / f"{name}.curve.json").write_text(json.dumps(curve))
    return average, record
