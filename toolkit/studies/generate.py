"""The one door: prompts in, guarded, marked, signed and logged pictures out.

CLI, demo, dashboard and the documented library call all draw here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import UserError
from toolkit.people import vault
from toolkit.runs import RunWriter
from toolkit.studies.checkup import home
from toolkit.studies.samples import Sample, row_of, write_samples
from toolkit.world.factors import FACTORS

if TYPE_CHECKING:
    from probes import Direction
    from safety import Guard, Ledger
    from safety.content_credentials import Source
    from safety.keys import Keys
    from toolkit.clip import Clip
    from toolkit.judges import Judgement
    from toolkit.pipelines import Trace
    from toolkit.pipelines.checkpoints import Checkpoint

__all__ = ["Door", "Sample", "chosen_pipelines", "generate_run", "open_door", "write_samples"]

SHORT = {"stable-diffusion": "sd", "unclip": "un"}
SITES = {"stable-diffusion": "text_states", "unclip": "image_embedding"}
BATCH, MOST = 24, 1000
TRACED = 12  # steps of a checkpoint's picture that are kept


class Door:
    """Models, guard, keys and ledger, loaded once; `draw` is the only way out for a picture.

    With a real `checkpoint` it is the one pipeline there is, and neither the world's CLIP nor its
    judge is there: they are for portraits and read none of its pictures.
    """

    def __init__(
        self,
        run: RunWriter,
        clip: Clip | None,
        judge: Any,
        guard: Guard,
        keys: Keys,
        prior: str = "diffusion",
        checkpoint: Checkpoint | None = None,
        registry: str | None = None,
    ):
        """`registry` is the version of this machine's that the guard was loaded with (today's)."""
        from safety import Ledger as Log

        self.prior, self.checkpoint = prior, checkpoint
        self.run, self._clip, self.judge, self.guard, self.keys = run, clip, judge, guard, keys
        self.ledger: Ledger = Log(run.file("ledger"), keys.ledger)
        self.names = (checkpoint.name,) if checkpoint else tuple(SHORT)
        self.sources: tuple[Source, ...] = ()  # what every picture is made from
        self._registry = vault().version() if registry is None else registry
        self._drawn = 0

    @property
    def clip(self) -> Clip:
        """The world's CLIP. Raises UserError where a real checkpoint draws."""
        if self._clip is None:
            raise UserError(
                "the world's CLIP reads portraits, not pictures of a real checkpoint; leave out "
                "--model"
            )
        return self._clip

    def pipeline(self, name: str) -> Any:
        """A pipeline by name; its hash goes into the run's manifest."""
        from toolkit.pipelines import load_pipeline

        if self.checkpoint is not None:
            self.run.manifest["models"] |= {self.checkpoint.name: self.checkpoint.hash}
            return self.checkpoint
        found = load_pipeline(name, self.prior)
        self.run.manifest["models"] |= {"clip": self.clip.hash, name: found.hash}
        return found

    def draw(
        self,
        pipeline: str,
        prompts: Sequence[str],
        seeds: Sequence[int],
        edits: Sequence[tuple[Direction, float]] = (),
        *,
        group: str = "prompts",
        traced: bool = False,
        references: np.ndarray | None = None,
        how: Callable[..., Any] | None = None,
        start: Any = None,
    ) -> list[Sample]:
        """Draw one picture a prompt and release those that the guard lets pass.

        `edits` are (direction, strength in sigmas) and hold for all of them; `traced` keeps every
        step. `references` (m, h, w, 3) uint8 are pictures that the request starts from. `how`
        draws in place of the pipeline's `generate`, with its parameters; `start` goes to it, one
        row a prompt. Raises UserError for a bad request, and when somebody was added to the
        registry of people, revoked or deleted since the door was opened.
        """
        from toolkit.guarding import CHECKPOINT
        from toolkit.pipelines import Edit, Trace

        if vault().version() != self._registry:
            raise UserError(
                "this machine's registry of people was changed while pictures were drawn, so "
                "nothing more is; repeat the command, or open the door again"
            )
        model, most = self.pipeline(pipeline), TRACED if self.checkpoint else None
        trace = Trace(most=most) if traced else None
        guarded = self.guard(how or model.generate, CHECKPOINT if self.checkpoint else pipeline)
        changes = [Edit(direction, strength) for direction, strength in edits]
        result = guarded(prompts, seeds, changes, start, trace, references=references)
        edit = _edit_facts(edits)
        samples = []
        for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            decision = result.decisions[index]
            asked = Sample(
                self._next_id(pipeline), pipeline, group, prompt, int(seed), edit,
                decision.action, decision.reason, [one.to_json() for one in decision.findings],
                readable=self.checkpoint is None,
            )  # fmt: skip
            if index in result.kept:
                row = result.kept.index(index)
                hidden = trace is None or decision.action == "blur"
                steps = None if hidden else _steps(trace, row)
                asked = self._release(asked, result.batch.images[row], model, edits, steps)
            samples.append(asked)
        return self._judged(samples)

    def _next_id(self, pipeline: str) -> str:
        self._drawn += 1
        return f"{SHORT.get(pipeline, 'ck')}-{self._drawn:04d}"

    def _release(
        self,
        sample: Sample,
        image: np.ndarray,
        model: Any,
        edits,
        trace: dict[str, np.ndarray] | None,
    ) -> Sample:
        """Mark, describe, sign and log a picture; withhold one that can't carry all of it."""
        from PIL import Image

        from safety import ManifestStore, release_image
        from safety.metadata import Facts

        family = self.checkpoint.kind if self.checkpoint else "portraits"
        facts = Facts(
            sample.prompt, sample.seed, sample.pipeline, family, model.hash,
            metadata.version("pellucid"), edits=tuple((d.name, float(s)) for d, s in edits),
        )  # fmt: skip
        path = self.run.file(f"images/{sample.id}.png")
        try:
            store = ManifestStore(home() / "manifests")
            out = release_image(
                image, facts, path, keys=self.keys, ledger=self.ledger, sources=self.sources,
                store=store,
            )  # fmt: skip
        except ValueError as error:
            reason = f"it could not be marked and signed, so it is withheld ({error})"
            return replace(sample, decision="block", reason=reason)
        with Image.open(path) as opened:
            pixels = np.asarray(opened.convert("RGB"))
        return replace(
            sample, image=pixels, sha256=out.sha256, payload=out.watermark_payload,
            entry=out.ledger_index, trace=_marked(trace, image, pixels),
        )  # fmt: skip

    def _judged(self, samples: list[Sample]) -> list[Sample]:
        """The samples with the judge's readings of their released pixels."""
        shown = [sample for sample in samples if sample.image is not None and sample.readable]
        if not shown:
            return samples
        read = self.judge.judge(
            np.stack([sample.image for sample in shown if sample.image is not None])
        )
        levels = {sample.id: _reading(read, row) for row, sample in enumerate(shown)}
        return [
            replace(s, judged=levels[s.id][0], confidence=levels[s.id][1]) if s.id in levels else s
            for s in samples
        ]


