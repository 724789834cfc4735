"""The spine's figures: judges, autoencoder, CLIP, both pipelines, steering, marks, the demo."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks._measures import (
    asked_matrix,
    balanced,
    bootstrap,
    exact_interval,
    factor_accuracies,
)
from benchmarks.rows import Row
from toolkit.world import (
    FACTORS,
    NOTHING,
    Portrait,
    describe,
    factor_prompts,
    render_all,
    sample,
)

BINARY = {"glasses": "yes", "beard": "yes", "age": "old"}
STEER_STRENGTH = 2.5  # sigmas: one strength for all three factors


@dataclass(frozen=True)
class Size:
    """How many items each figure is measured on."""

    prompts: int = 200
    renders: int = 300
    synthesis: int = 120
    probe: int = 3000
    steer: int = 40
    marks: int = 200
    unmarked: int = 3000


FULL = Size()
QUICK = Size(prompts=16, renders=60, synthesis=8, probe=600, steer=8, marks=12, unmarked=120)


def _rows(figure: str, table: dict, targets: dict[str, str]) -> list[Row]:
    rows = [
        Row(figure, case, "pellucid", value, targets.get(case), n, interval)
        for case, (value, n, interval) in table.items()
    ]
    worst = min(FACTORS, key=lambda name: table[name][0])
    if "worst" in targets:
        value, n, interval = table[worst]
        rows.append(
            Row(figure, f"worst ({worst})", "pellucid", value, targets["worst"], n, interval)
        )
    return rows


def _items(figure: str, asked: dict, read: dict, extra: list[dict] | None = None) -> list[dict]:
    n = len(next(iter(asked.values())))
    return [
        {"figure": figure, "item": i}
        | (extra[i] if extra else {})
        | {f"asked_{f}": asked[f][i] for f in asked}
        | {f"read_{f}": str(read[f][i]) for f in asked}
        for i in range(n)
    ]


def judges(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Accuracy of both judges on test renders."""
    from toolkit.judges import load_judge

    for name, n, target in (
        ("cnn", size.renders, "at least 0.98"),
        ("synthesis", size.synthesis, "at least 0.95"),
    ):
        portraits = sample("test", n, seed)
        read = load_judge(name).judge(render_all(portraits)).levels
        asked = {factor: asked_matrix(portraits, factor) for factor in FACTORS}
        table = factor_accuracies(asked, read, seed)
        rows = [
            replace(row, case=f"{name} {row.case}")
            for row in _rows("judge_accuracy", table, {"mean": target})
        ]
        yield rows, _items(f"judge_accuracy {name}", asked, read)


