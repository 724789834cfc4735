"""Directions for the world's factors, at each site where a pipeline can be steered.

Image embeddings (unCLIP): PCA, and linear classifiers on real portraits. Text states (Stable
Diffusion): the difference of means over captions that differ in one factor alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.runs import RunWriter, write_json
from toolkit.world import FACTORS, Portrait, describe, render_all, sample

if TYPE_CHECKING:
    from probes import Agreement, Direction, ProbeReport
    from toolkit.clip import Clip

PAIRS = 120


@dataclass(frozen=True)
class Discovered:
    """What was found: directions, and the real portraits' embeddings behind them.

    `vectors` (n, d) are image embeddings; `pca` lists the variance that each component holds,
    `reports` what linear probes of each level showed, `agreement` where directions of image
    embeddings meet, measured where real vectors are round.
    """

    directions: tuple[Direction, ...]
    vectors: np.ndarray
    pca: tuple[float, ...]
    reports: tuple[ProbeReport, ...] = ()
    agreement: Agreement | None = None

    def named(self, name: str, site: str) -> Direction:
        """The direction of that name at that site."""
        return next(d for d in self.directions if (d.name, d.space.site) == (name, site))

    def facts(self) -> list[dict[str, Any]]:
        """One plain row a direction."""
        return [
            {
                "name": direction.name,
                "site": direction.space.site,
                "method": direction.method,
                "sigma": round(direction.sigma, 5),
                "accuracy": direction.evidence.get("balanced_accuracy"),
                "variance": direction.evidence.get("explained_variance_ratio"),
                "probe": direction.evidence.get("probe", {}).get("verdict"),
            }
            for direction in self.directions
        ]


def check_factors(factors: Iterable[str]) -> tuple[str, ...]:
    """The factors asked for, all of them for none. Raises UserError naming those that exist."""
    chosen = tuple(dict.fromkeys(factors)) or tuple(FACTORS)
    for factor in chosen:
        if factor not in FACTORS:
            raise UserError(f"no factor is named {factor!r}; choose from {', '.join(FACTORS)}")
    return chosen


def labels(portraits: Sequence[Portrait], factor: str) -> list[str | None]:
    """The true level of each portrait, None where the factor is undefined or hidden."""
    truths = [portrait.truth()[factor] for portrait in portraits]
    return [truth.level if truth.counts else None for truth in truths]


def poles(factor: str) -> dict[str, str]:
    """Direction name to the level it points to: one for a binary factor, else one a level."""
    levels = FACTORS[factor]
    return {factor: levels[-1]} if len(levels) == 2 else {f"{factor}={lv}": lv for lv in levels}


def paired_captions(factor: str, level: str, n: int, seed: int) -> tuple[list[str], list[str]]:
    """`n` captions with the factor at `level`, and their twins with it at another level.

    Twins are drawn with the same random numbers from the same portrait, so that nothing but the
    factor's words differs.
    """
    with_level, without = [], []
    others = [other for other in FACTORS[factor] if other != level]
    for index, portrait in enumerate(sample("probe", 8 * n, seed)):
        pair = [changed(portrait, **{factor: lv}) for lv in (level, others[index % len(others)])]
        # A change of attire or style can hide other factors: name only what shows in both.
        shown = [f for f in FACTORS if all(p.truth()[f].counts for p in pair)]
        if factor not in shown:
            continue
        rest = [f for f in shown if f not in (factor, "hair_color")]
        rng = np.random.default_rng([seed, index])
        names = (factor, *rng.permutation(rest)[: int(rng.integers(0, 4))].tolist())
        twins = [
            describe(p, np.random.default_rng([seed, index, 1]), factors=names).text for p in pair
        ]
        with_level.append(twins[0])
        without.append(twins[1])
        if len(with_level) == n:
            break
    return with_level, without


def word_states(clip: Clip, texts: list[str]) -> np.ndarray:
    """(n, d) mean of each text's token states over its words, padding left out."""
    encoding = clip.encode(texts)
    weights = encoding.mask[..., None].float()  # (n, L, 1)
    return ((encoding.states * weights).sum(1) / weights.sum(1)).numpy()


def text_directions(clip: Clip, factors: Sequence[str], seed: int) -> list[Direction]:
    """Directions in the text states, from paired captions."""
    from probes import MeanDifference, Space

    found = []
    space = Space(clip.hash, "text_states")
    for factor in factors:
        for name, level in poles(factor).items():
            on, off = paired_captions(factor, level, PAIRS, seed)
            fitted = MeanDifference(space).fit(
                word_states(clip, on + off), {name: ["yes"] * len(on) + ["no"] * len(off)}
            )
            one = fitted.directions_[name]
            found.append(changed(one, evidence=one.evidence | {"level": level, "pairs": len(on)}))
    return found