def _reading(read: Judgement, row: int) -> tuple[dict[str, str], dict[str, float]]:
    return (
        {factor: str(read.levels[factor][row]) for factor in FACTORS},
        {factor: round(float(read.confidence[factor][row]), 4) for factor in FACTORS},
    )


def _edit_facts(edits: Sequence[tuple[Direction, float]]) -> dict[str, Any] | None:
    """The edit as a row has it; several are named together."""
    if not edits:
        return None
    return {
        "direction": " and ".join(direction.name for direction, _ in edits),
        "strength": float(edits[0][1]),
        "site": edits[0][0].space.site,
        "all": [[direction.name, float(strength)] for direction, strength in edits],
    }


def _steps(trace: Trace, row: int) -> dict[str, np.ndarray]:
    """One picture's part of a trace, latents and prior in half precision."""
    assert trace.latents is not None and trace.predicted is not None
    steps = {
        "timesteps": np.asarray(trace.timesteps, np.int64),
        "latents": trace.latents[:, row].astype(np.float16),
        "predicted": np.ascontiguousarray(trace.predicted[:, row]),
    }
    if trace.prior is not None:
        steps["prior"] = trace.prior[:, row].astype(np.float16)
    return steps


def _marked(
    trace: dict[str, np.ndarray] | None, image: np.ndarray, pixels: np.ndarray
) -> dict[str, np.ndarray] | None:
    """A picture's trace with its mark over every foreseen picture, the last of which it is.

    The pattern that turned `image` into the released `pixels` marks the others too, once they
    are more than fog. Previews of another size (unCLIP's 32 pixels) are too small for a mark.
    """
    if trace is None or trace["predicted"].shape[1:] != image.shape:
        return trace
    pattern = pixels.astype(np.int16) - image
    marked = (trace["predicted"] + pattern).clip(0, 255).astype(np.uint8)
    return trace | {"predicted": marked}


