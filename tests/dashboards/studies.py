"""Studies in the real format: what laboratories, comparisons and trainings write, made up small.

The numbers go through the functions that write them for real; the pictures are world renders.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.dashboards.conftest import row
from toolkit.runs import RunWriter, write_json
from toolkit.studies.attention_lab import pointing_facts
from toolkit.studies.compare import rows_of
from toolkit.studies.compare_measures import Estimate, jackknife
from toolkit.studies.compare_page import write_pictures
from toolkit.studies.compare_systems import SYSTEMS
from toolkit.studies.compare_verdict import MEASURES, verdict
from toolkit.studies.pictures import Frame, Strip, save, sheet
from toolkit.studies.sd_measures import estimate, share
from toolkit.training.own import Request, watcher
from toolkit.world import render_all, sample

PROMPTS = ["an old chef", "a smiling doctor"]


def pointing_rows(n: int = 20) -> list[dict[str, Any]]:
    """The pointing game of `n` cases: glasses hit in 15 of 20, beards in every second."""
    return [
        {"element": element, "hit": i % 4 != 0 if element == "glasses" else i % 2 == 0,
         "place": 0.25, "word": 0.125}
        for element in ("glasses", "beard") for i in range(n)
    ]  # fmt: skip


@cache
def proof_facts() -> dict[str, Any]:
    """What `pellucid prove --purify` writes, of the decoder whose effects are known."""
    from probes import prove, purify
    from probes.analytic import AnalyticDecoder

    world = AnalyticDecoder.make()
    axis, leak = (world.readouts[f][0] for f in ("f6", "f5"))
    x, found = world.starts(48, 0), []
    direction = world.direction(axis + 0.6 * leak, "0", "f6")
    for _ in range(2):
        found.append(
            prove(direction, x, range(48), world.decode, world.judge, "f6", batch=10_000,
                  null_count=9, draws=200)
        )  # fmt: skip
        if len(found) == 1:
            others = {"f5": world.direction(leak - world.readouts["f5"][1], "0", "f5")}
            direction = purify(direction, found[0], others, world.starts(400, 1))
    said = [f"f6 for f6=0: {found[0].verdict}."]
    return {"n": 48, "seed": 0, "verdict": found[0].verdict, "said": said,
            "evidence": json.loads(json.dumps(found[0].to_json())),
            "purified": json.loads(json.dumps(found[1].to_json()))}  # fmt: skip


def facts() -> dict[str, dict[str, Any]]:
    """What each kind of experiment writes, small."""
    rng = np.random.default_rng(0)

    def some(mean: float = 0.8, n: int = 8) -> dict[str, Any]:
        return estimate(np.clip(rng.normal(mean, 0.1, n), 0, 1))

    base = {"n": 8, "seed": 0}
    steps = [{"agreement": [0.5, 0.75, 1.0], "median": 400} | some(level)
             for level in (0.9, 0.4)]  # fmt: skip
    condition = {"profession_answered": share(7, 8), "badge_word_answered": share(1, 8)}
    drawn = {"profession_drawn": share(6, 8), "badge_drawn": share(0, 8)}
    mark = {"train_seconds": 3.5, "distance": {"value": 9.5, "n": 8, "halves95": [7.0, 12.0]},
            "clear": some()}  # fmt: skip
    way = {"got_glasses": share(6, 8), "others_stayed": share(40, 60),
           "psnr_outside_db": estimate([30.0, 32.0, 34.0])}  # fmt: skip
    level = {"alpha_bar": 0.5, "alpha_bar_measured": 0.5, "noise_measured": 0.5, "snr": 1.0}
    return {
        "noising": base | {"levels": [
            {"time": time, "snr_measured": 1.1, "factors_read": some(mean)} | level
            for time, mean in ((0, 0.95), (250, 0.8), (400, 0.1), (999, 0.02))]},
        "denoising": base | {"times": [999, 500, 0],
                             "settled": {"hair_color": steps[0], "glasses": steps[1]}},
        "decoder": base | {"on_test_renders": {
            name: {"psnr_db": None if "itself" in name else estimate([15.0, 17.0]),
                   "cnn": some(), "synthesis": some()}
            for name in ("4 x 4 patches", "the decoder", "the render itself")}},
        "guidance": base | {"open_prompt": "a portrait of a doctor", "scales": [
            {"guidance": scale, "prompt_accuracy": some(), "diversity": 0.6,
             "pale_doctors": share(5, 8)} for scale in (1.0, 3.0, 9.0)]},
        "schedulers": base | {"samplers": [
            {"sampler": name, "steps": count, "prompt_accuracy": some(),
             "seconds_a_picture": 0.01 * count}
            for name in ("DDIM", "Heun") for count in (5, 50)]},
        "layers": base | {"layers": {str(depth): some() for depth in range(3)}},
        "attention": base | {"pointing": pointing_facts(pointing_rows())},
        "edit": base | {"strengths": [
            {"strength": s, "got_glasses": share(int(8 * s), 8), "others_stayed": share(40, 60)}
            for s in (0.2, 0.5, 1.0)]},
        "inpaint": base | {"inpainting": way, "autoencoder alone": way},
        "compression": base | {"steps": 20, "factors": {
            f: {"marks": {"5": mark, "20": mark | {"distance": {
                "value": float(f), "n": 8, "halves95": None}}}} for f in ("1", "4")}},
        "badge": base | {
            "clip": {"badge": {"without a badge": condition, "with a badge": condition}},
            "decoder": {"without a badge": drawn, "with a badge": drawn}},
        "prove": proof_facts(),
        "memorisation": base | {
            "said": ["unCLIP: the texture came back in 100% of those repeated 128 times."],
            "systems": {"unclip": {"copies": [
                {"repeats": at, "came_back": share(k, 8), "called_copies": share(k, 8)}
                for at, k in ((4, 0), (128, 8))
            ]}},
        },
    }  # fmt: skip


def write_sheet(path: Path, kind: str, command: str, config: dict, blocked: int = 0) -> Path:
    """A laboratory run: a sheet, its numbers if the kind has some, its samples."""
    import pandas as pd

    from dashboards.frames import png

    people = sample("test", 4, seed=3)
    images = render_all(people)
    with RunWriter(path, command, {"kind": kind} | config) as run:
        strip = Strip(
            "a row", tuple(Frame(image, f"picture {i}") for i, image in enumerate(images))
        )
        save(sheet([strip], kind), run.file(f"laboratory/{kind}.png"))
        if found := facts().get(kind):
            write_json(run.file(f"laboratory/{kind}.json"), found)
        rows = []
        for i, (person, image) in enumerate(zip(people, images, strict=True)):
            rows.append(row(f"un-{i}", "unclip", "laboratory", "a person with glasses",
                            None if i < blocked else person, seed=5))  # fmt: skip
            if i >= blocked:
                run.file(f"images/un-{i}.png").write_bytes(png(image))
        pd.DataFrame(rows).to_parquet(run.file("samples.parquet"), index=False)
    return path


def table() -> dict[str, dict[str, Estimate]]:
    """Estimates of every measure over eight prompts; the changed ones are twice as fast."""
    rng, units = np.random.default_rng(1), np.arange(8)
    found: dict[str, dict[str, Estimate]] = {}
    for measure in MEASURES:
        found[measure.key] = {}
        for one in SYSTEMS:
            noise = 0.5 + 0.01 * rng.standard_normal(8)
            noise = noise * (0.5 if measure.key == "seconds" and one.base else 1.0)
            found[measure.key][one.key] = (
                Estimate(3.0, exact=True) if measure.key in ("parameters", "operations")
                else jackknife(lambda rows, v=noise: float(v[rows].mean()), units, range(8))
            )  # fmt: skip
    found["diversity"]["real"] = found["diversity"]["sd"]
    return found


def write_comparison(path: Path) -> Path:
    """A run of `pellucid compare` with two prompts and a seed each."""
    import pandas as pd

    from dashboards.frames import png
    from toolkit.studies.compare import Drawn

    people, each = sample("test", 2, seed=4), table()
    images = render_all(people)
    rows = rows_of(each, SYSTEMS)
    drawn = Drawn(images, np.array([0, 1]), np.array([0, 0]), [])
    known = {one.key: drawn for one in SYSTEMS} | {"real": drawn}
    with RunWriter(path, "pellucid compare", {"prompts": PROMPTS, "count": 2, "seed": 3}) as run:
        write_json(run.file("compare.json"), {
            "prompts": PROMPTS, "count": 2, "seed": 3, "units": "seeds",
            "systems": [{"key": s.key, "title": s.title, "base": s.base, "meant_for": s.meant_for}
                        for s in SYSTEMS],
            "measures": [vars(one) for one in MEASURES], "table": rows,
            "verdict": verdict(each, SYSTEMS),
        })  # fmt: skip
        write_pictures(run, rows, SYSTEMS, PROMPTS, known)
        samples, points = [], [("real-0", "real", 0.0, 0.0)]
        for s in SYSTEMS:
            for i, (person, image) in enumerate(zip(people, images, strict=True)):
                name = f"{s.key}-{i}"
                samples.append(row(name, s.pipeline, f"compare {s.key}", PROMPTS[i], person))
                run.file(f"images/{name}.png").write_bytes(png(image))
                points.append((name, s.pipeline, float(i), float(len(points))))
        pd.DataFrame(samples).to_parquet(run.file("samples.parquet"), index=False)
        cloud = pd.DataFrame(points, columns=["id", "kind", "pca1", "pca2"])
        cloud = cloud.assign(umap1=float("nan"), umap2=float("nan"))
        cloud.to_parquet(run.file("embeddings/map.parquet"), index=False)
    return path


def write_training(out: Path, losses: tuple[float, ...], done: bool) -> Path:
    """A training as `pellucid train --data` leaves it: held-out `losses` at steps 10, 20, ..."""
    work = out / "training" if done else out.with_name(f"{out.name}.training")
    (work / "samples").mkdir(parents=True)
    grid = sheet([Strip("own pictures", (Frame(render_all(sample("test", 1, 0))[0]),))])
    given = iter(losses)
    watch = watcher(work, lambda model: next(given), lambda model: grid, "U-Net: loss")
    curve: list[tuple[int, float, float]] = []
    for number, loss in enumerate(losses, start=1):
        curve.append((10 * number, float(number), loss / 2))
        watch(10 * number, torch.nn.Linear(1, 1), curve)
    request = asdict(Request("unet", "my-pictures", steps=10 * len(losses)))
    name = "training.json" if done else "request.json"
    write_json(work / name, json.loads(json.dumps(request)) | {"pictures": 40, "held_out": 4})
    return out
