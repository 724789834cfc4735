"""`pellucid train`: the shipped models, from nothing."""

from __future__ import annotations

import argparse
from pathlib import Path

from toolkit.cli.terminal import command, say, show, show_json, whole
from toolkit.training import NAMES

WHOLE = 180.0  # minutes for the bundle
BUNDLE = Path(__file__).parent.parent / "weights"


def add(commands) -> None:
    train = command(
        commands,
        "train",
        "train the shipped models from nothing, resumable, on CPU or GPU",
        "  pellucid train all --budget 3h          the whole bundle, in order, with model cards\n"
        "  pellucid train clip --budget 40m --weights my-weights\n"
        "  pellucid train prior --steps 500 --seed 1 --weights my-weights",
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
    train.add_argument("--json", action="store_true", help="print the written cards as JSON")


def run_train(args: argparse.Namespace) -> int:
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