def open_door(
    run: RunWriter,
    say: Callable[[str], None] = lambda text: None,
    prior: str = "diffusion",
    checkpoint: Checkpoint | None = None,
    purpose: str | None = None,
) -> Door:
    """Load what drawing into a run needs; keys and certificate are made on first use.

    `prior` is unCLIP's; `checkpoint` draws in place of both pipelines (toolkit.pipelines.
    checkpoints); consent that names other purposes than `purpose` does not count. Raises UserError
    for weights or keys that are missing or damaged.
    """
    from safety.diffusion_checker import DiffusionChecker
    from safety.keys import keys
    from toolkit.clip import load_clip
    from toolkit.guarding import (
        CHECKER,
        from_the_world,
        load_checkpoint_guard,
        load_guard,
        unchecked,
    )
    from toolkit.judges import load_judge

    folder, registry = home() / "keys", vault().version()
    if not folder.exists():
        say(f"making a watermark key and a development certificate in {folder}")
    if checkpoint is not None:
        clip = load_clip()
        world = load_guard(clip, purpose=purpose) if from_the_world(checkpoint, clip) else None
        guard = load_checkpoint_guard(purpose=purpose, world=world, checkpoint=checkpoint.folder)
        run.manifest["checkpoint"] = {"name": checkpoint.name, "kind": checkpoint.kind}
        run.manifest["unchecked"] = unchecked(guard, checkpoint.folder)
        if isinstance(checker := guard.checks.get(CHECKER), DiffusionChecker):
            run.manifest["safety_checker"] = checker.calibration
        rest = "; ".join(run.manifest["unchecked"])
        say(f"not checked in pictures of {checkpoint.name}: {rest}")
        return Door(run, None, None, guard, keys(folder), prior, checkpoint, registry)
    clip = load_clip()
    guard = load_guard(clip, purpose=purpose)
    return Door(run, clip, load_judge("cnn"), guard, keys(folder), prior, registry=registry)


def chosen_pipelines(name: str) -> tuple[str, ...]:
    """One pipeline or, for "both", all. Raises UserError naming those that exist."""
    if name == "both":
        return tuple(SHORT)
    if name not in SHORT:
        raise UserError(f"no pipeline is named {name!r}; choose both or one of {', '.join(SHORT)}")
    return (name,)


