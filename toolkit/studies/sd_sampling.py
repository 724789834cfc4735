"""How Stable Diffusion is sampled: guidance scales, and other samplers on the same network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from toolkit.pipelines.batch import generators, noise
from toolkit.studies.charts import Series, chart
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.sd_lab import SD
from toolkit.studies.sd_measures import asked_of, disagreement, estimate, named_right, share

SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0)
STEPS = (5, 10, 25, 50)
OPEN = "a portrait of a doctor"  # in training 7 of 10 doctors were pale
PART = 24
SAMPLERS = {
    "DDIM": "DDIMScheduler",
    "Euler": "EulerDiscreteScheduler",
    "DPM-Solver++ 2M": "DPMSolverMultistepScheduler",
    "Heun": "HeunDiscreteScheduler",
    "UniPC": "UniPCMultistepScheduler",
    "PNDM": "PNDMScheduler",
}
SMALLEST = 2.0**-24  # of alpha_bar at the last level: samplers in sigmas divide by it


def sampler(name: str, config: dict[str, Any]) -> Any:
    """A diffusers sampler on our schedule: the same betas, v-prediction, trailing steps.

    Those that do not know zero terminal SNR get the rescaled betas themselves, with the last level
    a hair above pure noise, as diffusers does for those that do.
    """
    import diffusers

    kind = getattr(diffusers, SAMPLERS[name])
    if name == "DDIM":
        return kind.from_config(config)
    bars = diffusers.DDIMScheduler.from_config(config).alphas_cumprod.double().clamp(SMALLEST)
    betas = 1 - bars / torch.cat([torch.ones(1).double(), bars[:-1]])
    settings = {"prediction_type": config["prediction_type"], "timestep_spacing": "trailing",
                "steps_offset": 1}  # fmt: skip
    if name == "PNDM":
        settings["skip_prk_steps"] = True
    return kind(trained_betas=betas.numpy().astype(np.float32), **settings)


def drawn(model: Any, texts: Sequence[str], seeds: Sequence[int], **how: Any) -> np.ndarray:
    """(n, 64, 64, 3) pictures of the texts, some at a time; each seed is its own noise."""
    return np.concatenate(
        [
            model.decode(
                model.denoise(
                    model.states(texts[i : i + PART]),
                    noise((4, 16, 16), generators(seeds[i : i + PART])),
                    **how,
                )
            )
            for i in range(0, len(texts), PART)
        ]
    )


def guidance(door: Door, prompts: Sequence[str], n: int, seed: int) -> Experiment:
    """Classifier-free guidance (Ho & Salimans 2022): what it gives and what it costs."""
    model, rows, parts = door.pipeline(SD), [], []
    _, said = asked_of(n, seed)
    texts, named = [one.text for one in said], [one.named for one in said]
    seeds = [seed + i for i in range(n)]
    for scale in SCALES:
        asked = door.judge.judge(drawn(model, texts, seeds, guidance=scale))
        left = door.judge.judge(drawn(model, [OPEN] * n, seeds, guidance=scale))
        rows.append(
            {
                "guidance": scale,
                "prompt_accuracy": estimate(named_right(asked, named), seed),
                "diversity": round(disagreement(left, ("attire",)), 4),
                "pale_doctors": share(int((left.levels["skin"] == "pale").sum()), n),
            }
        )

        def draw(which: np.ndarray, trace: Any, scale: float = scale) -> np.ndarray:
            return drawn(model, [prompts[i] for i in which], [seed] * len(which), guidance=scale)

        heading = (
            f"guidance {scale:g}: {100 * rows[-1]['prompt_accuracy']['value']:.0f} % as asked, "
            f"diversity {rows[-1]['diversity']:.2f}"
        )
        parts.append(Drawing(SD, heading, tuple(prompts), tuple(prompts), (seed,) * len(prompts),
                             draw))  # fmt: skip
    curves = []
    for key, name in (("prompt_accuracy", "as asked"), ("pale_doctors", "pale doctors")):
        found = [row[key] for row in rows]
        curves.append(
            Series(name, SCALES, [f["value"] for f in found], [f["ci95"][0] for f in found],
                   [f["ci95"][1] for f in found])
        )  # fmt: skip
    curves.append(Series("diversity", SCALES, [row["diversity"] for row in rows]))
    curve = chart(curves, "What guidance gives and costs", "guidance scale", "share",
                  y_range=(0, 1))  # fmt: skip
    facts = {"n": n, "seed": seed, "open_prompt": OPEN, "scales": rows}
    return Experiment("Guidance: what it gives and what it costs", parts, facts, [curve])


def schedulers(door: Door, prompts: Sequence[str], n: int, seed: int) -> Experiment:
    """One network, many samplers: accuracy and seconds for few and many steps."""
    model, rows, parts = door.pipeline(SD), [], []
    _, said = asked_of(n, seed)
    texts, named = [one.text for one in said], [one.named for one in said]
    seeds = [seed + i for i in range(n)]
    for name in SAMPLERS:
        for steps in STEPS:
            schedule = sampler(name, dict(model.scheduler.config))
            began = time.perf_counter()
            pictures = drawn(model, texts, seeds, steps=steps, scheduler=schedule)
            seconds = (time.perf_counter() - began) / n
            read = door.judge.judge(pictures)
            rows.append(
                {
                    "sampler": name,
                    "steps": steps,
                    "prompt_accuracy": estimate(named_right(read, named), seed),
                    "seconds_a_picture": round(seconds, 4),
                }
            )

        def draw(which: np.ndarray, trace: Any, name: str = name) -> np.ndarray:
            config = dict(model.scheduler.config)
            return np.concatenate(
                [
                    drawn(model, [prompts[0]], [seed], steps=STEPS[i],
                          scheduler=sampler(name, config))
                    for i in which
                ]
            )  # fmt: skip

        labels = tuple(
            f"{r['steps']} steps: {100 * r['prompt_accuracy']['value']:.0f} % as asked"
            for r in rows[-len(STEPS) :]
        )
        parts.append(Drawing(SD, name, labels, (prompts[0],) * len(STEPS), (seed,) * len(STEPS),
                             draw))  # fmt: skip
    curves = [
        Series(name, STEPS, [r["prompt_accuracy"]["value"] for r in rows if r["sampler"] == name])
        for name in SAMPLERS
    ]
    curve = chart(curves, "What each sampler draws as asked", "steps",
                  "share of named factors that the judge reads", y_range=(0, 1))  # fmt: skip
    title = f"One network and one noise, {len(SAMPLERS)} samplers: {prompts[0]}"
    return Experiment(title, parts, {"n": n, "seed": seed, "samplers": rows}, [curve])
