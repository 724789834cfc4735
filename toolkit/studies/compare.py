"""`pellucid compare`: both pipelines on the same prompts and seeds, by measurement.

Every picture leaves through the guarded door. Beside the systems stand real test portraits that
show what the prompts ask for: what a perfect system would score, by the same judges.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import UserError
from toolkit.runs import RunWriter, write_json
from toolkit.studies import compare_systems as cost
from toolkit.studies.compare_measures import (
    ENOUGH,
    Estimate,
    Space,
    fitting,
    frechet,
    jackknife,
    nearest,
    ratio,
    right,
    small,
    variety,
)
from toolkit.studies.compare_systems import AT_ONCE, SYSTEMS, System
from toolkit.studies.compare_verdict import BY_KEY, MEASURES, Table, verdict
from toolkit.studies.generate import MOST, Door, open_door, write_samples
from toolkit.studies.samples import Sample

PROMPTS, COUNT, TWICE = 24, 4, 2  # prompts, seeds of each, of which the slow judge reads two
MANY = 8  # prompts from which on intervals are over prompts, not over seeds


@dataclass(frozen=True)
class Size:
    """How much is looked at: training pictures (and as many unseen), portraits that span the
    space, fitting portraits a picture, pictures of a prompt for the slow judge, memory or not.
    """

    training: int = 4000
    space: int = 800
    fitting: int = 4
    twice: int = TWICE
    memory: bool = True


@dataclass
class Drawn:
    """Pictures of one system (or the real ones): images (n, 64, 64, 3), prompt and seed of each."""

    images: np.ndarray
    prompt: np.ndarray
    seed: np.ndarray
    seconds: list[tuple[int, float, int]]  # round, seconds, pictures


def default_prompts(n: int = PROMPTS, seed: int = 0) -> list[str]:
    """Captions of `n` test portraits, at least four factors each: the fixed list."""
    from toolkit.world import describe, sample

    rng = np.random.default_rng([seed, 21])
    return [describe(one, rng, at_least=4).text for one in sample("test", n, seed)]


def read_prompts(path: str) -> list[str]:
    """The lines of a text file that say something. Raises UserError for none."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the prompts in {path} can't be read ({error})") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise UserError(f"{path} holds no prompt; write one a line")
    return found


def units_of(drawn: Drawn, prompts: int, count: int) -> tuple[np.ndarray, list[int]]:
    """The unit of each picture, and all of them: prompts, or seeds where prompts are few."""
    return (drawn.prompt, list(range(prompts))) if prompts >= MANY else (
        drawn.seed, list(range(count))
    )  # fmt: skip


def draw(
    door: Door,
    systems: Sequence[System],
    prompts: Sequence[str],
    count: int,
    seed: int,
    say: Callable[[str], None],
) -> tuple[dict[str, Drawn], list[Sample]]:
    """The same prompts and seeds through every system, in turn, a few pictures at a time."""
    asked = [(p, s) for s in range(count) for p in range(len(prompts))]
    times: dict[str, list[tuple[int, float, int]]] = {one.key: [] for one in systems}
    rows: dict[str, list[tuple[int, int, np.ndarray]]] = {one.key: [] for one in systems}
    samples: list[Sample] = []
    draws = {one.key: one.generate(door.pipeline(one.pipeline)) for one in systems}
    for index, start in enumerate(range(0, len(asked), AT_ONCE)):
        part = asked[start : start + AT_ONCE]
        say(f"pictures {start + 1} to {start + len(part)} of {len(asked)}, {len(systems)} systems")
        turn = index % len(systems)
        for one in (*systems[turn:], *systems[:turn]):
            texts, seeds = [prompts[p] for p, _ in part], [seed + s for _, s in part]

            def how(texts, seeds, *more, key=one.key, index=index):
                began = time.perf_counter()
                batch = draws[key](texts, seeds, *more)
                times[key].append((index, time.perf_counter() - began, len(texts)))
                return batch

            drawn = door.draw(one.pipeline, texts, seeds, group=f"compare {one.key}", how=how)
            samples += drawn
            for (p, s), sample in zip(part, drawn, strict=True):
                if sample.image is not None:
                    rows[one.key].append((p, s, sample.image))
    return {key: _stacked(found, times[key]) for key, found in rows.items()}, samples


def _stacked(found: list[tuple[int, int, np.ndarray]], seconds: list) -> Drawn:
    images = [image for _, _, image in found]
    return Drawn(
        np.stack(images) if images else np.zeros((0, 64, 64, 3), np.uint8),
        np.array([p for p, _, _ in found], int),
        np.array([s for _, s, _ in found], int),
        seconds,
    )


