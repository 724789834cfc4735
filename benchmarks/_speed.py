"""Speed, side by side: batches here, diffusers' own loop one prompt a call there.

In a process of its own with one thread, float32, the same weights, seeds and guidance. Seconds are
of processor time, so that other work on the machine counts for neither; the sides take turns in
every round, and a ratio is that of the medians, its interval over rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import spine
from benchmarks._library import Unclip, stable_diffusion
from benchmarks._measures import balanced, bootstrap
from benchmarks.rows import Row
from toolkit.world import FACTORS

SLOW = 50  # steps of the loop that our default sampler must match
LOST = 0.02  # judge accuracy that may be lost against it
BATCHES = {"stable-diffusion": (24, 8, 1), "unclip": (8, 1)}  # the first is held to the target


@dataclass(frozen=True)
class Size:
    """Rounds in which all take their turn, and prompts on which accuracies are compared."""

    rounds: int = 5
    prompts: int = 80
    largest: int = 24


FULL, QUICK = Size(), Size(rounds=2, prompts=6, largest=2)


def _sides(name: str) -> tuple[Any, Callable[[str, int, int], np.ndarray], int]:
    """Our pipeline, the library's picture (64, 64, 3) of a prompt, seed and steps; our steps."""
    from toolkit.pipelines import load_pipeline
    from toolkit.pipelines.stable_diffusion import GUIDANCE, RESCALE, STEPS
    from toolkit.pipelines.unclip import DECODER_GUIDANCE, DECODER_STEPS
    from toolkit.text import clean

    ours = load_pipeline(name)
    if name == "unclip":
        plain = Unclip(ours.folder)
        return (
            ours,
            lambda text, seed, steps: plain(text, seed, steps, DECODER_GUIDANCE)[0],
            DECODER_STEPS,
        )
    pipe = stable_diffusion(ours.folder)

    def picture(text: str, seed: int, steps: int) -> np.ndarray:
        out = pipe(
            clean(text), num_inference_steps=steps, guidance_scale=GUIDANCE,
            guidance_rescale=RESCALE, generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        return np.asarray(out.images[0])

    return ours, picture, STEPS


def _timed(work: Callable[[], Any], pictures: int = 1) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / pictures


def _rounds(
    name: str, texts: list[str], seeds: list[int], size: Size
) -> tuple[dict[str, np.ndarray], int, int]:
    """Seconds a picture of each side, a number a round; the largest difference; our steps."""
    ours, library, steps = _sides(name)
    batches = tuple(dict.fromkeys(min(n, size.largest) for n in BATCHES[name]))
    mine = ours.generate(texts[:2], seeds[:2]).images  # the first call makes kernels ready
    theirs = [library(text, seed, steps) for text, seed in zip(texts[:2], seeds[:2], strict=True)]
    apart = int(np.abs(mine.astype(int) - np.stack(theirs)).max())
    sides: dict[str, Callable[[int], float]] = {
        f"batch {n}": lambda i, n=n: _timed(lambda: ours.generate(texts[:n], seeds[:n]), n)
        for n in batches
    }
    for count in (steps, SLOW):
        sides[f"library {count}"] = lambda i, count=count: _timed(
            lambda: library(texts[i % len(texts)], seeds[i % len(texts)], count)
        )
    spent: dict[str, list[float]] = {side: [] for side in sides}
    for index in range(size.rounds):
        for side in (*list(sides)[index % len(sides) :], *list(sides)[: index % len(sides)]):
            again = 1 if side.startswith("batch") and side != "batch 1" else 2
            spent[side].append(float(np.mean([sides[side](index + k) for k in range(again)])))
    return {side: np.array(times) for side, times in spent.items()}, apart, steps


def _ratio(figure: str, case: str, slow: np.ndarray, fast: np.ndarray, target: str | None, seed):
    def of(rows: np.ndarray) -> float:
        return float(np.median(slow[rows]) / np.median(fast[rows]))

    n = len(slow)
    return Row(figure, case, "pellucid", of(np.arange(n)), target, n, bootstrap(n, of, seed))


def speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`same_steps_speed` and `matched_quality_speed` of both pipelines."""
    texts, _, _ = spine.prompts(seed, max(24, size.largest))
    seeds = [1000 * seed + i for i in range(len(texts))]
    for name, title in (("stable-diffusion", "Stable Diffusion"), ("unclip", "unCLIP")):
        spent, apart, steps = _rounds(name, texts, seeds, size)
        batches = [side for side in spent if side.startswith("batch")]
        target: str | None = "at least 2.5"
        rows = []
        for side in batches:
            rows.append(_ratio("same_steps_speed", f"{title}, {steps} steps, {side}",
                               spent[f"library {steps}"], spent[side], target, seed))  # fmt: skip
            target = None
        slow, case = spent[f"library {SLOW}"], f"{title}, {steps} steps against {SLOW}"
        rows.append(
            _ratio("matched_quality_speed", case, slow, spent[batches[0]], "at least 6", seed)
        )
        rows += [
            Row("seconds_a_picture", f"{title}, {side}", "diffusers" if "lib" in side else
                "pellucid", float(np.median(times)), None, len(times))
            for side, times in spent.items()
        ]  # fmt: skip
        rows.append(Row("same_steps_speed", f"{title}: largest difference of the pictures",
                        "pellucid", apart, "at most 1 of 255", 2))  # fmt: skip
        yield (
            rows,
            [
                {"figure": "seconds_a_picture", "case": f"{title}, {side}", "item": i, "seconds": s}
                for side, times in spent.items()
                for i, s in enumerate(times)
            ],
        )


def quality(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`matched_quality_accuracy`: what the default steps lose against 50, on the same seeds."""
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline

    texts, named, _ = spine.prompts(seed, size.prompts)
    seeds = [1000 * seed + i for i in range(len(texts))]
    asked = {f: np.array([names.get(f, "") for names in named]) for f in FACTORS}
    judge, n = load_judge("cnn"), len(texts)
    for name, title in (("stable-diffusion", "Stable Diffusion"), ("unclip", "unCLIP")):
        model, read = load_pipeline(name), {}
        for steps in (None, SLOW):
            extra = {} if steps is None else {"steps": steps}
            images = [
                model.generate(texts[i : i + 24], seeds[i : i + 24], **extra).images
                for i in range(0, n, 24)
            ]
            read[steps] = judge.judge(np.concatenate(images)).levels

        def mean(steps: int | None, chosen: np.ndarray, read=read) -> float:
            each = [balanced(asked[f], read[steps][f], chosen) for f in FACTORS]
            return float(np.nanmean(each))

        def lost(chosen: np.ndarray, mean=mean) -> float:
            return mean(SLOW, chosen) - mean(None, chosen)

        every = np.arange(n)
        rows = [
            Row("matched_quality_accuracy", f"{title}, {case}", "pellucid", mean(steps, every),
                None, n, bootstrap(n, lambda r, s=steps, m=mean: m(s, r), seed, 200))
            for steps, case in ((None, "default steps"), (SLOW, f"{SLOW} steps"))
        ]  # fmt: skip
        rows.append(Row("matched_quality_accuracy", f"{title}, lost against {SLOW} steps",
                        "pellucid", lost(every), f"at most {LOST}", n,
                        bootstrap(n, lost, seed, 200)))  # fmt: skip
        yield (
            rows,
            [
                {"figure": "matched_quality_accuracy", "pipeline": name, "item": i, "prompt": text}
                | {f"default_{f}": str(read[None][f][i]) for f in FACTORS}
                | {f"slow_{f}": str(read[SLOW][f][i]) for f in FACTORS}
                for i, text in enumerate(texts)
            ],
        )
