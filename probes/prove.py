"""Is a direction causal? Move along it, draw, let somebody else read, and compare with nulls.

The same starts and seeds are drawn at every strength; a judge that shares nothing with the space
of the direction reads every factor. After it: what the level named beforehand did, dose by dose,
what else moved (leakage), what directions of equal norm do that owe nothing to the level, how far
one can safely go, and a verdict (probes.verdict has the rules).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probes import paired
from probes.direction import Direction, Space, orthogonalise
from probes.evidence import Dose, Evidence, Leak
from probes.manifold import Manifold
from probes.nulls import Decode, Judge, Nulls, Say, measure_nulls, quiet, random_directions, read
from probes.paired import UNCLEAR, Estimate, JudgeError
from probes.verdict import Findings, verdict

STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)


def _checked(direction, starts, seeds, strengths, at, nulls) -> tuple[np.ndarray, list[float]]:
    x = np.asarray(starts)
    if x.ndim != 2 or not np.isfinite(x).all() or len(x) < 2:
        raise ValueError(f"starts must be finite and (n, d) with n at least 2, got {x.shape}")
    if x.shape[1] != len(direction.vector):
        raise ValueError(
            f"starts have {x.shape[1]} dimensions and the direction {direction.name!r} "
            f"{len(direction.vector)}; take both from one space"
        )
    if len(seeds) != len(x):
        raise ValueError(f"{len(x)} starts came with {len(seeds)} seeds; give one seed each")
    if not at > 0 or not direction.sigma > 0:
        raise ValueError(
            f"strength {at} of a direction with sigma {direction.sigma} moves nothing; give more"
        )
    for pool in nulls:
        if pool.seeds != tuple(int(s) for s in seeds):
            raise ValueError(f"the {pool.kind} nulls have other starts; measure them on these")
        if not np.isclose(pool.radius, at * direction.sigma, rtol=1e-3):
            raise ValueError(
                f"the {pool.kind} nulls go {pool.radius:.4g} far and {direction.name!r} "
                f"{at * direction.sigma:.4g}; choose `at` so that they are alike"
            )
    return x, sorted({float(s) for s in strengths} | {-float(at), 0.0, float(at)})


def prove(
    direction: Direction,
    starts: np.ndarray,
    seeds: Sequence[int],
    decode: Decode,
    judge: Judge,
    target: str,
    *,
    level: str | None = None,
    space: Space | None = None,
    strengths: Sequence[float] = STRENGTHS,
    at: float = 2.0,
    nulls: Sequence[Nulls] = (),
    judge_error: JudgeError | None = None,
    manifold: Manifold | None = None,
    negligible: float = 0.1,
    alpha: float = 0.05,
    null_count: int = 19,
    draws: int = 2000,
    batch: int = 24,
    seed: int = 0,
    say: Say = quiet,
) -> Evidence:
    """Put a direction to the test on `starts` (n, d), with one decoder seed each.

    `decode(vectors (m, d), seeds)` draws, `judge(drawn)` gives (m,) levels (str, "unclear" among
    them) for every factor. `target` and `level` (or the direction's own) are named beforehand.
    `space` is that of the starts: a direction of another one is refused (without it, any of as many
    dimensions passes). `nulls` are pools of equal reach on these starts; without any, random
    directions are measured. Raises WrongSpace, and ValueError for what does not fit together.

    Misleads when the judge shares weights with the space or the decoder, when target, level or
    strength were chosen after a look at the results, and when starts are not what one will steer:
    the verdict is about these starts, at this strength. *causal* speaks of the decoder, not of the
    world.
    """
    if space is not None:
        direction.require(space)
    x, doses = _checked(direction, starts, seeds, strengths, at, nulls)
    named = str(level if level is not None else direction.evidence.get("level", "yes"))
    moved = np.concatenate([direction.move(x, strength) for strength in doses]).astype(np.float32)
    judged = read(moved, list(seeds) * len(doses), decode, judge, batch, say)
    if target not in judged:
        raise ValueError(f"the judge reads no {target!r}; choose from {', '.join(judged)}")
    if judge_error is not None and target not in judge_error.counts:
        raise ValueError(f"the judge's errors on {target!r} are not known; measure them")
    readings = [
        {factor: found[i * len(x) : (i + 1) * len(x)] for factor, found in judged.items()}
        for i in range(len(doses))
    ]
    pools = list(nulls) or [
        measure_nulls(
            random_directions(direction, null_count, seed), x, seeds, decode, judge,
            radius=at * direction.sigma, batch=batch, say=say,
        )
    ]  # fmt: skip
    return weigh(
        direction, x, doses, readings, pools, target, named, at, judge_error, manifold,
        negligible, alpha, draws, seed,
    )  # fmt: skip


def weigh(
    direction: Direction,
    x: np.ndarray,
    strengths: Sequence[float],
    readings: Sequence[paired.Readings],
    pools: Sequence[Nulls],
    target: str,
    level: str,
    at: float,
    judge_error: JudgeError | None = None,
    manifold: Manifold | None = None,
    negligible: float = 0.1,
    alpha: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
) -> Evidence:
    """The statistics of `prove` on readings that are there: one mapping a strength, in order."""
    rng, n = np.random.default_rng([seed, 11]), len(x)
    drawn, flips = paired.weights(n, draws, rng), paired.sign_flips(n, draws, rng)
    scale = judge_error.slopes(target, level, draws, rng) if judge_error else 1.0
    near, far = (readings[strengths.index(side * at)] for side in (-1.0, 1.0))
    moved = paired.shifts(near[target], far[target], [level], seen=False)[:, 0]
    effect = paired.bootstrap(moved, drawn, scale=scale)
    leaks, rivals = _leaks(near, far, pools, target, drawn, flips, alpha)
    rows = _doses(direction, x, strengths, readings, target, level, drawn, manifold)
    chances = {one.kind: paired.null_p(moved.mean(), one.of(target, level), rng) for one in pools}
    findings = Findings(
        n,
        max(chances.values()),
        effect.low,
        effect.high,
        _falls(strengths, readings, target, level, at, alpha),
        paired.surely_above(np.concatenate([rivals, -rivals], 1) - moved[:, None], alpha),
        tuple(leak.factor for leak in leaks if leak.surely),
    )
    word, reasons = verdict(findings, negligible, alpha)
    limit = manifold.limit if manifold else None
    return Evidence(
        direction.name, direction.method, target, level, at, n, float(moved.mean()), effect,
        paired.flip_p(moved, flips, two_sided=False), chances,
        {one.kind: tuple(float(v) for v in one.of(target, level)) for one in pools},
        rows, leaks, _saturation(rows), _safe(rows, limit), limit, word, reasons,
    )  # fmt: skip


def _leaks(near, far, pools, target, drawn, flips, alpha) -> tuple[tuple[Leak, ...], np.ndarray]:
    """Every other factor's leak, and the shifts (n, m) of all their levels."""
    tables, chances = {}, {}
    for factor in near:
        if factor == target:
            continue
        levels = sorted((set(near[factor]) | set(far[factor])) - {UNCLEAR}) or [UNCLEAR]
        tables[factor] = levels, paired.shifts(near[factor], far[factor], levels)
        chances[factor] = paired.flip_p(tables[factor][1], flips, two_sided=True)
    corrected, found = paired.holm(chances), []
    for factor, (levels, table) in tables.items():
        most = int(np.abs(table.mean(0)).argmax())
        shift = paired.bootstrap(table[:, most], drawn)
        usual = max(float(pool.largest(factor).max()) for pool in pools)
        found.append(
            Leak(
                factor, levels[most], shift, float((near[factor] != far[factor]).mean()),
                float(np.mean([pool.changed[factor].mean() for pool in pools])),
                chances[factor], corrected[factor],
                corrected[factor] <= alpha and abs(shift.value) > usual,
            )
        )  # fmt: skip
    every = [table for _, table in tables.values()] or [np.zeros((len(drawn[0]) - 2, 0))]
    return tuple(found), np.concatenate(every, 1)


def _doses(direction, x, strengths, readings, target, level, drawn, manifold) -> tuple[Dose, ...]:
    still, rows = readings[strengths.index(0.0)], []
    for strength, here in zip(strengths, readings, strict=True):
        norms = manifold.norm(direction.move(x, strength)) if manifold else None
        leakage = {}
        for factor in here:
            levels = sorted(set(still[factor]) | set(here[factor]))
            moved = paired.shifts(still[factor], here[factor], levels)
            leakage[factor] = float(np.abs(moved.mean(0)).max())
        del leakage[target]
        gained = paired.shifts(still[target], here[target], [level], seen=False)[:, 0]
        rows.append(
            Dose(
                strength,
                paired.bootstrap((here[target] == level).astype(float), drawn, (0.0, 1.0)),
                # At strength 0 nothing is compared: no interval around what is known.
                paired.bootstrap(gained, drawn) if strength else Estimate(0.0, 0.0, 0.0),
                float(np.mean([(found == UNCLEAR).mean() for found in here.values()])),
                float(np.median(norms)) if norms is not None else None,
                float((norms > manifold.limit).mean()) if norms is not None else None,
                leakage,
            )
        )
    return tuple(rows)


def _falls(strengths, readings, target, level, at, alpha) -> bool:
    """Whether the level surely falls from one strength to the next, between -at and +at."""
    inside = [r for s, r in zip(strengths, readings, strict=True) if abs(s) <= at]
    shares = np.stack([reading[target] == level for reading in inside], 1).astype(float)
    return paired.surely_above(-np.diff(shares, axis=1), alpha)


def _saturation(rows: Sequence[Dose], slack: float = 0.05) -> float | None:
    """The smallest strength above 0 that no larger one beats by more than `slack`."""
    up = [row for row in rows if row.strength > 0]
    for row, *later in (up[i:] for i in range(len(up))):
        if later and max(one.share.value for one in later) - row.share.value <= slack:
            return row.strength
    return None


def _safe(rows: Sequence[Dose], limit: float | None, slack: float = 0.05) -> tuple[float, float]:
    """Strengths around 0 whose pictures are as readable and whose vectors lie among real ones."""
    middle = next(i for i, row in enumerate(rows) if row.strength == 0)

    def fine(row: Dose) -> bool:
        near = limit is None or row.norm is None or row.norm <= limit
        return near and row.unclear <= rows[middle].unclear + slack

    def reach(side: Sequence[Dose]) -> float:
        last = 0.0
        for row in side:
            if not fine(row):
                break
            last = row.strength
        return last

    return reach(rows[:middle][::-1]), reach(rows[middle + 1 :])


def purify(
    direction: Direction, evidence: Evidence, others: dict[str, Direction], x: np.ndarray
) -> Direction:
    """The direction less its part along those that it was measured to leak into.

    Misleads when the others are wrong themselves, or hold a part of this one: that part goes too,
    and the effect with it.

    `others` maps "factor" or "factor=level" to directions; of each factor that moved beyond doubt
    all are taken. `x` (n, d) are the real vectors that the directions were found on. Prove the
    result again: less leakage is a hope until it is measured. Raises ValueError when nothing
    leaked, or for a leak without a direction.
    """
    if not evidence.leaking:
        raise ValueError(f"{direction.name!r} leaks into nothing beyond doubt; nothing to remove")
    chosen = []
    for factor in evidence.leaking:
        mine = [one for name, one in others.items() if name.partition("=")[0] == factor]
        if not mine:
            raise ValueError(f"there is no direction of {factor}, which leaked; discover it first")
        chosen += mine
    return orthogonalise(direction, chosen, x)
