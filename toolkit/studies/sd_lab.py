"""The Stable Diffusion laboratory: noise forward and back, and the text encoder layer by layer.

Each experiment is a function from a door to an `Experiment`; what leaves goes through the guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from toolkit.pipelines.batch import Trace, generators, noise
from toolkit.studies.charts import Series, chart
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Drawing, Experiment
from toolkit.studies.pictures import Frame, Strip
from toolkit.studies.samples import Sample
from toolkit.studies.sd_measures import asked_of, estimate, named_right
from toolkit.world import FACTORS, render_all

SD = "stable-diffusion"
TIMES = (0, 100, 250, 400, 550, 700, 850, 950, 999)
SHOWN = 8  # frames in a row


def signal_and_noise(clean: np.ndarray, noised: np.ndarray) -> tuple[float, float]:
    """How much of `clean` is in `noised` (a factor), and the variance of the rest.

    Least squares through the origin: for x_t = a x_0 + s e it finds a and s^2 from the arrays
    alone, whatever a schedule says.
    """
    x, y = clean.ravel().astype(float), noised.ravel().astype(float)
    factor = float(x @ y / (x @ x))
    return factor, float(((y - factor * x) ** 2).mean())


def noise_table(model: Any, pictures: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """The schedule's alpha_bar and signal-to-noise beside those measured in noised latents."""
    clean, rows = model.encode(pictures), []
    each = noise(tuple(clean.shape[1:]), generators([seed + i for i in range(len(pictures))]))
    for time in TIMES:
        noised = model.scheduler.add_noise(clean, each, torch.tensor([time]))
        factor, rest = signal_and_noise(clean.numpy(), noised.numpy())
        kept = float(model.scheduler.alphas_cumprod[time])
        rows.append(
            {
                "time": time,
                "alpha_bar": round(kept, 6),
                "alpha_bar_measured": round(factor**2, 6),
                "noise_measured": round(rest, 6),
                "snr": round(kept / (1 - kept), 6),
                "snr_measured": round(factor**2 / rest, 6),
            }
        )
    return rows


def noising(door: Door, n: int, seed: int) -> Experiment:
    """The forward process (Ho et al. 2020, eq. 4), against its schedule (zero terminal SNR)."""
    model = door.pipeline(SD)
    portraits, _ = asked_of(n, seed)
    pictures = render_all(portraits)
    rows = noise_table(model, pictures, seed)
    clean = model.encode(pictures)
    each = noise(tuple(clean.shape[1:]), generators([seed + i for i in range(n)]))
    named = [{f: t.level for f, t in p.truth().items() if t.counts} for p in portraits]
    for row in rows:
        noised = model.scheduler.add_noise(clean, each, torch.tensor([row["time"]]))
        read = door.judge.judge(model.decode(noised))
        row["factors_read"] = estimate(named_right(read, named), seed)

    def draw(which: np.ndarray, trace: Any) -> np.ndarray:
        levels = torch.tensor([TIMES[i] for i in which])
        one, its = clean[:1].expand(len(which), -1, -1, -1), each[:1].expand(len(which), -1, -1, -1)
        return model.decode(model.scheduler.add_noise(one, its, levels))

    labels = tuple(f"t = {r['time']}, signal {100 * r['alpha_bar']:.3g} %" for r in rows)
    parts = [
        Strip("a render", (Frame(pictures[0], "as the world draws it"),)),
        Drawing(SD, "its latents with more and more noise, decoded", labels,
                ("a portrait with noise",) * len(TIMES), (seed,) * len(TIMES), draw),
    ]  # fmt: skip
    levels = np.arange(0, TIMES[-2] + 1, 10)
    kept = model.scheduler.alphas_cumprod[levels].double()
    curve = chart(
        [
            Series("the schedule", levels.tolist(), (kept / (1 - kept)).tolist()),
            Series("measured", TIMES[:-1], [r["snr_measured"] for r in rows[:-1]], dots=True),
        ],
        "The noise is what the schedule says; at t = 999 no signal is left",
        "noise level t",
        "signal to noise, variances",
        log_y=True,
    )
    readable = [r["factors_read"] for r in rows]
    reading = chart(
        [Series("read by the judge", TIMES, [r["value"] for r in readable],
                [r["ci95"][0] for r in readable], [r["ci95"][1] for r in readable])],
        "How long the picture can be read", "noise level t", "share of factors read right",
        y_range=(0, 1),
    )  # fmt: skip
    title = "Forward: noise drowns a picture"
    return Experiment(title, parts, {"n": n, "seed": seed, "levels": rows}, [curve, reading])


def settled(levels: np.ndarray) -> np.ndarray:
    """(n,) the first of the steps (steps, n) from which the reading stays what it is at the end."""
    same = levels == levels[-1]
    stays = np.flip(np.logical_and.accumulate(np.flip(same, 0), 0), 0)
    return stays.argmax(0)


