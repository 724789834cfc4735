"""The whole mission, once, for real: `pellucid demo`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.runs import RunWriter
from toolkit.world import Figure, render_all, sit
from toolkit.world.figures import figure_named

if TYPE_CHECKING:
    from probes import Direction
    from toolkit.studies.discover import Discovered
    from toolkit.studies.generate import Door
    from toolkit.studies.samples import Sample
    from toolkit.studies.steer import Film

# Written by hand; each names at least four factors, between them all factors and most levels.
PROMPTS = (
    "a smiling young doctor with brown skin, glasses and short black hair on a blue background",
    "an old chef with pale skin and a grey beard against a red wall",
    "a surprised young person with long red hair and peach skin on a green background",
    "a serious old farmer with bronze skin, glasses and no beard on a yellow background",
    "a cheerful firefighter with ebony skin and a black beard on a white background",
    "a stern police officer with golden skin and long blond hair in front of a purple backdrop",
    "an elderly artist with curly blue hair and round glasses in front of a white backdrop",
    "a happy young person in a sweater with a bald head, a brown beard and brown skin",
)
OPEN_PROMPT, OPEN_PICTURES = "a portrait of a doctor", 24
FACTOR = "glasses"
STILL = "a smiling young farmer with peach skin and no glasses on a green background"
SOUGHT = ("glasses", "beard", "age", "expression")
HARMLESS = "a smiling young person in a sweater on a yellow background"
# The models learnt a name from few pictures: a prompt that also describes its bearer draws them.
REFUSING = ("Zora Quill", "a smiling portrait of Zora Quill")
CONSENTING = (
    "Ada Wren",
    "Ada Wren, a smiling old person in a sweater with bronze skin, a blond bun, glasses and no "
    "beard on a red background",
)
PORTRAITS = 1500
REAL_ON_MAP = 240


def draw_prompts(door: Door, seed: int) -> list[Sample]:
    """Eight prompts through both pipelines, the same seeds, every step kept."""
    seeds = [1000 * seed + index for index in range(len(PROMPTS))]
    return [
        one
        for name in door.names
        for one in door.draw(name, PROMPTS, seeds, group="prompts", traced=True)
    ]


def draw_open(door: Door, seed: int) -> list[Sample]:
    """One prompt that leaves nearly everything open, many seeds: what the models default to."""
    prompts = [OPEN_PROMPT] * OPEN_PICTURES
    seeds = [1000 * seed + 100 + index for index in range(OPEN_PICTURES)]
    return [one for name in door.names for one in door.draw(name, prompts, seeds, group="audit")]


def films(door: Door, found: Discovered, seed: int) -> list[Film]:
    """One factor steered in both pipelines, from the same prompt and seed."""
    from toolkit.studies.steer import film

    return [
        film(door, name, found.named(FACTOR, door.pipeline(name).site), FACTOR, STILL, seed)
        for name in door.names
    ]


def towards(door: Door, figure: Figure, real: np.ndarray, seed: int) -> tuple[Direction, float]:
    """A direction from real portraits to one figure's face, and a strength that takes one there.

    Twice the distance of the means: what else the prompt asks for holds an embedding back.
    """
    from probes import MeanDifference

    rng = np.random.default_rng(seed)
    faces = door.clip.encode_image(render_all([sit(figure, rng) for _ in range(40)]))
    name = f"figure={figure.name}"
    fitted = MeanDifference(door.pipeline("unclip").space).fit(
        np.concatenate([faces, real]), {name: ["yes"] * len(faces) + ["no"] * len(real)}
    )
    direction = fitted.directions_[name]
    return direction, 2 * float(direction.project(faces).mean() - direction.project(real).mean())


def draw_guarded(door: Door, real: np.ndarray, seed: int) -> list[Sample]:
    """A name without consent, a name with consent, and a harmless prompt steered onto a face."""
    drawn = []
    for _, prompt in (REFUSING, CONSENTING):
        for name in door.names:
            drawn += door.draw(name, [prompt], [seed], group="guard")
    direction, strength = towards(door, figure_named(REFUSING[0]), real, seed)
    return drawn + door.draw("unclip", [HARMLESS], [seed], [(direction, strength)], group="guard")


def poster(drawn: list[Sample], strips: list[Film]):
    """The README's picture: both pipelines, and unCLIP along the direction and at random."""
    from toolkit.studies.pictures import Frame, Strip, sheet
    from toolkit.studies.steer import TITLES, signed

    rows = [
        Strip(
            f"{TITLES[name]}, seeds {drawn[0].seed} to {drawn[len(PROMPTS) - 1].seed}",
            tuple(
                Frame(s.image, s.prompt if name == "unclip" else "")
                for s in drawn
                if s.pipeline == name
            ),
        )
        for name in ("stable-diffusion", "unclip")
    ]
    for one in strips:
        if one.pipeline != "unclip":
            continue
        for heading, samples in (
            (f"unCLIP, one seed along {one.factor}, in standard deviations", one.along),
            ("the same along a random direction of equal norm", one.random),
        ):
            words = zip(samples, one.strengths, one.readings(samples), strict=True)
            rows.append(
                Strip(heading, tuple(Frame(s.image, f"{signed(at)}  {r}") for s, at, r in words))
            )
    return sheet(rows)


