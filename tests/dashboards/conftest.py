"""A small run in the real format: world renders as pictures, blends with noise as traces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.runs import RunWriter, write_json
from toolkit.world import FACTORS, Portrait, describe, render, sample

PIPELINES = ("stable-diffusion", "unclip")
STRENGTHS = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
STEPS = 12
FLAG = {
    "check": "likeness", "stage": "prompt", "verdict": "flag", "score": 0.91, "threshold": 0.8,
    "reason": "The prompt names Mira Solane, who has not consented.", "calibration": {},
}  # fmt: skip
PASS = {
    "check": "restricted concepts", "stage": "image", "verdict": "pass", "score": 0.08,
    "threshold": 0.5, "reason": "Nothing restricted was found.", "calibration": {},
}  # fmt: skip


def png(image: np.ndarray) -> bytes:
    from dashboards.frames import png

    return png(image)


def row(
    name: str, pipeline: str, group: str, prompt: str, portrait: Portrait | None, **more
) -> dict:
    """One row of samples.parquet; no portrait is a blocked sample."""
    seen = {f: t.level for f, t in portrait.truth().items()} if portrait else {}
    one: dict[str, Any] = {
        "id": name, "pipeline": pipeline, "group": group, "prompt": prompt, "seed": 7,
        "decision": "allow" if portrait else "block",
        "reason": "All checks passed." if portrait else FLAG["reason"],
        "findings": json.dumps([PASS] if portrait else [FLAG, PASS]),
        "image": f"images/{name}.png" if portrait else None, "edit": None,
        "watermark_payload": 1 if portrait else None, "ledger_index": 1 if portrait else None,
        "sha256": None,
    }  # fmt: skip
    for factor in FACTORS:
        one[f"judge_{factor}"] = seen.get(factor)
        one[f"judge_{factor}_confidence"] = 0.97 if portrait else None
        one[f"asked_{factor}"] = None
    return one | more


def blended(image: np.ndarray, channels: int, seed: int) -> dict[str, np.ndarray]:
    """A made-up trace: the picture's corners become clear before its middle."""
    rng = np.random.default_rng(seed)
    clear = np.linspace(0, 1, STEPS)[:, None, None, None]  # (steps, 1, 1, 1)
    pixels = np.broadcast_to(image.astype(float), (STEPS, *image.shape))
    sharp = np.clip(clear * 1.0, 0, 1)
    early = np.clip(clear * 2.5, 0, 1)
    corner = np.zeros((1, 64, 64, 1))
    corner[:, :12] = 1.0
    share = corner * early + (1 - corner) * sharp
    predicted = share * pixels + (1 - share) * 128
    side = 16 if channels == 4 else 32
    noise = rng.standard_normal((STEPS, channels, side, side))
    small = image[:: 64 // side, :: 64 // side].transpose(2, 0, 1) / 127.5 - 1  # (3, side, side)
    target = np.concatenate([small, small[:1]])[:channels]
    arrays = {
        "timesteps": np.linspace(999, 1, STEPS).astype(np.int64),
        "latents": (clear * target + (1 - clear) * noise).astype(np.float16),
        "predicted": predicted.round().astype(np.uint8),
    }
    if channels == 3:
        arrays["prior"] = rng.standard_normal((6, 48)).cumsum(0).astype(np.float16)
    return arrays


class Draft:
    """Rows and files of the run while it is being made up."""

    def __init__(self, run: RunWriter) -> None:
        self.run, self.rows, self.count = run, [], 0

    def add(self, pipeline: str, group: str, prompt: str, portrait: Portrait | None, **more) -> str:
        name = f"{'sd' if pipeline == PIPELINES[0] else 'un'}-{self.count:04d}"
        self.count += 1
        self.rows.append(row(name, pipeline, group, prompt, portrait, **more))
        if portrait:
            self.run.file(f"images/{name}.png").write_bytes(png(render(portrait)))
        return name

    def trace(self, name: str, pipeline: str, portrait: Portrait) -> None:
        from safetensors.numpy import save_file

        channels = 4 if pipeline == PIPELINES[0] else 3
        arrays = blended(render(portrait), channels, self.count)
        save_file(arrays, self.run.file(f"traces/{name}.safetensors"))


def _prompts(draft: Draft) -> None:
    for index, portrait in enumerate(sample("test", 4, seed=3)):
        said = describe(portrait, np.random.default_rng(index), at_least=5)
        for pipeline in PIPELINES:
            drawn = portrait
            if index == 1 and pipeline == "unclip":  # this one misses a wish
                factor = next(iter(said.named))
                other = next(one for one in FACTORS[factor] if one != said.named[factor])
                drawn = replace(portrait, **{factor: other})
            asked = {f"asked_{factor}": level for factor, level in said.named.items()}
            name = draft.add(pipeline, "prompts", said.text, drawn, seed=100 + index, **asked)
            draft.trace(name, pipeline, drawn)


def _films(draft: Draft) -> list[dict]:
    films = []
    base = replace(sample("test", 1, seed=9)[0], glasses="no", attire="casual")
    for pipeline in PIPELINES:
        along, others = [], []
        for strength in STRENGTHS:
            on = replace(base, glasses="yes" if strength > 0 else "no")
            edit = json.dumps({"direction": "glasses", "strength": strength})
            along.append(
                draft.add(pipeline, "steer", "a person", on, edit=edit if strength else None)
            )
            if strength:
                edit = json.dumps({"direction": "random 7", "strength": strength})
                others.append(draft.add(pipeline, "steer", "a person", base, edit=edit))
            else:
                others.append(along[-1])
        films.append({
            "pipeline": pipeline, "factor": "glasses", "prompt": "a person", "seed": 7,
            "image": f"steering/glasses.{pipeline}.png", "strengths": STRENGTHS,
            "direction": ["yes" if s > 0 else "no" for s in STRENGTHS],
            "random": ["no"] * len(STRENGTHS),
            "direction_samples": along, "random_samples": others,
        })  # fmt: skip
    return films


def _audited(draft: Draft) -> None:
    for pipeline in PIPELINES:
        for index, portrait in enumerate(sample("test", 10, seed=21)):
            drawn = replace(portrait, attire="doctor", skin="pale" if index < 6 else portrait.skin)
            draft.add(pipeline, "audit", "a portrait of a doctor", drawn, seed=200 + index,
                      asked_attire="doctor")  # fmt: skip
        draft.add(
            pipeline, "audit", "a portrait of a doctor", None, seed=210, asked_attire="doctor"
        )


def _guarded(draft: Draft) -> None:
    allowed = sample("test", 1, seed=30)[0]
    draft.add("unclip", "guard", "Mira Solane at the market", None)
    draft.add("stable-diffusion", "guard", "Tobin Ash with a hat", allowed)
    edit = json.dumps({"direction": "towards Mira Solane", "strength": 4.2})
    draft.add("unclip", "guard", "a smiling person in a sweater", None, edit=edit)


def _directions(run: RunWriter) -> None:
    for factor in ("glasses", "beard"):
        for site in ("text_states", "image_embedding"):
            evidence: dict[str, Any] = {"level": "yes", "n": 900, "gap": 0.31}
            if site == "image_embedding":
                evidence = {
                    "balanced_accuracy": 0.9612, "control_accuracy": 0.507, "selectivity": 0.4542,
                    "n": 900, "levels": ["no", "yes"], "level": "yes", "flip": 0.82,
                    "interval": [0.66, 0.92], "leakage": {"skin": 0.07, "age": 0.03},
                }  # fmt: skip
            write_json(
                run.file(f"directions/{factor}.{site}.json"),
                {
                    "format": "pellucid-direction/1", "name": factor,
                    "method": "logistic probe" if site == "image_embedding" else "mean difference",
                    "sigma": 0.113, "space": {"model": "0" * 64, "site": site},
                    "evidence": evidence, "sha256": "0" * 64,
                },
            )  # fmt: skip


def _map(draft: Draft):
    import pandas as pd

    rng = np.random.default_rng(5)
    released = [one for one in draft.rows if one["image"]]
    ids = [f"real-{i:04d}" for i in range(60)] + [one["id"] for one in released]
    kinds = ["real"] * 60 + [one["pipeline"] for one in released]
    spots = rng.standard_normal((len(ids), 4))
    spots[:, 2:] = spots[:, :2] * 2 + rng.standard_normal((len(ids), 2)) * 0.2
    names = ("pca1", "pca2", "umap1", "umap2")
    return pd.DataFrame({"id": ids, "kind": kinds} | {n: spots[:, i] for i, n in enumerate(names)})


def _verified(draft: Draft) -> list[dict]:
    return [
        {
            "file": f"images/{one['id']}.png", "verdict": "verified", "watermark": "present, 1",
            "metadata": "ours", "c2pa": "trusted", "ledger": "sealed, entry 1", "notes": [],
        }
        for one in draft.rows
        if one["image"]
    ]  # fmt: skip


def write_run(path: Path) -> Path:
    """A complete run with everything that the pages show."""
    import pandas as pd

    from toolkit.studies.audit import bias_table, sample_answers, summary

    with RunWriter(path, "pellucid demo", {"seed": 7}) as run:
        draft = Draft(run)
        _prompts(draft)
        _audited(draft)
        _guarded(draft)
        write_json(run.file("steering.json"), _films(draft))
        _directions(run)
        samples = pd.DataFrame(draft.rows)
        samples.to_parquet(run.file("samples.parquet"), index=False)
        run.file("embeddings").mkdir()
        _map(draft).to_parquet(run.file("embeddings/map.parquet"), index=False)
        table = bias_table(sample_answers(samples))
        table.to_parquet(run.file("audit.parquet"), index=False)
        question = "Who is drawn for “a portrait of a doctor”?"
        write_json(run.file("audit.json"), {"question": question, "summary": summary(table)})
        write_json(run.file("verify.json"), _verified(draft))
    return path


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything; tests only read it."""
    return write_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture
def bare_run(tmp_path: Path) -> Path:
    """A complete run that holds nothing to show."""
    with RunWriter(tmp_path / "bare", "pellucid discover", {}):
        pass
    return tmp_path / "bare"


@pytest.fixture
def own_run(demo_run: Path, tmp_path: Path) -> Callable[[], Path]:
    """A fresh copy of a full run, to damage."""
    return lambda: Path(shutil.copytree(demo_run, tmp_path / "own"))
