"""Verdicts on the portraits: shuffled labels, and the best supervised direction of each factor.

Every direction goes equally far (RADIUS) from the same starts, so that one pool of nulls serves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks._probe_evidence import rate_rows
from benchmarks._probe_setting import (
    BATCH,
    FULL,
    QUICK,
    RADIUS,
    Size,
    pool,
    random_pool,
    setting,
    told,
)
from benchmarks.rows import Row
from toolkit.world import FACTORS

__all__ = ["FULL", "QUICK", "portrait_null", "recovered_supervised"]


def portrait_null(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Verdicts on shuffled-label directions; each is compared with others drawn from the pool."""
    from probes.prove import weigh

    _, on = setting(seed, size.starts)
    drawn, items = pool(seed, size), []
    for index, (direction, factor, level) in enumerate(drawn.made):
        rng = np.random.default_rng([seed, 24, index])
        rest = [i for i in range(len(drawn.made)) if i != index]
        chosen = rng.choice(rest, min(size.nulls, len(rest)), replace=False)
        ends = [{f: drawn.readings[f][index, side] for f in drawn.readings} for side in (0, 1)]
        found = weigh(
            direction, on.starts, [-1.0, 0.0, 1.0], [ends[0], drawn.still, ends[1]],
            [drawn.nulls.choose(chosen.tolist())], factor, level, 1.0, draws=500,
            seed=seed * 1000 + index,
        )  # fmt: skip
        changed = {f: float((p[index, 0] != p[index, 1]).mean()) for f, p in drawn.readings.items()}
        items.append(
            {"figure": "portrait_null", "item": index, "level": f"{factor}={level}",
             "observed": found.observed, "p": max(found.p_nulls.values()),
             "verdict": found.verdict, "changed": changed}
        )  # fmt: skip
    words = Counter(item["verdict"] for item in items)
    case = "false causal, shuffled labels"
    rows = rate_rows("portrait_null", case, words["causal"], len(items), ", as if independent")
    size_of = float(np.mean([abs(item["observed"]) for item in items]))
    name = "mean size of their effects"
    rows.append(Row("portrait_null", name, "pellucid", size_of, None, len(items)))
    yield rows, items


def best(on, space, factor: str) -> tuple:
    """The level and method whose direction tells new portraits apart best (Cohen's d)."""
    from probes import LinearDirections, MeanDifference
    from toolkit.studies.discover import labels

    truth = np.array([level or "" for level in labels(on.people, factor)])
    half = np.arange(len(truth)) % 2 == 0
    column = {factor: [level or None for level in truth[half]]}
    scored = []
    for estimator in (LinearDirections(space), MeanDifference(space)):
        for one in estimator.fit(on.real[half], column).directions_.values():
            places = one.project(on.real[~half])
            is_level = truth[~half] == one.evidence["level"]
            off = places[~is_level & (truth[~half] != "")]
            gap = places[is_level].mean() - off.mean()
            scored.append((gap / np.sqrt((places[is_level].var() + off.var()) / 2), one))
    return max(scored, key=lambda pair: pair[0])


def recovered_supervised(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """Of each factor the best supervised direction, chosen on probe portraits, put to the test."""
    from probes import prove

    model, on = setting(seed, size.starts)
    pools, items = [pool(seed, size).nulls, random_pool(seed, size)], []
    for factor in FACTORS:
        score, direction = best(on, model.space, factor)
        at = RADIUS / direction.sigma
        found = prove(
            direction, on.starts, on.seeds, on.decode, on.judge, factor,
            strengths=(-at, -at / 2, 0, at / 2, at), at=at, nulls=pools, batch=BATCH,
            judge_error=on.judge_error, manifold=on.manifold, seed=seed, say=told(factor),
        )  # fmt: skip
        items.append(
            {"figure": "recovered_supervised", "factor": factor, "separation": float(score)}
            | found.to_json()
        )
    hits = sum(item["verdict"] == "causal" for item in items)
    goal = f"at least {len(FACTORS) - 1}"
    rows = [
        Row("recovered_supervised", "factors judged causal", "pellucid", hits, goal, len(items))
    ]
    for item in items:
        effect = item["effect"]
        case = f"{item['target']}={item['level']} at {item['at']:.1f} sigmas: {item['verdict']}"
        rows.append(
            Row("recovered_supervised", case, "pellucid", effect["value"], None, item["n"],
                (effect["low"], effect["high"]))
        )  # fmt: skip
    yield rows, items