def check_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """The methods asked for, the usual for none, each once. Raises UserError naming the others."""
    from toolkit.studies.discover_methods import METHODS, USUAL

    chosen = tuple(dict.fromkeys(methods)) or USUAL
    if "all" in chosen:
        return tuple(METHODS)
    for method in chosen:
        if method not in METHODS:
            raise UserError(
                f"no method is named {method!r}; choose from {', '.join(METHODS)}, or all"
            )
    return chosen


def discover(
    clip: Clip,
    factors: Sequence[str],
    portraits: int,
    seed: int,
    methods: Sequence[str] = (),
) -> Discovered:
    """Directions by each method on image embeddings, and paired differences in text states.

    Where several methods find one name, the first keeps it and the others add theirs:
    "glasses", "glasses@means". Linear probes of the same vectors are put to every test.
    """
    from probes import Space, probe_report
    from toolkit.studies.discover_methods import METHODS, Seen

    chosen = check_methods(methods)
    people = sample("probe", portraits, seed)
    seen = Seen(
        Space(clip.hash, "image_embedding"), clip.encode_image(render_all(people)),
        {factor: labels(people, factor) for factor in factors}, seed,
        clip=clip, factors=tuple(factors), people=people,
    )  # fmt: skip
    reports = probe_report(seen.vectors, seen.labels, seed=seed)
    found = gathered({name: METHODS[name](seen) for name in chosen}, reports, seen.vectors)
    spoken = text_directions(clip, factors, seed)
    return changed(found, directions=(*found.directions, *spoken))


def gathered(
    by_method: Mapping[str, dict[str, Direction]],
    reports: Sequence[ProbeReport],
    vectors: np.ndarray,
) -> Discovered:
    """What methods found, each direction with its probe's report, and where methods agree."""
    from probes import agreement

    found: dict[str, Direction] = {}
    rows = {one.name: one.row() for one in reports}
    for method, directions in by_method.items():
        for name, one in directions.items():
            label = f"{name}@{method}" if name in found else name
            known = {"probe": rows[name]} if name in rows else {}
            found[label] = changed(one, name=label, evidence=one.evidence | known)
    meeting = agreement(list(found.values()), vectors) if len(found) > 1 else None
    variance = [one.evidence.get("explained_variance_ratio") for one in found.values()]
    share = tuple(round(float(part), 4) for part in variance if part is not None)
    return Discovered(tuple(found.values()), vectors, share, tuple(reports), meeting)


def file_name(name: str, site: str) -> str:
    """A direction's file: NAME.SITE.safetensors, what no file system takes replaced by "_"."""
    return f"{re.sub(r'[^a-zA-Z0-9_=@.+-]', '_', name)}.{site}.safetensors"


def write_directions(run: RunWriter, found: Discovered) -> None:
    """Save every direction as NAME.SITE.safetensors with its JSON, the reports and agreement."""
    for direction in found.directions:
        direction.save(run.file(f"directions/{file_name(direction.name, direction.space.site)}"))
    run.manifest["pca"] = {"explained_variance_ratio": list(found.pca), "n": len(found.vectors)}
    write_json(run.file("probes.json"), [report.row() for report in found.reports])
    if found.agreement:
        table = {
            "metric": found.agreement.metric,
            "chance": found.agreement.chance,
            "labels": list(found.agreement.labels),
            "cosines": np.round(found.agreement.cosines, 4).tolist(),
        }
        write_json(run.file("agreement.json"), table)


def discover_run(
    out: str,
    *,
    factors: Iterable[str],
    portraits: int,
    seed: int,
    replace: bool,
    say: Callable[[str], None],
    methods: Iterable[str] = (),
    model: str | None = None,
) -> list[dict[str, Any]]:
    """`pellucid discover`: a run that holds directions. Returns one row each.

    `model` is a real checkpoint's folder or id: its directions come from words alone.
    """
    from toolkit.clip import load_clip

    if model is not None:
        from toolkit.studies.discover_checkpoint import checkpoint_run

        return checkpoint_run(out, model, check_factors(factors), seed, replace, say, methods)
    chosen, ways = check_factors(factors), check_methods(methods)
    if not 200 <= portraits <= 100_000:
        raise UserError(f"{portraits} portraits were asked for; give 200 to 100000")
    config = {"factors": list(chosen), "portraits": portraits, "seed": seed, "methods": list(ways)}
    with RunWriter(out, f"pellucid discover {' '.join(chosen)}", config, replace) as run:
        clip = load_clip()
        run.manifest["models"] = {"clip": clip.hash}
        run.manifest["seeds"] = [seed]
        say(f"looking for {', '.join(chosen)} in {portraits} portraits by {', '.join(ways)}")
        with run.timed("discover"):
            found = discover(clip, chosen, portraits, seed, ways)
        write_directions(run, found)
    tell_failures(found, say)
    return found.facts()


def tell_failures(found: Discovered, say: Callable[[str], None]) -> None:
    """One line for each probe that fails, with its reasons."""
    for report in found.reports:
        if report.verdict == "fails":
            say(f"the probe of {report.name} fails: {'; '.join(report.reasons)}")