def real_portraits(prompts: Sequence[str], count: int, seed: int, mark: Any = None) -> Drawn:
    """`count` test portraits a prompt that show what it asks for, marked as the drawn ones are."""
    from toolkit.world import render

    found = []
    for p, prompt in enumerate(prompts):
        for s, portrait in enumerate(fitting(prompt, count, 1000 * seed + p)):
            picture = render(portrait)
            try:
                found.append((p, s, mark.embed(picture, len(found)) if mark else picture))
            except ValueError:  # no room for the mark: a drawn one would be withheld too
                continue
    return _stacked(found, [])


def measure(
    drawn: dict[str, Drawn], prompts: Sequence[str], count: int, seed: int, size: Size, mark: Any,
    say: Callable[[str], None],
) -> dict[str, dict[str, Estimate]]:  # fmt: skip
    """What pictures tell: measure, then system, to an estimate. `real` is among the systems."""
    from toolkit.judges import load_judge
    from toolkit.world import render_all, sample

    say(f"drawing {2 * size.training} portraits, half of them what the models were trained on")
    trained = small(render_all(sample("train", size.training, 0)))
    unseen = small(render_all(sample("train", size.training, 1)))
    space = Space(render_all(sample("probe", size.space, seed)))
    reference = real_portraits(prompts, size.fitting * count, seed + 1, mark)
    target = space(reference.images)
    table: dict[str, dict[str, Estimate]] = {one.key: {} for one in MEASURES}
    for key, one in drawn.items():
        say(f"reading the pictures of {key}")
        units, every = units_of(one, len(prompts), count)
        base = units_of(reference, len(prompts), size.fitting * count)[0]
        base = base if len(prompts) >= MANY else base % count
        n = len(one.images)
        texts = [prompts[p] for p in one.prompt]
        table["blocked"][key] = _blocked(one, prompts, count, every, len(prompts) >= MANY)
        if not n:
            continue
        vectors = space(one.images)

        def clouds(rows, units=units, vectors=vectors, base=base, n=n):
            there = np.isin(base, np.unique(units[rows])) if len(rows) < n else base == base
            return frechet(vectors[rows], target[there])

        def spread(rows, vectors=vectors, one=one):
            return variety(vectors[rows], one.prompt[rows])

        to_trained, to_unseen = nearest(one.images, trained), nearest(one.images, unseen)
        copied = (to_trained < to_unseen).astype(float)
        hits, of = right(texts, load_judge("cnn").judge(one.images).levels)
        said = {
            "accuracy_cnn": jackknife(ratio(hits, of), units, every, share=True),
            "diversity": jackknife(spread, units, every),
            "copying": jackknife(lambda r, c=copied: float(c[r].mean()), units, every, share=True),
            "nearest": jackknife(lambda r, d=to_trained: float(d[r].mean()), units, every),
        }
        if n >= ENOUGH:
            said["frechet"] = jackknife(clouds, units, every, corrected=True)
        few = np.flatnonzero(one.seed < size.twice)
        if len(few):
            hits, of = right(
                [texts[i] for i in few], load_judge("synthesis").judge(one.images[few]).levels
            )
            said["accuracy_synthesis"] = jackknife(ratio(hits, of), units[few], every, share=True)
        for name, estimate in said.items():
            if np.isfinite(estimate.value):
                table[name][key] = estimate
    return table


def _blocked(
    one: Drawn, prompts: Sequence[str], count: int, every: list[int], by_prompt: bool
) -> Estimate:
    """The share that the guard withheld; every picture was asked for, so none is missing."""
    released = {(int(p), int(s)) for p, s in zip(one.prompt, one.seed, strict=True)}
    asked = [(p, s) for p in range(len(prompts)) for s in range(count)]
    gone = np.array([pair not in released for pair in asked], float)
    units = np.array([p if by_prompt else s for p, s in asked])
    return jackknife(lambda rows: float(gone[rows].mean()), units, every, share=True)


