"""What is compared: both pipelines, one changed variant of each, and what they cost to have.

Run as a module it draws with one system in a process of its own and tells its peak memory.
"""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.errors import UserError

PROCESSES = 3  # that measure a system's memory, of which the middle one counts
AT_ONCE = 8  # pictures drawn together, in the comparison and where memory is measured


@dataclass(frozen=True)
class System:
    """A pipeline with settings. `base` is the key of the system it changes, `meant_for` the
    measure that the change is to improve; `prior`, `candidates` and `solver` replace parts.
    """

    key: str
    title: str
    pipeline: str
    base: str | None = None
    meant_for: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    prior: str = "diffusion"
    candidates: int = 1  # embeddings a seed, the one nearest its text is kept
    solver: str = "ddim"

    def model(self, shipped: Any) -> Any:
        """A shipped pipeline with this system's parts; networks are shared, not copied."""
        model = copy.copy(shipped)
        if self.pipeline == "unclip":
            model = copy.copy(model.with_prior(self.prior))
            if self.candidates > 1:
                model.prior = BestOf(model.prior, self.candidates)
        elif self.solver != "ddim":
            model.scheduler = fast_solver(model.scheduler)
        return model

    def generate(self, shipped: Any) -> Callable[..., Any]:
        """The system's `generate`, with a pipeline's parameters."""
        return partial(self.model(shipped).generate, **self.settings)


SD = System("sd", "Stable Diffusion", "stable-diffusion")
UN = System("unclip", "unCLIP", "unclip")
SD_FAST = System(
    "sd-changed", "Stable Diffusion, 10 steps of DPM-Solver++", "stable-diffusion",
    base="sd", meant_for="seconds", settings={"steps": 10}, solver="dpm",
)  # fmt: skip
UN_FAST = System(
    "unclip-changed", "unCLIP, linear prior and 10 decoder steps", "unclip",
    base="unclip", meant_for="seconds", settings={"steps": 10}, prior="linear",
)  # fmt: skip
SYSTEMS = (SD, UN, SD_FAST, UN_FAST)


def _sd(key: str, title: str, meant_for: str, solver: str = "ddim", **settings: Any) -> System:
    name = f"Stable Diffusion, {title}"
    return System(key, name, "stable-diffusion", "sd", meant_for, settings, solver=solver)


def _un(key: str, title: str, meant_for: str, prior="diffusion", best=1, **settings: Any) -> System:
    name = f"unCLIP, {title}"
    return System(key, name, "unclip", "unclip", meant_for, settings, prior, best)


# What was tried on development prompts before the two changes above were chosen;
# `pellucid compare --candidates` tries them again.
CANDIDATES = (
    SD,
    SD_FAST,
    _sd("sd-ddim-10", "10 steps of DDIM", "seconds", steps=10),
    _sd("sd-dpm-6", "6 steps of DPM-Solver++", "seconds", solver="dpm", steps=6),
    _sd("sd-guidance-1.5", "guidance 1.5", "diversity", guidance=1.5),
    _sd("sd-guidance-6", "guidance 6", "accuracy_cnn", guidance=6.0),
    UN,
    UN_FAST,
    _un("unclip-best", "best of 8 embeddings", "accuracy_cnn", best=4),
    _un("unclip-flow", "flow prior", "accuracy_cnn", prior="flow"),
    _un("unclip-flow-best", "flow prior, best of 8", "accuracy_cnn", prior="flow", best=4),
    _un("unclip-linear", "linear prior", "accuracy_cnn", prior="linear"),
    _un("unclip-guidance-3.5", "decoder guidance 3.5", "accuracy_cnn", guidance=3.5),
    _un("unclip-steps-10", "10 decoder steps", "seconds", steps=10),
)


class BestOf:
    """A prior asked several times a seed; the embedding nearest the text is kept.

    As the paper does with two (Ramesh et al. 2022, section 2.2): it selects by CLIP, so that only
    judges that share nothing with CLIP may score what comes out.
    """

    def __init__(self, prior: Any, times: int):
        self.prior, self.times = prior, times

    def sample(self, text: Any, seeds: Any, trace: Any = None) -> Any:
        """(n, d) unit image embeddings; the first try is what the prior alone would give."""
        import torch

        from toolkit.priors.candidates import best_of

        # Far from the seeds that people count up from, but under 2^32: torch reads no higher bit.
        tries = [
            self.prior.sample(text, [int(s) ^ (k << 28) for s in seeds], trace if not k else None)
            for k in range(self.times)
        ]
        found = torch.stack(tries, 1).flatten(0, 1)  # (n * times, d)
        return best_of(found, text.embedding, self.times)[0]