def autoencoder(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Reconstruction PSNR, and what the judge loses when it reads reconstructions."""
    import torch

    from toolkit.judges import load_judge
    from toolkit.pipelines import load_pipeline
    from toolkit.training.data import to_pictures, to_tensor

    portraits = sample("test", size.renders, seed)
    pictures, vae = render_all(portraits), load_pipeline("stable-diffusion").vae
    with torch.no_grad():
        again = np.concatenate(
            [
                to_pictures(vae.decode(vae.encode(to_tensor(part)).latent_dist.mean).sample)
                for part in np.array_split(pictures, max(1, len(pictures) // 50))
            ]
        )
    error = ((again.astype(float) - pictures) ** 2).mean((1, 2, 3))
    decibels = 10 * np.log10(255**2 / np.maximum(error, 1e-9))
    interval = bootstrap(len(decibels), lambda rows: float(decibels[rows].mean()), seed)
    rows = [
        Row(
            "vae_psnr_db",
            "test portraits",
            "pellucid",
            float(decibels.mean()),
            "at least 27",
            len(decibels),
            interval,
        )
    ]
    judge = load_judge("cnn")
    on_renders, on_copies = judge.judge(pictures).levels, judge.judge(again).levels
    asked = {factor: asked_matrix(portraits, factor) for factor in FACTORS}

    def drop(factor: str, chosen: np.ndarray) -> float:
        return balanced(asked[factor], on_renders[factor], chosen) - balanced(
            asked[factor], on_copies[factor], chosen
        )

    everything = np.arange(len(portraits))
    worst = max(FACTORS, key=lambda factor: drop(factor, everything))
    spread = bootstrap(len(portraits), lambda chosen: drop(worst, chosen), seed)
    rows.append(
        Row(
            "vae_judge_drop",
            f"worst ({worst})",
            "pellucid",
            drop(worst, everything),
            "at most 0.03",
            len(portraits),
            spread,
        )
    )
    items = [{"figure": "vae_psnr_db", "item": i, "psnr": float(v)} for i, v in enumerate(decibels)]
    yield rows, items


def clip(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Zero-shot reading of captioned factors, and linear probes on image embeddings."""
    from probes import LinearDirections, Space
    from toolkit.clip import load_clip

    model = load_clip()
    portraits = sample("test", size.renders, seed)
    images = model.encode_image(render_all(portraits))
    asked = {factor: asked_matrix(portraits, factor) for factor in FACTORS}
    read = {}
    for factor, levels in FACTORS.items():
        means = np.stack(
            [model.encode_text(factor_prompts(factor, level)).mean(0) for level in levels]
        )
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        read[factor] = np.array(levels)[(images @ means.T).argmax(1)]
    table = factor_accuracies(asked, read, seed)
    yield (
        _rows("clip_zero_shot_accuracy", table, {"mean": "at least 0.85"}),
        _items("clip_zero_shot_accuracy", asked, read),
    )
    training = sample("probe", size.probe, seed)
    vectors = model.encode_image(render_all(training))
    labels = {factor: asked_matrix(training, factor) for factor in FACTORS}
    masked = {factor: [level or None for level in column] for factor, column in labels.items()}
    probes = LinearDirections(Space(model.hash, "image_embedding"), random_state=seed).fit(
        vectors, masked
    )
    read = probes.predict(images)
    table = factor_accuracies(asked, read, seed)
    yield (
        _rows("probe_accuracy", table, {"mean": "at least 0.93"}),
        _items("probe_accuracy", asked, read),
    )


def prompts(seed: int, n: int) -> tuple[list[str], list[dict[str, str]], list[Portrait]]:
    """`n` test captions that name at least four visible factors, and what they name."""
    portraits = sample("test", n, seed)
    captions = [
        describe(portrait, np.random.default_rng([seed, 4, index]), at_least=4)
        for index, portrait in enumerate(portraits)
    ]
    return [c.text for c in captions], [c.named for c in captions], portraits


def in_batches(pipeline, texts: list[str], seeds: list[int], size: int = 25) -> np.ndarray:
    """Draw many pictures, some at a time; outside the guard, since nothing leaves the benchmark."""
    return np.concatenate(
        [
            pipeline.generate(texts[i : i + size], seeds[i : i + size]).images
            for i in range(0, len(texts), size)
        ]
    )


def pipelines(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Prompt accuracy by the CNN judge, and how often the two judges agree on these pictures."""
    from toolkit.judges import UNCLEAR, agreement, load_judge
    from toolkit.pipelines import load_pipeline

    texts, named, _ = prompts(seed, size.prompts)
    asked = {factor: np.array([names.get(factor, "") for names in named]) for factor in FACTORS}
    targets = {
        "stable-diffusion": (
            "sd_prompt_accuracy",
            {"mean": "at least 0.85", "worst": "at least 0.65"},
        ),
        "unclip": ("unclip_prompt_accuracy", {"mean": "at least 0.78", "worst": "at least 0.55"}),
    }
    some = []
    for name, (figure, goals) in targets.items():
        images = in_batches(
            load_pipeline(name), texts, [seed * 1000 + i for i in range(len(texts))]
        )
        some.append(images[: size.synthesis // 2])
        read = load_judge("cnn").judge(images).levels
        facts = [{"prompt": text} for text in texts]
        yield (
            _rows(figure, factor_accuracies(asked, read, seed), goals),
            _items(figure, asked, read, facts),
        )
    images = np.concatenate(some)
    first, second = load_judge("cnn").judge(images), load_judge("synthesis").judge(images)
    share = agreement(first, second)
    one = np.stack([first.levels[f] for f in FACTORS], 1)
    two = np.stack([second.levels[f] for f in FACTORS], 1)
    both, same = (one != UNCLEAR) & (two != UNCLEAR), one == two
    interval = bootstrap(
        len(one), lambda rows: float((same & both)[rows].sum() / both[rows].sum()), seed
    )
    rows = [
        Row(
            "judge_agreement",
            "generated images",
            "pellucid",
            share,
            "at least 0.93",
            len(images),
            interval,
        ),
        Row("judge_agreement", "share that both read", "pellucid", float(both.mean()), None,
            len(images)),
    ]  # fmt: skip
    yield rows, _items("judge_agreement", first.levels, second.levels)


def steering(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Flips at one strength: images whose target starts off, along the direction and at random."""
    from probes import LinearDirections, Space, random_direction
    from toolkit.clip import load_clip
    from toolkit.judges import load_judge
    from toolkit.pipelines import Edit, load_pipeline

    model, pipeline, judge = load_clip(), load_pipeline("unclip"), load_judge("cnn")
    training = sample("probe", size.probe, seed)
    vectors = model.encode_image(render_all(training))
    masked = {f: [level or None for level in asked_matrix(training, f)] for f in BINARY}
    space = Space(model.hash, "image_embedding")
    probes = LinearDirections(space, random_state=seed).fit(vectors, masked)
    rows, items = [], []
    for factor, on in BINARY.items():
        off = next(level for level in FACTORS[factor] if level != on)
        portraits = [
            replace(p, **{factor: off}) for p in sample("test", 2 * size.steer, seed, NOTHING)
        ]
        rng = np.random.default_rng([seed, 5])
        others = tuple(name for name in FACTORS if name != factor)
        texts = [
            describe(p, rng, factors=(factor, *rng.permutation(others)[:4])).text for p in portraits
        ]
        seeds = [seed * 1000 + i for i in range(len(texts))]
        before = judge.judge(in_batches(pipeline, texts, seeds)).levels[factor]
        start = np.flatnonzero(before == off)[: size.steer]
        direction = probes.directions_[factor]
        for case, chosen in (
            ("direction", direction),
            ("random", random_direction(direction, seed)),
        ):
            after = judge.judge(
                pipeline.generate(
                    [texts[i] for i in start],
                    [seeds[i] for i in start],
                    [Edit(chosen, STEER_STRENGTH)],
                ).images
            ).levels[factor]
            hits, n = int((after == on).sum()), len(start)
            target = "at least 0.7" if case == "direction" else "under 0.15"
            rows.append(
                Row(
                    "steer_flip",
                    f"{case} {factor}",
                    "pellucid",
                    hits / max(n, 1),
                    target,
                    n,
                    exact_interval(hits, n),
                )
            )
            items += [
                {
                    "figure": "steer_flip",
                    "item": int(i),
                    "case": case,
                    "factor": factor,
                    "after": str(level),
                }
                for i, level in zip(start, after, strict=True)
            ]
    for case, target in (("direction", "at least 0.7"), ("random", "under 0.15")):
        mine = [item for item in items if item["case"] == case]
        hits = sum(item["after"] == BINARY[item["factor"]] for item in mine)
        interval = exact_interval(hits, len(mine))
        rows.insert(
            0, Row("steer_flip", case, "pellucid", hits / len(mine), target, len(mine), interval)
        )
    yield rows, items


def marks(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """PSNR and recall of the watermark, and false positives on renders that carry none."""
    import io

    from PIL import Image
    from scipy.stats import binomtest

    from safety import Mark

    rng = np.random.default_rng([seed, 6])
    pictures = render_all(sample("test", size.marks, seed))
    mark = Mark(rng.bytes(32))
    payloads = rng.integers(1 << 32, size=len(pictures)).tolist()
    marked = np.stack([mark.embed(p, n) for p, n in zip(pictures, payloads, strict=True)])
    error = ((marked.astype(float) - pictures) ** 2).mean((1, 2, 3))
    decibels = 10 * np.log10(255**2 / np.maximum(error, 1e-9))
    interval = bootstrap(len(decibels), lambda rows: float(decibels[rows].mean()), seed)
    rows = [
        Row(
            "watermark_psnr_db",
            "mean",
            "pellucid",
            float(decibels.mean()),
            "at least 38",
            len(decibels),
            interval,
        ),
        Row("watermark_psnr_db", "worst", "pellucid", float(decibels.min()), None, len(decibels)),
    ]
    items = [
        {"figure": "watermark_psnr_db", "item": i, "psnr": float(v)} for i, v in enumerate(decibels)
    ]

    def through(picture: np.ndarray, **settings) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, **settings)
        return np.asarray(Image.open(file).convert("RGB"))

    for case, settings in (
        ("PNG", {"format": "PNG"}),
        ("JPEG 90", {"format": "JPEG", "quality": 90}),
    ):
        found = [mark.detect(through(picture, **settings)) for picture in marked]
        good = [f.p_value < 1e-6 and f.payload == n for f, n in zip(found, payloads, strict=True)]
        hits = int(np.sum(good))
        rows.append(
            Row(
                "watermark_recall",
                case,
                "pellucid",
                hits / len(good),
                "at least 0.99",
                len(good),
                exact_interval(hits, len(good)),
            )
        )
        items += [
            {
                "figure": "watermark_recall",
                "case": case,
                "item": i,
                "p_value": f.p_value,
                "payload_right": f.payload == n,
            }
            for i, (f, n) in enumerate(zip(found, payloads, strict=True))
        ]
    plain, tests = render_all(sample("test", size.unmarked, seed + 1)), []
    fixed = [Mark(rng.bytes(32)) for _ in range(20)]
    for case in ("20 fixed keys", "random keys"):
        chosen = [
            fixed[i % 20] if case == "20 fixed keys" else Mark(rng.bytes(32))
            for i in range(len(plain))
        ]
        chances = np.array([m.detect(p).p_value for m, p in zip(chosen, plain, strict=True)])
        for nominal in (0.1, 0.01, 0.001):
            hits = int((chances <= nominal).sum())
            test = binomtest(hits, len(chances), nominal).pvalue
            tests.append(test)
            rows.append(
                Row(
                    "watermark_fpr", f"{case} at {nominal:g}", "pellucid", hits / len(chances),
                    f"exact test does not reject {nominal:g} (p = {test:.3g})",
                    len(chances), exact_interval(hits, len(chances)),
                )
            )  # fmt: skip
            items.append(
                {
                    "figure": "watermark_fpr",
                    "case": case,
                    "nominal": nominal,
                    "hits": hits,
                    "p": test,
                }
            )
    # A perfect detector fails one of six tests at 0.05 on every fourth seed: Holm's correction.
    smallest = min(1.0, len(tests) * min(tests))
    rows.append(
        Row("watermark_fpr", "smallest p of the six exact tests, Holm", "pellucid", smallest,
            "at least 0.05", len(plain))
    )  # fmt: skip
    yield rows, items


def invariance(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """The largest pixel difference of a picture drawn alone and in a batch of eight."""
    from toolkit.pipelines import PIPELINES, load_pipeline

    texts, _, _ = prompts(seed, 8)
    rows = []
    for name in PIPELINES:
        pipeline, seeds = load_pipeline(name), [seed + i for i in range(8)]
        together = pipeline.generate(texts, seeds).images.astype(int)
        alone = [pipeline.generate([texts[i]], [seeds[i]]).images[0].astype(int) for i in (0, 5)]
        worst = max(
            int(np.abs(together[i] - one).max()) for i, one in zip((0, 5), alone, strict=True)
        )
        rows.append(Row("batch_invariance", name, "pellucid", worst, "at most 2", 2, None))
    yield rows, []


def demo(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Seconds of `pellucid demo`, models and dependencies being there."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "toolkit",
                "demo",
                "--out",
                str(Path(folder) / "demo"),
                "--seed",
                str(seed),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"the demo failed: {done.stderr.strip().splitlines()[-1:]}")
    yield [Row("demo_seconds", "pellucid demo", "pellucid", seconds, "at most 240", 1, None)], []


PARTS = (judges, autoencoder, clip, pipelines, steering, marks, invariance, demo)


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
