"""`pellucid train`: the shipped models, from nothing; or a model of the user's own pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from toolkit.cli.terminal import command, say, show, show_json, whole
from toolkit.errors import UserError
from toolkit.training import NAMES

WHOLE = 180.0  # minutes for the bundle
BUNDLE = Path(__file__).parent.parent / "weights"


def add(commands) -> None:
    train = command(
        commands,
        "train",
        "train the shipped models, or one on your own pictures, resumable, on CPU or GPU",
        "  pellucid train all --budget 3h          the whole bundle, in order, with model cards\n"
        "  pellucid train clip --budget 40m --weights my-weights\n"
        "  pellucid train prior --steps 500 --seed 1 --weights my-weights\n"
        "  pellucid train unet --data my-pictures --out my-model       fine-tune Stable Diffusion\n"
        "  pellucid train unet --data my-pictures --from nothing --steps 5000 --out my-model\n"
        "  pellucid train clip --data my-pictures --out my-clip\n"
        "my-pictures: images with metadata.jsonl or metadata.csv (file_name, text), or Parquet",
        run_train,
    )
    train.add_argument("model", help=f"all, or one of {' '.join(NAMES)}")
    train.add_argument(
        "--budget", help="time for all of it: 3h, 90m, 600s (3h; one model its share)"
    )
    train.add_argument("--steps", type=whole, help="steps a model instead of a time budget")
    train.add_argument("--seed", type=whole, default=0, help="data and initial weights (0)")
    train.add_argument(
        "--weights", type=Path, default=BUNDLE, help="where the models go (the shipped bundle)"
    )
    train.add_argument(
        "--checkpoints", type=Path, default=Path("checkpoints"),
        help="what to go on from after a stop (checkpoints)",
    )  # fmt: skip
    own = train.add_argument_group("own pictures (unet or clip)")
    own.add_argument("--data", metavar="FOLDER", help="pictures with captions, or a Parquet file")
    own.add_argument(
        "--from", dest="start", default="portraits", metavar="START",
        help="portraits (the shipped models), nothing, or a folder trained before (portraits)",
    )  # fmt: skip
    own.add_argument("--out", metavar="FOLDER", help="where the model goes (my-MODEL)")
    own.add_argument("--clip", metavar="FOLDER", help="a CLIP for the U-Net's text (the shipped)")
    own.add_argument("--every", type=whole, default=500, help="steps between sample grids (500)")
    own.add_argument("--batch", type=whole, default=16, help="pictures a step (16)")
    train.add_argument("--json", action="store_true", help="print the written cards as JSON")


def run_own(args: argparse.Namespace) -> int:
    from toolkit.training import minutes_in
    from toolkit.training.own import STEPS, Request, train_own

    minutes = minutes_in(args.budget) if args.budget else None
    steps = STEPS if args.steps is None and minutes is None else args.steps
    if steps is not None and minutes is not None:
        raise UserError("both --steps and --budget were given; give one of them")
    request = Request(
        args.model, args.data, args.start, steps, minutes,
        args.seed, args.batch, args.every, args.clip,
    )  # fmt: skip
    out = train_own(request, args.out or f"my-{args.model}", say)
    if args.json:
        show_json({"model": str(out), "training": str(out / "training")})
        return 0
    show(str(out))
    say(f"how it went: {out / 'training'}")
    return 0


def run_train(args: argparse.Namespace) -> int:
    if args.data is not None:
        return run_own(args)
    if args.out or args.clip or args.start != "portraits":
        raise UserError("--out, --clip and --from are for own pictures; name them with --data")
    from toolkit.studies.checkup import write_sums
    from toolkit.training import minutes_in, recipe_named, train

    minutes = minutes_in(args.budget) if args.budget else None
    if minutes is None and args.steps is None:
        minutes = WHOLE * (1 if args.model == "all" else recipe_named(args.model).share)
    say(f"training into {args.weights}; stop with Ctrl-C and repeat the command to go on")
    cards = train(
        args.model,
        args.weights,
        args.checkpoints,
        minutes=minutes,
        steps=args.steps,
        seed=args.seed,
    )
    write_sums(args.weights)
    if args.json:
        show_json([str(card) for card in cards])
    else:
        for card in cards:
            show(str(card))
    return 0
