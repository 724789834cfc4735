"""Speed, side by side: whole batches here, the library's own pipeline one prompt a call."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks import spine
from benchmarks._measures import factor_accuracies
from benchmarks.rows import Row
from toolkit.world import FACTORS

FAST, SLOW = 10, 50  # steps of our quick sampler and of the slow one it must match


def _library(weights):
    from diffusers import StableDiffusionPipeline

    made = StableDiffusionPipeline.from_pretrained(
        weights / "stable-diffusion", dtype=torch.float32
    )
    made.set_progress_bar_config(disable=True)
    return made


def speed(seed: int, prompts: int) -> Iterator[tuple[list[Row], list[dict]]]:
    """`same_steps_speed` and `matched_quality_speed` of Stable Diffusion, fp32 on this machine.

    The library draws a tenth of the prompts, in turns with ours, and its seconds are a picture's.
    """
    from toolkit.clip import WEIGHTS
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline
    from toolkit.pipelines.stable_diffusion import GUIDANCE, RESCALE, STEPS

    ours, theirs = load_pipeline("stable-diffusion"), _library(WEIGHTS)
    texts, named, _ = spine.prompts(seed, prompts)
    seeds = [1000 * seed + i for i in range(len(texts))]
    few = max(2, len(texts) // 10)

    def library(steps: int, index: int) -> float:
        began = time.perf_counter()
        theirs(
            texts[index], num_inference_steps=steps, guidance_scale=GUIDANCE,
            guidance_rescale=RESCALE, generator=torch.Generator().manual_seed(seeds[index]),
        )  # fmt: skip
        return time.perf_counter() - began

    def batches(steps: int) -> tuple[np.ndarray, float]:
        began = time.perf_counter()
        drawn = [
            ours.generate(texts[i : i + 24], seeds[i : i + 24], steps=steps).images
            for i in range(0, len(texts), 24)
        ]
        return np.concatenate(drawn), (time.perf_counter() - began) / len(texts)

    library(2, 0)  # the first call of either also makes its kernels ready
    ours.generate(texts[:2], seeds[:2], steps=2)
    one = [library(STEPS, i) for i in range(few // 2)]
    _, mine = batches(STEPS)
    one += [library(STEPS, i) for i in range(few // 2, few)]
    ratio = float(np.median(one)) / mine
    rows = [Row("same_steps_speed", f"Stable Diffusion, {STEPS} steps", "pellucid", ratio,
                "at least 2.5", len(texts))]  # fmt: skip
    slow_one = [library(SLOW, i) for i in range(few)]
    quick, seconds = batches(FAST)
    slow, _ = batches(SLOW)
    asked = {f: np.array([names.get(f, "") for names in named]) for f in FACTORS}
    judge = load_judge("cnn")
    right = {
        steps: factor_accuracies(asked, judge.judge(images).levels, seed)["mean"]
        for steps, images in ((FAST, quick), (SLOW, slow))
    }
    rows.append(Row("matched_quality_speed", f"Stable Diffusion, {FAST} steps", "pellucid",
                    float(np.median(slow_one)) / seconds, "at least 6", len(texts)))  # fmt: skip
    rows += [
        Row("matched_quality_accuracy", f"{steps} steps", "pellucid", value, None, n, interval)
        for steps, (value, n, interval) in right.items()
    ]
    yield rows, [{"figure": "same_steps_speed", "item": i, "seconds": s} for i, s in enumerate(one)]