def counted(
    systems: Sequence[System], door: Door, size: Size, say: Callable[[str], None]
) -> dict[str, dict[str, Estimate]]:
    """Parameters, operations and memory of each system. Draws once with each, which warms it up."""
    table: dict[str, dict[str, Estimate]] = {
        key: {} for key in ("parameters", "operations", "memory")
    }
    for one in systems:
        shipped = door.pipeline(one.pipeline)
        found = {
            "parameters": cost.parameters(one.model(shipped)) / 1e6,
            "operations": cost.operations(one.generate(shipped)) / 1e9,
        }
        if size.memory:
            say(f"memory of {one.title}, in a process of its own")
            seen = cost.peak_memory(one)
            found["memory"] = seen["peak"] - seen["libraries"]
        for name, value in found.items():
            table[name][one.key] = Estimate(value, exact=True)
    return table


def seconds(drawn: dict[str, Drawn]) -> dict[str, Estimate]:
    """Seconds a picture of each system; the units are the rounds, in which all took their turn."""
    rounds = sorted({index for one in drawn.values() for index, _, _ in one.seconds})
    found = {}
    for key, one in drawn.items():
        if one.seconds:
            where, spent, made = (
                np.array(column, float) for column in zip(*one.seconds, strict=True)
            )
            found[key] = jackknife(ratio(spent, made), where, rounds)
    return found


def rows_of(table: Table, systems: Sequence[System]) -> list[dict[str, Any]]:
    """The table as compare.parquet has it: one row a measure and system, with its interval."""
    titles = {one.key: one.title for one in systems} | {"real": "real portraits"}
    rows = []
    for key, row in table.items():
        for name, one in row.items():
            ends = (one.value, one.value) if one.exact else one.interval()
            low, high = (float(end) if np.isfinite(end) else None for end in ends)
            rows.append(
                {"measure": key, "title": BY_KEY[key].title, "unit": BY_KEY[key].unit,
                 "better": BY_KEY[key].better, "system": name, "name": titles[name],
                 "value": one.value, "low": low, "high": high, "units": len(one.left_out)}
            )  # fmt: skip
    return rows


def compare_run(
    out: str,
    *,
    prompts: Sequence[str] = (),
    count: int = COUNT,
    seed: int = 0,
    systems: Sequence[System] = SYSTEMS,
    replace: bool = False,
    say: Callable[[str], None] = lambda text: None,
    size: Size | None = None,
) -> dict[str, Any]:
    """Compare the systems on prompts and seeds into a run; without prompts on the fixed list.

    Returns what compare.json holds. Raises UserError for a bad request.
    """
    from safety.watermark import Mark
    from toolkit.pipelines.batch import check_request
    from toolkit.report import write_report
    from toolkit.studies.audit import write_table
    from toolkit.studies.compare_page import write_pictures

    size = size or Size()
    if not 2 <= count <= MOST:
        raise UserError(
            f"{count} pictures a prompt were asked for; --count is at least 2 (variety needs two) "
            f"and at most {MOST}"
        )
    texts = list(prompts) or default_prompts(seed=seed)
    check_request(texts, [seed + count - 1] * len(texts))
    config = {"prompts": texts, "count": count, "seed": seed}
    config["systems"] = [one.key for one in systems]
    with RunWriter(out, "pellucid compare", config, replace) as run:
        door = open_door(run, say)
        with run.timed("count"):
            spent = counted(systems, door, size, say)
        with run.timed("draw"):
            drawn, samples = draw(door, systems, texts, count, seed, say)
        mark = Mark(door.keys.watermark)
        real = real_portraits(texts, count, seed, mark)
        with run.timed("measure"):
            seen = measure({**drawn, "real": real}, texts, count, seed, size, mark, say)
        every = seen | spent | {"seconds": seconds(drawn)}
        table = {one.key: every[one.key] for one in MEASURES}
        table["blocked"].pop("real", None)
        rows = rows_of(table, systems)
        facts = {
            "prompts": texts, "count": count, "seed": seed,
            "units": "prompts" if len(texts) >= MANY else "seeds",
            "systems": [
                {"key": s.key, "title": s.title, "base": s.base, "meant_for": s.meant_for,
                 "settings": s.settings, "prior": s.prior, "solver": s.solver,
                 "candidates": s.candidates}
                for s in systems
            ],
            "measures": [vars(one) for one in MEASURES],
            "table": rows,
            "verdict": verdict(table, systems),
        }  # fmt: skip
        write_json(run.file("compare.json"), facts)
        write_table(_frame(rows), run.file("compare.parquet"))
        write_pictures(run, rows, systems, texts, {**drawn, "real": real})
        write_samples(run, door, samples, door.clip.encode_image(real.images), seed)
        write_report(run)
    return {"run": out, "report": f"{out}/report.html", **facts}


def _frame(rows: list[dict[str, Any]]):
    import pandas as pd

    return pd.DataFrame(rows)
