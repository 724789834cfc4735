"""`pellucid sd`: experiments with Stable Diffusion's parts."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import Parser, command, say, show, show_json, whole
from toolkit.errors import UserError

PROMPTS = [
    "an old chef with glasses and a beard on a blue background",
    "a smiling doctor with brown skin and long red hair",
    "a surprised farmer with a grey beard",
    "a young police officer with glasses on a yellow background",
]
WISH = "a portrait of a person with glasses"
# name: what it does, and how many pictures a figure is measured on when nothing is said
PARTS = {
    "noising": ("drown pictures in noise, and compare with the schedule", 64),
    "denoising": ("draw step by step; when is each factor decided?", 48),
    "decoder": ("look at the latents without the decoder", 100),
    "guidance": ("sweep the guidance scale", 32),
    "schedulers": ("swap the sampler, with few and many steps", 24),
    "layers": ("hand on the text encoder's layers one by one", 48),
    "attention": ("see where each word looks, and whether it points right", 120),
    "edit": ("start from a picture: image to image", 40),
    "inpaint": ("repaint a region only", 40),
}


def add(commands) -> None:
    sd = command(
        commands,
        "sd",
        "Stable Diffusion taken apart: noise, steps, decoder, guidance, words, edits, compression",
        "  pellucid sd denoising\n"
        '  pellucid sd attention "an old chef with glasses and a beard"\n'
        "  pellucid sd decoder\n"
        '  pellucid sd edit --picture face.png "a person with glasses"\n'
        "  pellucid sd compression --steps 1000",
        run_missing,
    )
    parts = sd.add_subparsers(title="parts", metavar="PART", parser_class=Parser)
    for name, (what, n) in PARTS.items():
        part = command(parts, name, what, f"  pellucid sd {name}", run_part)
        part.set_defaults(part=name)
        if name not in ("noising", "inpaint"):
            part.add_argument("prompts", nargs="*", metavar="PROMPT", help="what to draw")
        if name == "edit":
            part.add_argument("--picture", metavar="FILE", help="start here (a render)")
        part.add_argument("--n", type=whole, default=n, help=f"pictures a figure is from ({n})")
        _common(part, name)
    study = command(
        parts, "compression", "train with latents of factor 1, 2, 4 and 8, and compare",
        "  pellucid sd compression --steps 1000\n"
        "  pellucid sd compression --steps 1000 --replace   (goes on where it was stopped)",
        run_compression,
    )  # fmt: skip
    study.add_argument("--steps", type=whole, default=1000, help="of each U-Net (1000: an hour)")
    study.add_argument("--n", type=whole, default=64, help="pictures a figure is from (64)")
    study.add_argument(
        "--checkpoints", default="checkpoints/compression", metavar="FOLDER",
        help="where a stopped training goes on from (checkpoints/compression)",
    )  # fmt: skip
    _common(study, "compression")


def _common(part: argparse.ArgumentParser, name: str) -> None:
    part.add_argument("--seed", type=whole, default=0, help="of noise and portraits (0)")
    part.add_argument("--out", default=f"runs/sd-{name}", help=f"the run (runs/sd-{name})")
    part.add_argument("--replace", action="store_true", help="replace a run of that name")
    part.add_argument("--json", action="store_true", help="print the summary as JSON")


def run_missing(args: argparse.Namespace) -> int:
    raise UserError(
        f"say which experiment: {', '.join(PARTS)} or compression; see pellucid sd --help"
    )


def _answer(args: argparse.Namespace, done: dict) -> int:
    if args.json:
        show_json(done)
        return 0
    show(done["sheet"])
    for reason in done["withheld"]:
        say(f"withheld: {reason}")
    say(f"{done['released']} of {done['asked']} pictures; numbers in {done['numbers']}")
    return 0


def run_part(args: argparse.Namespace) -> int:
    from toolkit.studies.sd_run import sd_run

    prompts = getattr(args, "prompts", None) or ([WISH] if args.part == "edit" else PROMPTS)
    picture = getattr(args, "picture", None)
    done = sd_run(
        args.out, args.part, prompts, n=args.n, seed=args.seed, picture=picture,
        replace=args.replace, say=say,
    )  # fmt: skip
    return _answer(args, done)


def run_compression(args: argparse.Namespace) -> int:
    from toolkit.studies.sd_run import compression_run

    return _answer(
        args,
        compression_run(
            args.out, steps=args.steps, n=args.n, seed=args.seed, checkpoints=args.checkpoints,
            replace=args.replace, say=say,
        ),
    )  # fmt: skip
