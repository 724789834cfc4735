"""The loop that every recipe shares: a time or step budget, EMA, progress, checkpoints, resume."""

from __future__ import annotations

import copy
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """bfloat16 products where the processor has them: 2 to 7 times faster, exact enough to learn.

    A CPU without them (AVX2 only) emulates bfloat16 at a sixth of float32's speed: none there.
    """
    place = device().type
    quick = place != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(place, torch.bfloat16, enabled=quick)


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


@contextmanager
def _whole_steps() -> Iterator[list[int]]:
    """Ctrl-C and a polite kill wait until the step is done: what is saved is then never half.

    Gives a list that holds the signal once there was one; a second one interrupts at once.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may set handlers
        return

    def note(signum, frame) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)

    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def fit(
    name: str,
    model: nn.Module,
    loss_of: Callable[[nn.Module, np.random.Generator], torch.Tensor],
    plan: Plan,
    folder: Path,
    watch: Callable[[int, nn.Module, list], None] | None = None,
    every: int = 0,
) -> tuple[nn.Module, dict]:
    """Train `model` and return its averaged weights with a record of the run.

    `loss_of(model, rng)` draws its own batch from `rng`, which depends on the seed and the step
    alone, so that a run killed and resumed sees the batches that it would have seen. The
    checkpoint is `folder/name.pt` (tensors only, loaded with `weights_only=True`).

    `watch(step, average, curve)` is called each `every` steps and at the end; the curve's rows
    are (step, seconds, mean loss since the row before), ten of them between two calls. Without
    `every` there is a row each 20 seconds.
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
    curve: list[tuple[int, float, float]] = []
    losses: list[float] = []  # since the curve's last row
    whole = True  # false while an update is half done
    if path.exists():
        saved = torch.load(path, map_location=place, weights_only=True)
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        step, before = saved["step"], saved["seconds"]
        curve, losses = saved.get("curve", []), saved.get("losses", [])
        sys.stderr.write(f"{name}: going on from step {step}\n")
    began = time.monotonic() - before
    said = saved_at = time.monotonic()
    said_step, stride, recent = step, max(1, every // 10), []

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
            "curve": curve,
            "losses": losses,
        }
        _save(path, state)

    def note(now: float) -> None:
        curve.append((step, round(now - began, 1), float(np.mean(losses))))
        losses.clear()

    with _whole_steps() as stopped:
        try:
            while (done := progress()) < 1 and not stopped:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(plan, done)
                rng = np.random.default_rng([plan.seed, step])
                torch.manual_seed(int(rng.integers(1 << 62)))
                loss = loss_of(model, rng)
                whole = False
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
                recent.append(losses[-1])
                whole = True
                now = time.monotonic()
                if every and step % stride == 0:
                    note(now)
                if now - said > 20:
                    rate, mean = (now - said) / (step - said_step), float(np.mean(recent))
                    _say(name, step, progress(), mean, rate, began)
                    said, said_step, recent = now, step, []
                    if not every:
                        note(now)
                if watch and every and step % every == 0 and progress() < 1:
                    watch(step, average, curve)
                if now - saved_at > plan.save_every:
                    keep()
                    saved_at = now
        except KeyboardInterrupt:
            if whole:
                keep()
            raise
    if every and losses and not stopped:
        note(time.monotonic())
    keep()
    if stopped:
        raise KeyboardInterrupt
    if watch:
        watch(step, average, curve)
    record = {
        "steps": step,
        "seconds": round(time.monotonic() - began, 1),
        "hardware": f"{place.type}, {torch.get_num_threads()} thread(s)",
        "parameters": sum(p.numel() for p in model.parameters()),
        "plan": {k: v for k, v in vars(plan).items() if v is not None},
    }
    (folder / f"{name}.curve.json").write_text(json.dumps(curve))
    return average, record