def _read_steps(door: Door, n: int, seed: int) -> tuple[list[int], dict[str, np.ndarray]]:
    """Noise levels, and for each factor what the judge reads in predicted pictures (steps, n)."""
    model, trace = door.pipeline(SD), Trace()
    _, said = asked_of(n, seed)
    read: dict[str, list[np.ndarray]] = {factor: [] for factor in FACTORS}
    for start in range(0, n, 24):
        texts = [one.text for one in said[start : start + 24]]
        model.generate(texts, [seed + start + i for i in range(len(texts))], trace=trace)
        assert trace.predicted is not None
        judged = door.judge.judge(trace.predicted.reshape(-1, *trace.predicted.shape[2:]))
        for factor in FACTORS:
            read[factor].append(judged.levels[factor].reshape(trace.predicted.shape[:2]))
    return trace.timesteps, {factor: np.concatenate(parts, 1) for factor, parts in read.items()}


def denoising(door: Door, prompts: Sequence[str], n: int, seed: int) -> Experiment:
    """The reverse process step by step, and when each factor is decided.

    A factor is settled at the first step from which the judge reads in the predicted clean picture
    what it will read at the end.
    """
    model = door.pipeline(SD)
    times, read = _read_steps(door, n, seed)
    facts = {"n": n, "seed": seed, "times": times, "settled": {}}
    curves = []
    for factor, levels in read.items():
        steps = settled(levels)
        agrees = (levels == levels[-1]).mean(1)
        facts["settled"][factor] = estimate([times[s] for s in steps], seed) | {
            "median": times[int(np.median(steps))],
            "agreement": [round(float(a), 4) for a in agrees],
        }
        curves.append(Series(factor.replace("_", " "), list(range(1, len(times) + 1)), agrees))
    some = np.linspace(0, len(times) - 1, SHOWN).round().astype(int)

    def steps_of(drawn: list[Sample]) -> list[Strip]:
        strips = []
        for one in drawn:
            if one.trace is None:
                strips.append(Strip(f"{one.prompt}: withheld", (Frame(None, one.reason),)))
                continue
            latents = torch.from_numpy(one.trace["latents"][some].astype(np.float32))
            labels = [f"step {s + 1}, t = {times[s]}" for s in some]
            strips += [
                Strip(f"{one.prompt}: the latents after a step, decoded",
                      tuple(Frame(p, t) for p, t in zip(model.decode(latents), labels,
                                                        strict=True))),
                Strip("and the clean picture foreseen at that step",
                      tuple(Frame(p) for p in one.trace["predicted"][some])),
            ]  # fmt: skip
        return strips

    def draw(rows: np.ndarray, trace: Any) -> np.ndarray:
        return model.generate([prompts[i] for i in rows], [seed] * len(rows), trace=trace).images

    texts = tuple(prompts)
    drawing = Drawing(SD, "step by step", texts, texts, (seed,) * len(texts), draw, traced=True,
                      then=steps_of)  # fmt: skip
    curve = chart(
        curves, "When a factor is decided: reading of the foreseen picture against the last",
        "step", "share of pictures that agree", y_range=(0, 1), size=(1000, 340),
    )  # fmt: skip
    return Experiment("Backward: a picture out of noise", [drawing], facts, [curve])


def layers(door: Door, prompts: Sequence[str], n: int, seed: int) -> Experiment:
    """The text encoder's layers, each handed to the U-Net (Diffusion Lens, Toker et al. 2024)."""
    model = door.pipeline(SD)
    depth = model.text.config.num_hidden_layers
    _, said = asked_of(n, seed)
    texts, named = [one.text for one in said], [one.named for one in said]
    each = noise((4, 16, 16), generators([seed + i for i in range(n)]))
    facts: dict[str, Any] = {"n": n, "seed": seed, "layers": {}}
    parts = []
    for layer in range(depth + 1):
        latents = [
            model.denoise(model.states(texts[i : i + 24], layer), each[i : i + 24])
            for i in range(0, n, 24)
        ]
        read = door.judge.judge(model.decode(torch.cat(latents)))
        found = facts["layers"][str(layer)] = estimate(named_right(read, named), seed)

        def draw(rows: np.ndarray, trace: Any, layer: int = layer) -> np.ndarray:
            start = noise((4, 16, 16), generators([seed] * len(rows)))
            return model.decode(
                model.denoise(model.states([prompts[i] for i in rows], layer), start)
            )

        heading = "words and places alone" if layer == 0 else f"after layer {layer} of {depth}"
        heading = f"{heading}: {100 * found['value']:.0f} % of what prompts name"
        parts.append(Drawing(SD, heading, tuple(prompts), tuple(prompts), (seed,) * len(prompts),
                             draw))  # fmt: skip
    values = list(facts["layers"].values())
    curve = chart(
        [Series("named factors drawn", list(range(depth + 1)), [v["value"] for v in values],
                [v["ci95"][0] for v in values], [v["ci95"][1] for v in values])],
        "How deep the text has to be read", "layers of the text encoder",
        "share of named factors that the judge reads", y_range=(0, 1),
    )  # fmt: skip
    return Experiment("The text encoder, layer by layer", parts, facts, [curve])
