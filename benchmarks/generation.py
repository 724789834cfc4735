"""Generation's figures: prompts, priors, inversion, text diffs, pointing words, speed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import attention, spine
from benchmarks._alone import alone
from benchmarks._larger import larger
from benchmarks._measures import asked_matrix, bootstrap, exact_interval
from benchmarks._measures import factor_accuracies as accuracies
from benchmarks._parity import parity
from benchmarks._priors import best_prior, priors
from benchmarks._speed import FULL as FULL_SPEED
from benchmarks._speed import QUICK as QUICK_SPEED
from benchmarks._speed import quality
from benchmarks.rows import Row
from toolkit.world import FACTORS, Portrait, held_out, render_all, sample, visible_levels

ON = {
    "glasses": ("yes", "a person with no glasses", "a person with glasses"),
    "beard": ("yes", "a person with no beard", "a person with a beard"),
    "age": ("old", "a young person", "an old person"),
}
THETA = 0.9  # radians, around the mean of real embeddings: one angle for all three


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    prompts: int = 120
    pairs: int = 200
    invert: int = 16
    diff: int = 30


FULL, QUICK = Size(), Size(prompts=12, pairs=60, invert=4, diff=6)
# Phrases that no training caption has.
UNLIKE = (
    "{attire}, {expression}, {skin}-skinned, hair: {hair}, backdrop in {background}, {extras}",
    "against {background} stands a {skin} complexioned {attire}; {extras}; looks {expression}; "
    "the hair is {hair}",
    "imagine someone {expression} dressed as a {attire}: {extras}, {hair} hair, {skin} face, "
    "{background} behind",
)


def _unlike(portrait: Portrait, rng: np.random.Generator) -> tuple[str, dict[str, str]]:
    """A sentence in another manner and the levels it names."""
    shown = visible_levels(portrait)
    style, color = shown.get("hair_style"), shown.get("hair_color")
    named = {name: shown[name] for name in ("skin", "expression", "attire", "background")}
    extras = ["spectacles" if shown["glasses"] == "yes" else "without glasses"]
    extras.append("bearded" if shown["beard"] == "yes" else "without a beard")
    named |= {"glasses": shown["glasses"], "beard": shown["beard"]}
    if "age" in shown:
        extras.append("elderly" if shown["age"] == "old" else "young")
        named["age"] = shown["age"]
    words = [style] if style else []
    if style and style != "bald" and color:
        words = [style, color]
        named["hair_color"] = color
    if style:
        named["hair_style"] = style
    text = UNLIKE[int(rng.integers(len(UNLIKE)))].format(
        attire={"casual": "person in a sweater", "police": "police officer"}.get(
            named["attire"], named["attire"]
        ),
        hair=" ".join(words) if words else "hidden",
        extras=", ".join(extras),
        **{name: named[name] for name in ("skin", "expression", "background")},
    )
    return text, named


def prompts(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Both pipelines on usual prompts, held-out combinations and unlike phrasing.

    unCLIP with the prior that was best on development prompts of another seed.
    """
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline

    usual, named, _ = spine.prompts(seed, size.prompts)
    apart = [p for p in sample("test", 20 * size.prompts, seed + 1) if held_out(p)]
    rng = np.random.default_rng([seed, 8])
    from toolkit.world import describe

    combined = [
        describe(p, rng, factors=("hair_color", "attire", "background", "skin", "expression"))
        for p in apart[: size.prompts]
    ]
    unlike = [_unlike(p, rng) for p in sample("test", size.prompts, seed + 2)]
    sets = {
        "usual": (usual, named),
        "held-out combinations": ([c.text for c in combined], [c.named for c in combined]),
        "unlike phrasing": ([t for t, _ in unlike], [n for _, n in unlike]),
    }
    goals = {
        "stable-diffusion": ("sd_prompt_accuracy", (0.95, 0.85, 0.92, 0.90)),
        "unclip": ("unclip_prompt_accuracy", (0.92, 0.80, 0.88, 0.86)),
    }
    best, chosen, tried = best_prior(seed, size)
    yield chosen, tried
    for name, (figure, limits) in goals.items():
        pipeline, rows, items = load_pipeline(name, best), [], []
        for (case, (texts, asked_of)), limit in zip(
            sets.items(), (limits[0], limits[2], limits[3]), strict=True
        ):
            asked = {f: np.array([names.get(f, "") for names in asked_of]) for f in FACTORS}
            images = spine.in_batches(pipeline, texts, [1000 * seed + i for i in range(len(texts))])
            read = load_judge("cnn").judge(images).levels
            table = accuracies(asked, read, seed)
            value, n, interval = table["mean"]
            rows.append(Row(figure, case, "pellucid", value, f"at least {limit}", n, interval))
            if case == "usual":
                worst = min(FACTORS, key=lambda factor: table[factor][0])
                value, n, interval = table[worst]
                goal = f"at least {limits[1]}"
                rows.append(Row(figure, f"worst ({worst})", "pellucid", value, goal, n, interval))
            whole = [
                all(read[f][i] == level for f, level in names.items())
                for i, names in enumerate(asked_of)
            ]
            hits = int(np.sum(whole))
            rows.append(
                Row(figure, f"share all right, {case}", "pellucid", hits / len(whole), None,
                    len(whole), exact_interval(hits, len(whole)))
            )  # fmt: skip
            items += [
                {"figure": figure, "case": case, "item": i, "prompt": text, "all_right": whole[i]}
                | {f"read_{f}": str(read[f][i]) for f in FACTORS}
                for i, text in enumerate(texts)
            ]
        yield rows, items