def fast_solver(scheduler: Any) -> Any:
    """DPM-Solver++ 2M (Lu et al. 2022) on the same noise levels as the shipped DDIM."""
    from diffusers import DPMSolverMultistepScheduler

    kept = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
    kept += ("timestep_spacing", "steps_offset", "rescale_betas_zero_snr")
    settings = {name: scheduler.config[name] for name in kept}
    return DPMSolverMultistepScheduler(**settings, solver_order=2, algorithm_type="dpmsolver++")


def parts(model: Any) -> Iterator[tuple[str, Any]]:
    """The networks that take part in drawing, by name."""
    if model.name == "stable-diffusion":
        yield "text encoder", model.text
        yield "U-Net", model.unet
        yield "decoder", model.vae.decoder
        return
    tower = model.clip.model
    for name in ("token_embedding", "transformer", "ln_final"):
        yield f"text encoder: {name}", getattr(tower, name)
    prior = getattr(model.prior, "prior", model.prior)
    if hasattr(prior, "model"):
        yield "prior", prior.model
    yield "projections", model.text_proj
    yield "decoder", model.decoder
    yield "upsampler", model.upsampler


def parameters(model: Any) -> int:
    """Numbers in the networks that take part in drawing."""
    return sum(p.numel() for _, part in parts(model) for p in part.parameters())


def operations(generate: Callable[..., Any]) -> int:
    """Floating-point operations of one picture: products and convolutions, as torch counts."""
    from torch.utils.flop_counter import FlopCounterMode

    from toolkit.pipelines.onednn import FLOPS

    with FlopCounterMode(display=False, custom_mapping=FLOPS) as counter:
        generate(["a portrait of a person"], [0])
    return int(counter.get_total_flops())


def peak_memory(system: System, times: int = PROCESSES) -> dict[str, float]:
    """MB of a process that loads this system alone and draws a batch, the middle of `times`.

    `libraries` is what it held before the models were loaded, `peak` the most it held since.
    Raises UserError when a process fails.
    """
    seen = []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-m", __name__, system.key], capture_output=True, text=True
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
            raise UserError(f"the memory of {system.title} can't be measured ({last})")
        seen.append(json.loads(done.stdout.splitlines()[-1]))
    middle = sorted(seen, key=lambda one: one["peak"] - one["libraries"])[len(seen) // 2]
    return {name: float(value) for name, value in middle.items()}


def _status(name: str) -> float | None:
    """MB that Linux gives this process under a name (VmRSS, VmHWM); None on other systems."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    return int(lines[name].split()[0]) / 1024


def high_water() -> float:
    """The most MB that this process has held since it began, or since `settle`."""
    import resource

    # Linux hands a parent's peak down through fork and exec; the process's own is in /proc.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    other = peak / (1024 if sys.platform != "darwin" else 1024**2)
    return _status("VmHWM") or other


def settle() -> float:
    """Give back what is free, start the high-water mark anew, and return the MB still held.

    Imports hold more for a moment than they keep; counted from that moment's mark, a model that
    fits under it would seem to cost nothing.
    """
    import ctypes
    import gc

    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's, not musl's
        if trim is not None:
            trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") or high_water()


def main() -> None:
    """Draw one batch with the system named on the command line; print its memory as JSON."""
    import open_clip  # noqa: F401  (before measuring: what the libraries take is no model's)
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    from transformers import CLIPTextModel  # noqa: F401

    from toolkit.pipelines import load_pipeline

    libraries = settle()
    system = next(one for one in (*SYSTEMS, *CANDIDATES) if one.key == sys.argv[1])
    draw = system.generate(load_pipeline(system.pipeline))
    draw(["a portrait of a person"] * AT_ONCE, list(range(AT_ONCE)))
    sys.stdout.write(json.dumps({"libraries": libraries, "peak": high_water()}) + "\n")


if __name__ == "__main__":
    main()