def generate_run(
    out: str,
    *,
    prompts: Sequence[str],
    pipeline: str,
    prior: str,
    seed: int,
    count: int,
    edits: Sequence[tuple[str, float]],
    directions: str,
    replace: bool,
    say: Callable[[str], None],
    model: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    picture: str | None = None,
    generation_mark: str | None = None,
    purpose: str | None = None,
) -> list[dict[str, Any]]:
    """`pellucid generate`: a run of the prompts, `count` seeds each. Returns one row a picture.

    With `generation_mark`, the name of a scheme, a mark of the watermark key is also made while
    drawing (toolkit.studies.generation_mark).

    `model` is a real checkpoint's folder or id, which draws in place of the shipped pipelines;
    `steps` and `guidance` replace the pipelines' own; `picture` is what an image-to-image
    checkpoint varies.
    """
    from toolkit.pipelines.batch import check_request, check_sampler
    from toolkit.priors import known_prior
    from toolkit.report import write_report
    from toolkit.studies.generation_mark import check_scheme, marking
    from toolkit.studies.steer import find_direction

    known_prior(prior)
    if generation_mark is not None:
        check_scheme(generation_mark)
    if generation_mark and model:
        raise UserError(
            "marks in generation are for the shipped pipelines; leave out --generation-mark or "
            "--model"
        )
    if not 1 <= count <= MOST:
        raise UserError(
            f"{count} pictures a prompt were asked for; --count is at least 1, at most {MOST}"
        )
    texts = [prompt for prompt in prompts for _ in range(count)]
    seeds = [seed + index for _ in prompts for index in range(count)]
    check_request(texts, seeds)
    settings = check_sampler(steps, guidance)
    checkpoint = chosen_checkpoint(model, pipeline, say)
    names = (checkpoint.name,) if checkpoint else chosen_pipelines(pipeline)
    start_from = None if picture is None else _start_from(picture, checkpoint)
    found = {
        name: [
            (find_direction(directions, factor, *sites_of(name, checkpoint)), strength)
            for factor, strength in edits
        ]
        for name in names
    }
    config = {"prompts": list(prompts), "pipelines": list(names), "seed": seed, "count": count}
    config |= {"edits": [list(edit) for edit in edits]} | settings
    config |= {"prior": prior} if "unclip" in names else {}
    config |= {"picture": Path(picture).name} if picture else {}
    config |= {"generation_mark": generation_mark} if generation_mark else {}
    config |= {"purpose": purpose} if purpose else {}
    with RunWriter(out, "pellucid generate", config, replace) as run:
        door = open_door(run, say, prior, checkpoint, purpose)
        samples, most = [], checkpoint_batch(checkpoint) if checkpoint else BATCH
        for name in names:
            say(f"{name}: {len(texts)} pictures")
            drawer = door.pipeline(name)
            how = partial(drawer.generate, **settings)
            if start_from is not None:
                how = partial(drawer.variations, start_from, **settings)
            with run.timed(f"draw {name}"):
                for start in range(0, len(texts), most):
                    part = slice(start, start + most)
                    mark = marking(name, seeds[part], door.keys.watermark, generation_mark)
                    samples += door.draw(
                        name, texts[part], seeds[part], found[name], traced=True,
                        start=mark.pop("start", None), how=partial(how, **mark),
                        references=start_from,
                    )  # fmt: skip
        write_samples(run, door, samples, seed=seed)
        write_report(run)
    return [
        {name: row[name] for name in ("id", "pipeline", "prompt", "seed", "decision", "reason")}
        | {"image": f"{out}/{row['image']}" if row["image"] else None, "edit": row["edit"]}
        for row in map(row_of, samples)
    ]


def chosen_checkpoint(
    model: str | None, pipeline: str, say: Callable[[str], None]
) -> Checkpoint | None:
    """The real checkpoint of `--model`, if one was named. Raises UserError for a contradiction."""
    from toolkit.pipelines.checkpoints import load_checkpoint

    if model is None:
        return None
    if pipeline != "both":
        raise UserError(
            f"--pipeline {pipeline} is a shipped pipeline and --model {model} another model; give "
            "one of the two"
        )
    return load_checkpoint(model, say)


def _start_from(picture: str, checkpoint: Checkpoint | None) -> np.ndarray:
    """(1, h, w, 3) uint8 of the user's picture. Raises UserError where nothing can take it."""
    from toolkit.studies.embed import read_picture

    if checkpoint is None or checkpoint.kind != "StableUnCLIPImg2ImgPipeline":
        raise UserError(
            "--picture is what an image-to-image checkpoint (StableUnCLIPImg2ImgPipeline, by "
            "--model) varies; the shipped pipelines take one in: pellucid sd edit, pellucid unclip "
            "variations"
        )
    try:
        data = Path(picture).read_bytes()
    except OSError as error:
        raise UserError(f"the picture {picture} can't be read ({error.strerror})") from error
    return np.asarray(read_picture(Path(picture), data))[None]


def checkpoint_batch(checkpoint: Checkpoint) -> int:
    """How many pictures are drawn at once: as many pixels as a batch of portraits has."""
    return max(1, BATCH * 64**2 // checkpoint.pixels**2)


def sites_of(name: str, checkpoint: Checkpoint | None) -> tuple[str, ...]:
    """Where a shipped pipeline, or the checkpoint, can be edited."""
    return tuple(checkpoint.spaces) if checkpoint else (SITES[name],)