def pictures(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`unclip_image_accuracy`: embed a portrait, decode it, read it."""
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline

    pipeline, portraits = load_pipeline("unclip"), sample("test", size.prompts, seed + 3)
    z = pipeline.clip.encode_image(render_all(portraits))
    images = np.concatenate(
        [
            pipeline.decode(z[i : i + 25], [seed + j for j in range(i, min(i + 25, len(z)))])
            for i in range(0, len(z), 25)
        ]
    )
    read = load_judge("cnn").judge(images).levels
    asked = {factor: asked_matrix(portraits, factor) for factor in FACTORS}
    table = accuracies(asked, read, seed)
    rows = spine._rows("unclip_image_accuracy", table, {"mean": "at least 0.92"})
    yield rows, spine._items("unclip_image_accuracy", asked, read)


def inversion(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Recovered noise of images that the decoder made; PSNR of the round trip on real renders."""
    import torch

    from toolkit.pipelines import Trace, load_pipeline
    from toolkit.studies.unclip_lab import small

    model, n = load_pipeline("unclip"), size.invert
    real = render_all(sample("test", n, seed + 5))
    z = model.clip.encode_image(real)
    start = torch.randn((n, 3, 32, 32), generator=torch.Generator().manual_seed(seed + 5))
    trace, steps = Trace(), 50
    model.decode(z, list(range(n)), start, trace, steps=steps, guidance=1.0, reversible=True)
    assert trace.latents is not None
    found = model.invert(torch.from_numpy(trace.latents[-1]), z, steps=steps)
    both = zip(found.flatten(1).numpy(), start.flatten(1).numpy(), strict=True)
    each = np.array([np.corrcoef(mine, true)[0, 1] for mine, true in both])
    rows = [
        Row("inversion_correlation", "images the decoder made", "pellucid", float(each.mean()),
            "at least 0.9", n, bootstrap(n, lambda r: float(each[r].mean()), seed))
    ]  # fmt: skip
    seen = small(real)
    found = model.invert(seen, z, steps=steps)
    model.decode(z, list(range(n)), found, trace, steps=steps, guidance=1.0, reversible=True)
    error = ((trace.latents[-1] - seen.numpy()) ** 2).mean((1, 2, 3))
    decibels = 10 * np.log10(4 / error)
    interval = bootstrap(n, lambda r: float(decibels[r].mean()), seed)
    rows.append(
        Row("inversion_psnr_db", "round trip of real renders, 32 px", "pellucid",
            float(decibels.mean()), None, n, interval)
    )  # fmt: skip
    yield (
        rows,
        [
            {
                "figure": "inversion_correlation",
                "item": i,
                "correlation": float(c),
                "psnr": float(d),
            }
            for i, (c, d) in enumerate(zip(each, decibels, strict=True))
        ],
    )


def text_diffs(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`text_diff_flip` and leakage: three binary factors, pictures whose target starts off."""
    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline
    from toolkit.studies.unclip_lab import text_diff

    model, judge = load_pipeline("unclip"), load_judge("cnn")
    mean = model.clip.encode_image(render_all(sample("probe", 400, seed))).mean(0)
    items = []
    for factor, (on, before, after) in ON.items():
        off = next(level for level in FACTORS[factor] if level != on)
        people = [replace(p, **{factor: off}) for p in sample("test", size.diff, seed + 6)]
        people = [p for p in people if p.truth()[factor].counts]
        z = model.clip.encode_image(render_all(people))
        said = model.clip.encode_text([before, after])
        seeds = list(range(len(people)))
        plain = judge.judge(model.decode(z, seeds)).levels
        for case, centre, theta in (("centred", mean, THETA), ("as in the paper", None, 0.4)):
            moved = np.stack([text_diff(one, said[0], said[1], theta, centre) for one in z])
            read = judge.judge(model.decode(moved, seeds)).levels
            items += [
                {
                    "figure": "text_diff_flip", "case": case, "factor": factor, "item": i,
                    "flipped": bool(read[factor][i] == on),
                    "leaked": float(
                        np.mean([read[f][i] != plain[f][i] for f in FACTORS if f != factor])
                    ),
                }
                for i in seeds
                if plain[factor][i] == off
            ]  # fmt: skip
    rows = []
    for case, goals in (
        ("centred", ("at least 0.7", "at most 0.15")),
        ("as in the paper", (None,) * 2),
    ):
        mine = [item for item in items if item["case"] == case]
        hits, leaks = sum(i["flipped"] for i in mine), np.array([i["leaked"] for i in mine])
        rows += [
            Row("text_diff_flip", case, "pellucid", hits / len(mine), goals[0], len(mine),
                exact_interval(hits, len(mine))),
            Row("text_diff_leakage", case, "pellucid", float(leaks.mean()), goals[1], len(mine),
                bootstrap(len(mine), lambda r, v=leaks: float(v[r].mean()), seed)),
        ]  # fmt: skip
    yield rows, items


def words(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`attention_pointing`."""
    yield from attention.attention(seed, attention.FULL if size is FULL else attention.QUICK)


def seconds(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`same_steps_speed` and `matched_quality_speed`, with the accuracy that speed costs."""
    yield alone("_speed", "speed", seed, size is not FULL)
    yield from quality(seed, QUICK_SPEED if size is not FULL else FULL_SPEED)


def models(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """The autoencoder and CLIP, as the spine measures them, held to this group's targets."""
    goals = {
        "vae_psnr_db": "at least 31",
        "vae_judge_drop": "at most 0.02",
        "clip_zero_shot_accuracy": "at least 0.95",
        "probe_accuracy": "at least 0.98",
    }
    for part in (spine.autoencoder, spine.clip):
        for rows, items in part(seed, spine.FULL if size is FULL else spine.QUICK):
            yield (
                [replace(row, target=goals[row.figure]) if row.target else row for row in rows],
                items,
            )


PARTS = (models, larger, prompts, pictures, priors, inversion, text_diffs, words, parity, seconds)


def run(seed: int, quick: bool, items: dict[str, list[dict]]) -> list[Row]:
    """Every part in turn; per-item rows go into `items` under the part's name."""
    rows: list[Row] = []
    for part in PARTS:
        began = time.monotonic()
        items[part.__name__] = []
        for found, details in part(seed, QUICK if quick else FULL):
            rows += found
            items[part.__name__] += details
        sys.stderr.write(f"{part.__name__}: {time.monotonic() - began:.0f} s\n")
    return rows
