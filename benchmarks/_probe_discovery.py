"""Discovery's figures: selectivity, and the speed of many probes and of sparse autoencoders.

Seconds are CPU seconds of this process, so that a busy machine slows both sides alike.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks._measures import bootstrap
from benchmarks.rows import Row
from toolkit.world import FACTORS, Portrait, render_all, sample

C = 0.316  # as in CLIP's own linear-probe protocol
K = 32
TURNS = 5  # how often both sides take turns


@dataclass(frozen=True)
class Size:
    """How much each figure is measured on."""

    scenes: int = 1000
    pictures: int = 3  # of each scene
    rows: int = 50_000
    width: int = 512
    heads: tuple[int, ...] = (20, 200)
    latents: int = 8192
    batch: int = 4096
    steps: int = 12


FULL = Size()
QUICK = Size(40, 4, 2000, 64, (4, 12), 512, 256, 4)


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _scenes(seed: int, size: Size) -> tuple[list[Portrait], np.ndarray]:
    """Portraits with every factor visible, each placed several times, and their scene's number."""
    whole = [
        p for p in sample("test", 40 * size.scenes, seed + 40)
        if all(truth.counts for truth in p.truth().values())
    ][: size.scenes]  # fmt: skip
    rng = np.random.default_rng([seed, 41])
    people, scene = [], []
    for number, one in enumerate(whole):
        for _ in range(size.pictures):
            x, y = rng.uniform(-2.5, 2.5, 2)
            people.append(replace(one, x=x, y=y, scale=float(rng.uniform(0.9, 1.08))))
            scene.append(number)
    return people, np.array(scene)


def _linear(X: np.ndarray, on: np.ndarray, fold: np.ndarray) -> np.ndarray:
    from probes.folds import out_of_fold

    return out_of_fold(X, on, np.ones_like(on), fold) > 0