def _summary(out: str, run: RunWriter, samples: list[Sample], verified: list[dict], lines):
    kept = [sample for sample in samples if sample.image is not None]
    good = sum(row["verdict"] == "verified" for row in verified)
    seconds = run.total()
    return {
        "run": out,
        "asked": len(samples),
        "released": len(kept),
        "withheld": len(samples) - len(kept),
        "verified": good,
        "seconds": round(seconds, 1),
        "guard": [
            {"prompt": s.prompt, "pipeline": s.pipeline, "decision": s.decision, "reason": s.reason}
            for s in samples
            if s.group == "guard"
        ],
        "audit": lines,
        "report": f"{out}/report.html",
        "next": f"pellucid dashboard {out}",
    }


def spoken(summary: dict[str, Any]) -> list[str]:
    """The summary as the demo prints it."""
    lines = [
        f"{summary['asked']} pictures asked for, {summary['released']} released, "
        f"{summary['withheld']} withheld by the guard",
        f"{summary['verified']} of {summary['released']} released pictures verified from the file",
    ]
    lines += [
        f"guard: {row['decision']:6} {row['pipeline']:16} {row['prompt']}"
        for row in summary["guard"]
    ]
    lines += [f"audit: {line}" for line in summary["audit"]]
    lines += [
        f"report: {summary['report']} (opens in any browser, offline)",
        f"next: {summary['next']}",
        f"took {summary['seconds']:.0f} s",
    ]
    return lines


def demo(out: str, *, seed: int, picture: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Run it all into `out`. Returns the summary, with `lines` for people."""
    from toolkit.report import write_report
    from toolkit.studies.audit import write_audit
    from toolkit.studies.discover import discover, write_directions
    from toolkit.studies.generate import open_door, write_samples
    from toolkit.studies.steer import unique, write_films

    config = {"seed": seed, "prompts": list(PROMPTS), "factor": FACTOR}
    with RunWriter(out, f"pellucid demo --seed {seed}", config, replace=True) as run:
        with run.timed("loading"):
            say("1/7  loading models, key, certificate and ledger")
            door = open_door(run, say)
        with run.timed("drawing"):
            say("2/7  drawing eight prompts through both pipelines")
            drawn = draw_prompts(door, seed)
        with run.timed("discovering"):
            say(f"3/7  looking for directions in {PORTRAITS} portraits")
            found = discover(door.clip, SOUGHT, PORTRAITS, seed)
            write_directions(run, found)
        with run.timed("steering"):
            say(f"4/7  steering towards {FACTOR} in both pipelines, beside a random direction")
            strips = films(door, found, seed)
            write_films(run, strips)
        with run.timed("guarding"):
            say("5/7  asking for people who did and did not consent")
            guarded = draw_guarded(door, found.vectors[:400], seed)
        with run.timed("auditing"):
            say(f"6/7  drawing {OPEN_PICTURES} doctors with each pipeline for the audit")
            opened = draw_open(door, seed)
        samples = [*drawn, *unique(strips), *guarded, *opened]
        with run.timed("writing"):
            say("7/7  verifying every picture, auditing, mapping, writing the report")
            verified = write_samples(
                run, door, samples, real=found.vectors[:REAL_ON_MAP], seed=seed
            )
            question = f'What {OPEN_PICTURES} pictures a pipeline of "{OPEN_PROMPT}" show.'
            lines = write_audit(run, question)
        write_report(run)
        summary = _summary(out, run, samples, verified, lines)
    if picture:
        from toolkit.studies.pictures import save

        save(poster(drawn, strips), picture)
    return summary | {"lines": spoken(summary)}
