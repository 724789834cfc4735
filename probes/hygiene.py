"""What a linear probe has to show before its accuracy means anything; failing is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from probes.calibration import calibration_error, probabilities
from probes.description import description_length
from probes.erasure import LeaceEraser
from probes.folds import assign_folds, balanced_accuracy, out_of_fold, stack
from probes.inputs import Contrast, contrasts, enough, finite, varied

FEWEST = 10  # groups at the level, and off it, below which nothing is claimed


@dataclass(frozen=True)
class ProbeReport:
    """What one probe (a factor, or one level of many against the rest) showed.

    accuracy: cross-validated balanced accuracy, with `interval`, a 95 % bootstrap over groups.
    auc: area under the ROC curve. share: how many of n labelled rows are at the level.
    calibration: expected calibration error of probabilities at the data's own share, ten bins;
    brier: their mean squared error, beside `brier_share`, that of always saying the share.
    control: accuracy on a control task (mean over draws), selectivity: what accuracy is above it.
    bits: online codelength of the labels, share of the codelength without vectors (1 is nothing
    learned).
    erased: accuracy after LEACE took the factor out of the training rows' vectors.
    p: permutation p-value, corrected for all probes of the report (Westfall & Young 1993).
    verdict: "reads", or "fails" with its `reasons`.
    """

    name: str
    factor: str
    level: str
    n: int
    share: float
    accuracy: float
    interval: tuple[float, float]
    auc: float
    calibration: float
    brier: float
    brier_share: float
    control: float
    selectivity: float
    bits: float
    erased: float
    p: float
    verdict: str
    reasons: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The report as a plain dictionary; None where there was too little to measure."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(one) for one in value]
            return None if isinstance(value, float) and not np.isfinite(value) else value

        return {key: plain(value) for key, value in asdict(self).items()}


def probe_report(
    X: Any,
    Y: Any,
    groups: Sequence[Any] | None = None,
    types: Sequence[Any] | None = None,
    C: float = 1.0,
    folds: int = 5,
    permutations: int = 99,
    alpha: float = 0.05,
    seed: int = 0,
) -> list[ProbeReport]:
    """Put class-balanced logistic probes to every test. One report a contrast of Y.

    X (n, d) vectors; Y factor to n labels (None: left out). Rows of one of the n `groups` (a
    person, a scene, a seed) are never split between fitting and testing, and are drawn together
    by the bootstrap. `types` (n ids; the rows' own content, as words are in Hewitt & Liang 2019)
    make the control task: each type has one random label wherever it occurs. Without them it is
    labels shuffled among groups, which measures chance but not memory.

    Raises ValueError for vectors and labels that can't be used.

    Misleads when `groups` is left out where rows belong together (copies, one person, one scene):
    every figure then counts memory as knowledge. "reads" says that the label can be read from the
    vectors, not that the model uses it, nor that the direction pushes; for that there is `prove`.
    """
    if permutations < 19:
        raise ValueError(f"{permutations} permutations can't show p below 0.05; take at least 19")
    X = enough(varied(finite(X)), "a linear probe")
    Z = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    found = contrasts(Y, len(X))
    ids = np.arange(len(X)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(ids) != len(X) or (types is not None and len(types) != len(X)):
        raise ValueError(f"groups and types must be {len(X)}, one for each vector")
    fold = assign_folds(len(X), folds, seed, ids.tolist())
    on, rows = stack(found)
    scores = out_of_fold(Z, on, rows, fold, C)
    accuracy = balanced_accuracy(on, rows, scores)
    null = _permuted(Z, found, ids, fold, C, permutations, seed)  # (permutations, K)
    p = _corrected(accuracy, null)
    if types is None:
        control = null.mean(0)
    else:
        kinds = np.unique(np.asarray(types), return_inverse=True)[1]
        control = _control(Z, on, rows, kinds, folds, C, seed)
    bits = description_length(Z, on, rows, ids, C, seed)
    erased = _erased(Z, found, fold, C)
    rng = np.random.default_rng([seed, 1])
    reports = []
    for k, one in enumerate(found):
        mine = one.rows & np.isfinite(scores[:, k])
        interval = _interval(one.on[mine], scores[mine, k], ids[mine], rng)
        probability = probabilities(scores[mine, k], one.on[mine].mean())
        report = ProbeReport(
            name=one.name, factor=one.factor, level=one.level, n=int(one.rows.sum()),
            share=float(one.on.sum() / one.rows.sum()),
            accuracy=float(accuracy[k]), interval=interval,
            auc=_auc(one.on[mine], scores[mine, k]),
            calibration=calibration_error(one.on[mine], probability),
            brier=float(((probability - one.on[mine]) ** 2).mean()),
            brier_share=float(one.on[mine].var()),
            control=float(control[k]), selectivity=float(accuracy[k] - control[k]),
            bits=float(bits[k]), erased=float(erased[k]), p=float(p[k]),
            verdict="reads", reasons=(),
        )  # fmt: skip
        reports.append(_judged(report, one, ids, alpha))
    return reports


def _judged(report: ProbeReport, one: Contrast, ids: np.ndarray, alpha: float) -> ProbeReport:
    """The report with its verdict: each reason a sentence's part, the first the worst."""
    few = min(len(set(ids[one.on])), len(set(ids[one.off])))
    checks = (
        (few < FEWEST, f"only {few} groups of the rarer side; {FEWEST} are the least"),
        (not report.p <= alpha, f"shuffled labels do as well (p = {report.p:.2f})"),
        (not report.interval[0] > 0.5, "its interval reaches chance"),
        (not report.selectivity > 0, "a control task is read as well"),
        (not report.bits < 1, "the vectors do not shorten the labels' description"),
    )
    reasons = tuple(reason for fails, reason in checks if fails)
    return replace(report, verdict="fails" if reasons else "reads", reasons=reasons)


def shuffle_groups(
    on: np.ndarray, rows: np.ndarray, ids: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(n, K) labels dealt out anew among the labelled rows; alike within a group if they were.

    All heads that share their rows are dealt out together, so that levels stay apart.
    """
    dealt = np.zeros_like(on)
    for mask in np.unique(rows, axis=1).T:
        heads = np.flatnonzero((rows == mask[:, None]).all(0))
        mine = np.flatnonzero(mask)
        group, first = np.unique(ids[mine], return_index=True)
        labels = on[np.ix_(mine, heads)]
        place = np.searchsorted(group, ids[mine])
        if (labels == labels[first][place]).all():
            order = rng.permutation(len(group))
            dealt[np.ix_(mine, heads)] = labels[first][order][place]
        else:
            dealt[np.ix_(mine, heads)] = labels[rng.permutation(len(mine))]
    return dealt


def _permuted(Z, found, ids, fold, C, permutations, seed) -> np.ndarray:
    """(permutations, K) accuracies with labels shuffled; many draws share one fit."""
    on, rows = stack(found)
    K, rng, null = on.shape[1], np.random.default_rng([seed, 2]), []
    at_once = max(1, 600 // K)
    for i in range(0, permutations, at_once):
        count = min(at_once, permutations - i)
        dealt = np.concatenate([shuffle_groups(on, rows, ids, rng) for _ in range(count)], 1)
        tiled = np.tile(rows, (1, count))
        scores = out_of_fold(Z, dealt, tiled, fold, C)
        null.append(balanced_accuracy(dealt, tiled, scores).reshape(count, K))
    return np.concatenate(null)


def _corrected(accuracy: np.ndarray, null: np.ndarray) -> np.ndarray:
    """(K,) p-values against the largest of all K statistics of each shuffle, standardised."""
    with np.errstate(invalid="ignore"):
        spread = np.maximum(np.nanstd(null, 0), 1e-9)
        centre = np.nanmean(null, 0)
        seen = (accuracy - centre) / spread
        worst = np.nanmax((null - centre) / spread, 1)
    return (1 + (worst[:, None] >= seen).sum(0)) / (1 + len(null))


def control_labels(on: np.ndarray, types: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) bool: each type one random label, at the share of `on` (Hewitt & Liang 2019, 2)."""
    kinds = np.unique(types, return_inverse=True)[1]
    return (rng.random(kinds.max() + 1) < on.mean())[kinds]


def _control(Z, on, rows, kinds, folds, C, seed, draws: int = 3) -> np.ndarray:
    """(K,) accuracy on the control task: types recur on both sides, so memory would show."""
    rng = np.random.default_rng([seed, 3])
    fold = assign_folds(len(Z), folds, seed)
    found = []
    for _ in range(draws):
        labels = np.stack([control_labels(on[r, k], kinds, rng) for k, r in enumerate(rows.T)], 1)
        found.append(balanced_accuracy(labels, rows, out_of_fold(Z, labels, rows, fold, C)))
    return np.nanmean(found, 0)


def _erased(Z, found: list[Contrast], fold: np.ndarray, C: float) -> np.ndarray:
    """(K,) accuracy where LEACE, fitted on the other folds, has taken the factor out."""
    accuracy = np.full(len(found), np.nan)
    for factor in dict.fromkeys(one.factor for one in found):
        heads = [k for k, one in enumerate(found) if one.factor == factor]
        on, rows = stack([found[k] for k in heads])
        scores = np.full(on.shape, np.nan)
        for name in np.unique(fold):
            train = rows[:, 0] & (fold != name)
            if train.sum() <= Z.shape[1] or on[train].all(0).any() or not on[train].any(0).all():
                continue
            clean = LeaceEraser().fit(Z[train], on[train].astype(float)).transform(Z)
            here = out_of_fold(clean.astype(np.float32), on, rows, (fold == name).astype(int), C)
            scores[fold == name] = here[fold == name]
        accuracy[heads] = balanced_accuracy(on, rows, scores)
    return accuracy


def _auc(on: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(on, scores)) if 0 < on.sum() < len(on) else float("nan")


def _interval(on, scores, ids, rng: np.random.Generator, draws: int = 1000) -> tuple[float, float]:
    """95 % of balanced accuracies over groups drawn anew."""
    right = (scores > 0) == on
    group = np.unique(ids, return_inverse=True)[1] if len(ids) else ids
    if not len(ids):
        return float("nan"), float("nan")
    count = int(group.max()) + 1
    tables = [
        np.bincount(group, weights=mask.astype(float), minlength=count)
        for mask in (right & on, on, right & ~on, ~on)
    ]
    weights = rng.multinomial(count, np.full(count, 1 / count), draws)  # (draws, groups)
    a, b, c, d = (weights @ table for table in tables)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (a / b + c / d) / 2
    low, high = np.nanquantile(found, (0.025, 0.975))
    return float(low), float(high)