def _mlp(X: np.ndarray, on: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    read = np.zeros_like(on)
    for name in np.unique(fold):
        net = MLPClassifier((512,), alpha=1e-5, max_iter=150, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(X[fold != name], on[fold != name])
        read[fold == name] = net.predict(X[fold == name]) > 0.5
    return read


def selectivity(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`selectivity` of linear probes and of an MLP (Hewitt & Liang 2019).

    Task: one level a factor, whole scenes held out. Control: each scene a random label, pictures
    held out, so that what recognises scenes succeeds. There are more scenes than a linear probe
    could learn by heart: d weights fit any labels of up to about 2 (d + 1) points (Cover 1965).
    Intervals draw scenes anew.
    """
    from probes.folds import assign_folds
    from probes.hygiene import control_labels
    from probes.inputs import contrasts
    from toolkit.clip import load_clip

    people, scene = _scenes(seed, size)
    X = load_clip().encode_image(render_all(people))
    X = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    found = contrasts({f: [getattr(p, f) for p in people] for f in FACTORS}, len(people))
    first = [next(one for one in found if one.factor == f) for f in dict.fromkeys(
        one.factor for one in found)]  # fmt: skip
    task = np.stack([one.on for one in first], 1)
    rng = np.random.default_rng([seed, 42])
    control = np.stack([control_labels(column, scene, rng) for column in task.T], 1)
    control[0] ^= control.all(0) | ~control.any(0)  # at quick sizes a column could be of one class
    apart, mixed = (
        assign_folds(len(X), 3, seed, scene.tolist()),
        assign_folds(len(X), 3, seed),
    )
    items = []
    for probe, fit in (("linear", _linear), ("MLP", partial(_mlp, seed=seed))):
        reads = {"task": fit(X, task, apart), "control": fit(X, control, mixed)}
        right = {"task": reads["task"] == task, "control": reads["control"] == control}

        def accuracy(kind: str, of: np.ndarray, right=right) -> float:
            truth, hit = (task if kind == "task" else control)[of], right[kind][of]
            with np.errstate(invalid="ignore"):
                both = [
                    (hit & truth).sum(0) / truth.sum(0),
                    (hit & ~truth).sum(0) / (~truth).sum(0),
                ]
            return float(np.nanmean(both))

        def gap(numbers: np.ndarray, accuracy=accuracy) -> float:
            of = np.concatenate([np.flatnonzero(scene == s) for s in numbers])
            return accuracy("task", of) - accuracy("control", of)

        every = np.arange(scene.max() + 1)
        rows = [
            Row("selectivity", probe, "pellucid", gap(every), None, len(every),
                bootstrap(len(every), gap, seed, 200))
        ]  # fmt: skip
        rows += [
            Row("selectivity", f"{probe}, {kind} accuracy", "pellucid",
                accuracy(kind, np.arange(len(X))), None, len(X))
            for kind in ("task", "control")
        ]  # fmt: skip
        items += [
            {
                "figure": "selectivity", "probe": probe, "factor": one.factor,
                "task": float(right["task"][:, k].mean()),
                "control": float(right["control"][:, k].mean()),
            }
            for k, one in enumerate(first)
        ]  # fmt: skip
        yield rows, items if probe == "MLP" else []


def vectors(seed: int, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Like raw CLIP embeddings: (n, d) fp32 of length about 10 off the origin, and (n, d/8) causes.

    A few causes carry most variance, the rest is noise.
    """
    rng = np.random.default_rng([seed, 43])
    causes = rng.standard_normal((n, d // 8)).astype(np.float32)
    mixing = rng.standard_normal((d // 8, d)).astype(np.float32)
    mixing *= np.linspace(2, 0.2, d // 8, dtype=np.float32)[:, None] / np.sqrt(d // 8)
    X = causes @ mixing + 0.5 * rng.standard_normal((n, d), np.float32)
    X += rng.standard_normal(d).astype(np.float32)
    return X * np.float32(10 / np.linalg.norm(X, axis=1).mean()), causes


def attributes(seed: int, causes: np.ndarray, heads: int) -> np.ndarray:
    """(n, heads) bool labels of unequal base rates, each a noisy sign of a few causes."""
    rng = np.random.default_rng([seed, 44, heads])
    weights = rng.standard_normal((causes.shape[1], heads)) * (
        rng.random((causes.shape[1], heads)) < 0.2
    )
    score = causes @ weights + rng.standard_normal(heads)
    return score + 1.5 * rng.logistic(size=score.shape) > 0


def objective(X: np.ndarray, on: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """(K,) logistic objectives in fp64 of heads coef (K, d), by nobody's solver."""
    total = (coef.astype(np.float64) ** 2).sum(1) / (2 * C)
    for i in range(0, len(X), 4096):
        s = X[i : i + 4096].astype(np.float64) @ coef.T.astype(np.float64) + intercept
        total += (np.logaddexp(0, s) - on[i : i + 4096] * s).sum(0)
    return total


def probe_speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`probe_speed`: all heads at once against LogisticRegression(C, max_iter=1000) one by one.

    In turns: all heads by ours, then a fifth of them by the other, five times over; ours counts
    by its median, so that both sides see the same machine.
    `probe_objective` is our objective over theirs on the head where it is largest.
    """
    from sklearn.linear_model import LogisticRegression

    from probes.logistic import fit_heads

    X, causes = vectors(seed, size.rows, size.width)
    fit_heads(X[:1000], attributes(seed, causes, 2)[:1000], C)  # both sides' first call is free
    LogisticRegression(C=C, max_iter=1000).fit(X[:1000], attributes(seed, causes, 2)[:1000, 0])
    for heads, goal in zip(size.heads, ("at least 9", "at least 15"), strict=True):
        on = attributes(seed, causes, heads)
        kept: list = []
        models = [LogisticRegression(C=C, max_iter=1000) for _ in range(heads)]
        each, turns = [0.0] * heads, []
        for part in np.array_split(np.arange(heads), min(TURNS, heads)):
            turns.append(_seconds(lambda on=on, kept=kept: kept.append(fit_heads(X, on, C))))
            for k in part:
                each[k] = _seconds(lambda m=models[k], k=k, on=on: m.fit(X, on[:, k]))
        mine = float(np.median(turns))
        coef = np.concatenate([m.coef_ for m in models])
        theirs = objective(X, on, coef, np.concatenate([m.intercept_ for m in models]))
        ours = objective(X, on, kept[0].coef, kept[0].intercept)
        case = f"{heads} heads, {size.rows} x {size.width}"
        costs = np.array(each)
        again = bootstrap(heads, lambda r, e=costs, m=mine: len(r) * e[r].mean() / m, seed)
        rows = [
            Row("probe_speed", case, "pellucid", sum(each) / mine, goal, heads, again),
            Row("probe_speed_seconds", case, "pellucid", mine, None, heads),
            Row("probe_speed_seconds", case, "scikit-learn", sum(each), None, heads),
            Row("probe_objective", f"worst of {heads} heads", "pellucid",
                float((ours / theirs).max()), "at most 1", heads),
        ]  # fmt: skip
        yield (
            rows,
            [
                {"figure": "probe_speed", "heads": heads, "item": k, "seconds": each[k],
                 "ours": float(ours[k]), "theirs": float(theirs[k])}
                for k in range(heads)
            ],
        )  # fmt: skip


def _dense(rows: np.ndarray, size: Size, seed: int, order: list[np.ndarray], lr: float):
    """The usual loop in fp32 torch: relu, topk, scatter, dense decode, autograd, Adam.

    A generator of the loss of each step, from the same weights and batches as ours.
    """
    import torch

    from probes.sae_training import new_weights

    w = new_weights(size.latents, size.width, seed)
    adam = torch.optim.Adam([t.requires_grad_() for t in w.all()], lr=lr)
    for batch in order:
        x = torch.from_numpy(rows[batch])
        active = torch.relu((x - w.bias) @ w.encoder.T + w.encoder_bias)
        value, index = active.topk(min(K, size.latents // 8), -1)
        code = torch.zeros_like(active).scatter(-1, index, value)
        loss = (code @ w.decoder + w.bias - x).square().sum(1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            w.decoder /= w.decoder.norm(dim=1, keepdim=True)
        yield float(loss.detach())


def _sparse(rows: np.ndarray, size: Size, seed: int, order: list[np.ndarray], lr: float):
    """Ours, step by step."""
    from probes import sae_training as sae

    trainer = sae.Trainer(sae.new_weights(size.latents, size.width, seed), lr)
    select = partial(sae.top_per_row, k=min(K, size.latents // 8))
    for batch in order:
        x = rows[batch]
        code = sae.encode(trainer.weights, x, select, False)
        yield trainer.step(x, code, (size.latents,))


def _overcomplete(rows: np.ndarray, size: Size, seed: int, order: list[np.ndarray], lr: float):
    """overcomplete's TopKSAE stepped as its own train_sae does, from the same weights and batches.

    Its encoder is the plain one of its `untied`; None, and a line that says so, where the package
    can't be imported.
    """
    import torch

    from probes.sae_training import new_weights

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from overcomplete.sae import TopKSAE  # pyright: ignore[reportMissingImports]
    except (ImportError, AttributeError) as error:  # its plots need matplotlib before 3.11
        sys.stderr.write(f"sae_speed: not against overcomplete, it can't be imported ({error})\n")
        return None
    model = TopKSAE(size.width, size.latents, min(K, size.latents // 8)).train()
    with torch.no_grad():
        model.dictionary._weights.copy_(new_weights(size.latents, size.width, seed).decoder)
    model = model.untied(bias=True)
    adam = torch.optim.Adam(model.parameters(), lr=lr)

    def step(batch: np.ndarray) -> float:
        x = torch.from_numpy(rows[batch])
        adam.zero_grad()
        _, _, rebuilt = model(x)
        loss = (rebuilt - x).square().sum(1).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        return float(loss.detach())

    return (step(batch) for batch in order)


def sae_speed(seed: int, size: Size) -> Iterator[tuple[list[Row], list[dict]]]:
    """`sae_speed`: steps of a TopK autoencoder against the dense loop and overcomplete, in turns.

    `sae_loss` is the last losses over theirs: 1 from equal weights and batches, up to rounding.
    Where overcomplete is not installed a line says so.
    """
    rng = np.random.default_rng([seed, 45])
    n = size.batch * 4
    X, _ = vectors(seed, n, size.width)
    X = X - X.mean(0)
    X /= np.sqrt((X**2).sum(1).mean())
    order = [rng.permutation(n)[: size.batch] for _ in range(size.steps)]
    lr = 2e-4 / np.sqrt(size.latents / 2**14)
    systems = {
        "pellucid": _sparse(X, size, seed, order, lr),
        "dense torch": _dense(X, size, seed, order, lr),
    }
    if (peer := _overcomplete(X, size, seed, order, lr)) is not None:
        systems["overcomplete"] = peer
    losses = {name: np.zeros(size.steps) for name in systems}
    seconds = {name: np.zeros(size.steps) for name in systems}
    for step in range(size.steps):
        for name, system in systems.items():
            began = time.process_time()
            losses[name][step] = next(system)
            seconds[name][step] = time.process_time() - began
    mine, rows = seconds["pellucid"][1:], []  # the first step makes kernels ready
    case = f"TopK {size.width} to {size.latents}, k = {min(K, size.latents // 8)}"
    for name in list(systems)[1:]:
        theirs = seconds[name][1:]
        again = bootstrap(
            len(mine), lambda r, t=theirs: float(np.median(t[r]) / np.median(mine[r])), seed
        )
        ratio = float(np.median(theirs) / np.median(mine))
        goal = "at least 4" if size is FULL else None
        rows.append(Row("sae_speed", f"{case}, against {name}", "pellucid", ratio, goal,
                        len(mine), again))  # fmt: skip
        rows.append(Row("sae_loss", f"ours over that of {name}", "pellucid",
                        float(losses["pellucid"][-1] / losses[name][-1]), "at most 1.001",
                        size.steps))  # fmt: skip
    yield (
        rows,
        [
            {"figure": "sae_speed", "system": name, "item": step,
             "seconds": float(seconds[name][step]), "loss": float(losses[name][step])}
            for name in systems
            for step in range(size.steps)
        ],
    )  # fmt: skip
