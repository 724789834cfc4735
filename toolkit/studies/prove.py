"""Is a direction of CLIP causal for what unCLIP draws? Held-out portraits, the CNN judge, nulls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.studies.discover import labels, poles
from toolkit.studies.steer import find_direction, signed
from toolkit.world import FACTORS, Portrait, render_all, sample

if TYPE_CHECKING:
    from probes import Direction, Evidence, JudgeError, Manifold, Nulls, Space
    from toolkit.studies.generate import Door

# Of decoder and upsampler: the judge reads the same as with 20 and 3, in a third of the time.
STEPS, LARGE_STEPS = 6, 2
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
REAL, RENDERS, BATCH = 1000, 400, 24
KINDS = ("random", "shuffled")
WHY = "pictures along a direction are read by the judge and dropped; none is shown or exported"


@dataclass(frozen=True)
class Bench:
    """What any proof needs: starts, seeds, the two callables, and what is known beforehand.

    `starts` (n, d) are embeddings of test portraits, `real` (m, d) of probe portraits `people`,
    both in `space`.
    """

    space: Space
    starts: np.ndarray
    seeds: tuple[int, ...]
    decode: Callable[[np.ndarray, Sequence[int]], np.ndarray]
    judge: Callable[[np.ndarray], dict[str, np.ndarray]]
    judge_error: JudgeError
    manifold: Manifold
    people: tuple[Portrait, ...]
    real: np.ndarray


@dataclass(frozen=True)
class Asked:
    """What is to be proved: that the direction moves this level of this factor."""

    direction: Direction
    factor: str
    level: str


def named(direction: Direction, target: str | None) -> Asked:
    """The level that a direction is named for, or the one given as FACTOR or FACTOR=LEVEL.

    Raises UserError when neither names a level of the world.
    """
    factor, _, level = (target or direction.name).partition("=")
    if factor not in FACTORS:
        hint = "" if target else "say what it should move, for example --target glasses; "
        raise UserError(
            f"{factor!r} names no factor; {hint}choose from {', '.join(FACTORS)}, with =LEVEL"
        )
    if not level and len(FACTORS[factor]) == 2:
        level = poles(factor)[factor]
    if level not in FACTORS[factor]:
        raise UserError(
            f"{factor} has no level {level!r}; write for example "
            f"{factor}={FACTORS[factor][-1]}, one of {', '.join(FACTORS[factor])}"
        )
    return Asked(direction, factor, level)


def held_out_people(n: int, seed: int, factors: Sequence[str]) -> list[Portrait]:
    """The first `n` test portraits in which all of the factors are defined and visible."""
    shown = [
        p for p in sample("test", 12 * n + 40, seed) if all(p.truth()[f].counts for f in factors)
    ]
    return shown[:n]


def for_judge(model: Any, vectors: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """(n, 64, 64, 3) pictures for the judge, in as few steps as it needs."""
    return model.decode(vectors, seeds, steps=STEPS, upsampler_steps=LARGE_STEPS)


def bench(model: Any, judge: Any, n: int, seed: int, factors: Sequence[str]) -> Bench:
    """Portraits and measured errors for proofs about these factors; `model` is unCLIP."""
    from probes import JudgeError, Manifold

    known = sample("test", RENDERS, seed + 500_000)
    read = judge.judge(render_all(known)).levels
    people = sample("probe", REAL, seed)
    real = model.clip.encode_image(render_all(people))
    return Bench(
        model.space,
        model.clip.encode_image(render_all(held_out_people(n, seed, factors))),
        tuple(1000 * seed + i for i in range(n)),
        lambda vectors, seeds: for_judge(model, vectors, seeds),
        lambda pictures: judge.judge(pictures).levels,
        JudgeError.measure({factor: labels(known, factor) for factor in FACTORS}, read),
        Manifold.fit(real), tuple(people), real,
    )  # fmt: skip


def null_directions(on: Bench, asked: Asked, kind: str, count: int, seed: int) -> list[Direction]:
    """Random directions, or differences of means from shuffled labels of the asked level."""
    from probes import MeanDifference, random_directions, shuffled_directions

    if kind == "random":
        return random_directions(asked.direction, count, seed)
    truths = labels(on.people, asked.factor)
    column = [None if true is None else "yes" if true == asked.level else "no" for true in truths]

    def fit(shuffled: Sequence[Any]) -> Direction:
        return (
            MeanDifference(asked.direction.space).fit(on.real, {"it": shuffled}).directions_["it"]
        )

    return shuffled_directions(fit, column, asked.direction, count, seed)


def measured_nulls(
    on: Bench, asked: Asked, at: float, kinds: Sequence[str], count: int, seed: int, say
) -> list[Nulls]:
    """One pool a kind, as far from the starts as the direction goes at `at` sigmas."""
    from probes import measure_nulls

    return [
        measure_nulls(
            null_directions(on, asked, kind, count, seed), on.starts, on.seeds, on.decode, on.judge,
            radius=at * asked.direction.sigma, kind=kind, batch=BATCH, say=say(f"{kind} nulls"),
        )
        for kind in kinds
    ]  # fmt: skip


def proof(on: Bench, asked: Asked, at: float, nulls: Sequence[Nulls], seed: int, say) -> Evidence:
    """The evidence for one direction, with what the bench knows."""
    from probes import prove

    return prove(
        asked.direction, on.starts, on.seeds, on.decode, on.judge, asked.factor,
        level=asked.level, space=on.space, strengths=STRENGTHS, at=at, nulls=nulls,
        judge_error=on.judge_error, manifold=on.manifold, batch=BATCH, seed=seed,
        say=say(f"{asked.direction.name}: doses"),
    )  # fmt: skip


def purified(on: Bench, asked: Asked, found: Evidence, others: dict[str, Direction]) -> Direction:
    """The direction without its measured leaks. Raises UserError where there is nothing to do."""
    from probes import purify

    try:
        return purify(asked.direction, found, others, on.real)
    except ValueError as error:
        raise UserError(str(error)) from error


def directions_there(folder: str | Path, site: str) -> dict[str, Direction]:
    """Every direction of that site in a run or folder, by name."""
    path = Path(folder) / "directions"
    path = path if path.is_dir() else Path(folder)
    names = [file.name.removesuffix(f".{site}.safetensors") for file in path.glob(f"*.{site}.*s")]
    return {name: find_direction(folder, name, site) for name in sorted(names)}


def progress(say: Callable[[str], None]) -> Callable[[str], Callable[[int, int], None]]:
    """Counts pictures of a part aloud, about ten times."""

    def of(part: str) -> Callable[[int, int], None]:
        told = [0]

        def count(done: int, total: int) -> None:
            if done == total or done - told[0] >= total / 10:
                told[0] = done
                say(f"{part}: {done} of {total} pictures")

        return count

    return of


def said(found: Evidence) -> list[str]:
    """The verdict in plain sentences, with the numbers that carry it."""
    ends = {d.strength: d.share for d in found.doses}
    near, far = ends[-found.at].value, ends[found.at].value
    e = found.effect
    lines = [
        f"{found.direction} for {found.target}={found.level}: {found.verdict}; "
        f"{'; '.join(found.reasons)}.",
        f"At {signed(-found.at)} sigmas {near:.0%} of {found.n} pictures read {found.level}, at "
        f"{signed(found.at)} {far:.0%}. Corrected for the judge's errors the effect is "
        f"{e.value:+.2f} [{e.low:+.2f}, {e.high:+.2f}].",
    ]
    for kind, values in found.nulls.items():
        most = max(map(abs, values))
        lines.append(
            f"{len(values)} {kind} directions of equal norm move it by {most:.2f} at most "
            f"(p = {found.p_nulls[kind]:.3f})."
        )
    sure = [leak for leak in found.leaks if leak.surely]
    for leak in sorted(sure, key=lambda one: -abs(one.shift.value)):
        lines.append(
            f"It leaks into {leak.factor}: {leak.level} by {leak.shift.value:+.2f} "
            f"[{leak.shift.low:+.2f}, {leak.shift.high:+.2f}] (Holm p = {leak.holm:.3f})."
        )
    low, high = found.safe
    end = "" if found.saturation is None else f"; more than {signed(found.saturation)} adds nothing"
    lines.append(
        f"Pictures stay readable and vectors usual from {signed(low)} to {signed(high)}{end}."
    )
    return lines


def prove_run(
    out: str,
    *,
    name: str,
    target: str | None,
    directions: str,
    portraits: int,
    at: float,
    nulls: int,
    pure: bool,
    seed: int,
    replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """`pellucid prove`: a run with the evidence, its picture and the verdict. Returns a summary."""
    from toolkit.studies.generate import SITES
    from toolkit.studies.laboratory import Experiment, laboratory_run
    from toolkit.studies.prove_page import experiment

    if not 2 <= portraits <= 1000 or not 2 <= nulls <= 1000 or not 0 < at <= 10:
        raise UserError(
            f"{portraits} portraits, {nulls} nulls and a strength of {at:g} were asked for; give "
            "2 to 1000, 2 to 1000, and more than 0 to 10"
        )
    asked = named(find_direction(directions, name, SITES["unclip"]), target)
    others = directions_there(directions, SITES["unclip"]) if pure else {}

    def make(door: Door) -> Experiment:
        from safety import unguarded

        model = door.pipeline("unclip")
        asked.direction.require(model.space)
        aloud = progress(say)
        with unguarded(WHY, door.run.file("unguarded.jsonl")):
            on = bench(model, door.judge, portraits, seed, [asked.factor])
            pools = measured_nulls(on, asked, at, KINDS, nulls, seed, aloud)
            found = [proof(on, asked, at, pools, seed, aloud)]
            if pure:
                clean = purified(on, asked, found[0], others)
                again = Asked(clean, asked.factor, asked.level)
                # As far as before, so that the same nulls serve and like is compared with like.
                reach = at * asked.direction.sigma / clean.sigma
                found.append(proof(on, again, reach, pools, seed, aloud))
                clean.save(door.run.file(f"directions/{name}.{model.site}.safetensors"))
        return experiment(on, asked, found, model, seed)

    config = {"direction": name, "target": f"{asked.factor}={asked.level}", "portraits": portraits,
              "at": at, "nulls": nulls, "purify": pure, "seed": seed, "steps": STEPS}  # fmt: skip
    return laboratory_run(
        out, f"pellucid prove {name}", "prove", make, config=config, replace=replace, say=say
    )
