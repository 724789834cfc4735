"""An experiment with Stable Diffusion, by name, as a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import UserError
from toolkit.pipelines.batch import check_request
from toolkit.studies.generate import Door
from toolkit.studies.laboratory import Experiment, laboratory_run

MOST_PROMPTS = 8


def sd_run(
    out: str,
    part: str,
    prompts: Sequence[str],
    *,
    n: int,
    seed: int,
    picture: str | None = None,
    replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Do one experiment into a run. Raises UserError for a bad request before anything is drawn."""
    from toolkit.studies.attention_lab import attention
    from toolkit.studies.sd_decoder import decoder
    from toolkit.studies.sd_edit import edit, inpaint
    from toolkit.studies.sd_lab import denoising, layers, noising
    from toolkit.studies.sd_sampling import guidance, schedulers
    from toolkit.studies.unclip_lab import read_picture

    check_request(prompts, [seed] * len(prompts))
    if len(prompts) > MOST_PROMPTS:
        raise UserError(f"{len(prompts)} prompts were given; a sheet holds at most {MOST_PROMPTS}")
    if n < 2:
        raise UserError(f"--n is {n}; an interval needs at least 2 pictures")
    given = read_picture(picture) if picture else None
    makers: dict[str, Callable[[Door], Experiment]] = {
        "noising": lambda door: noising(door, n, seed),
        "denoising": lambda door: denoising(door, prompts[:3], n, seed),
        "decoder": lambda door: decoder(door, prompts, n, seed),
        "guidance": lambda door: guidance(door, prompts, n, seed),
        "schedulers": lambda door: schedulers(door, prompts, n, seed),
        "layers": lambda door: layers(door, prompts, n, seed),
        "attention": lambda door: attention(door, prompts, n, seed),
        "edit": lambda door: edit(door, given, prompts[0], n, seed),
        "inpaint": lambda door: inpaint(door, n, seed),
    }
    return _named(
        laboratory_run(
            out, f"pellucid sd {part}", part, makers[part],
            config={"prompts": list(prompts), "n": n, "seed": seed},
            given=[(Path(picture).name, given)] if picture and given is not None else (),
            sources=[picture] if picture and part == "edit" else (), use="edited",
            replace=replace, say=say,
        ),
        part,
    )  # fmt: skip


def compression_run(
    out: str,
    *,
    steps: int,
    n: int,
    seed: int,
    checkpoints: str,
    replace: bool,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The compression study as a run; training goes on from `checkpoints` where it was stopped."""
    from toolkit.studies.compression import compression

    if n < 2 or steps < 1:
        raise UserError(f"--steps is {steps} and --n is {n}; give at least 1 step and 2 pictures")
    return _named(
        laboratory_run(
            out, "pellucid sd compression", "compression",
            lambda door: compression(door, Path(checkpoints), steps, n, seed),
            config={"steps": steps, "n": n, "seed": seed}, replace=replace, say=say,
        ),
        "compression",
    )  # fmt: skip


def _named(done: dict[str, Any], part: str) -> dict[str, Any]:
    return done | {"numbers": f"{done['run']}/laboratory/{part}.json"}
