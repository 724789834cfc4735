"""`pellucid discover` and `pellucid steer`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, show_table, whole
from toolkit.errors import UserError


def add(commands) -> None:
    discover = command(
        commands,
        "discover",
        "find directions for factors of the world, or for labels of your own pictures",
        "  pellucid discover                        every factor\n"
        "  pellucid discover glasses age --json\n"
        "  pellucid discover glasses --portraits 4000 --out runs/glasses\n"
        "  pellucid discover age --method means --method sae\n"
        "  pellucid discover --method all                each method, and where they meet\n"
        "  pellucid discover --store stores/photos       labels that the store holds\n"
        "  pellucid discover species --store stores/birds --labels birds.csv --group photographer\n"
        "  pellucid discover glasses --model models/sd-1.5 --out runs/sd15",
        run_discover,
    )
    discover.add_argument("factor", nargs="*", help="factors of the world, or labels (all of them)")
    discover.add_argument("--store", help="look in what pellucid embed wrote")
    discover.add_argument("--labels", metavar="CSV", help="labels in place of the store's own")
    discover.add_argument(
        "--group", metavar="COLUMN", help="with --store: rows alike in it are never split"
    )
    discover.add_argument(
        "--method", action="append", default=[], metavar="NAME",
        help="pca, ica, means, logistic, ridge, cav, leace, text, ideal-words, pairs, sae or all; "
        "may be given again (pca and logistic)",
    )  # fmt: skip
    discover.add_argument(
        "--model", metavar="FOLDER_OR_ID",
        help="in a real checkpoint, from pairs of captions through its own text tower",
    )  # fmt: skip
    discover.add_argument("--portraits", type=whole, default=1500, help="real portraits (1500)")
    discover.add_argument("--seed", type=whole, default=0, help="which portraits (0)")
    discover.add_argument("--out", default="runs/directions", help="the run's folder")
    discover.add_argument("--replace", action="store_true", help="replace a run of that name")
    discover.add_argument("--json", action="store_true", help="print one object a direction")

    steer = command(
        commands,
        "steer",
        "draw one seed along a direction, beside a random direction of equal norm",
        '  pellucid steer glasses --prompt "an old chef"\n'
        '  pellucid steer beard --prompt "a smiling doctor" --seed 4 --out runs/beards\n'
        '  pellucid steer glasses --prompt "an old chef" --model models/sd-1.5 --steps 25 '
        "--directions runs/sd15",
        run_steer,
    )
    steer.add_argument("factor", help="the direction's factor, for example glasses")
    steer.add_argument("--prompt", required=True, help="what to draw")
    steer.add_argument("--seed", type=whole, default=0, help="the picture's seed (0)")
    steer.add_argument("--pipeline", default="both", help="stable-diffusion, unclip or both (both)")
    steer.add_argument(
        "--model", metavar="FOLDER_OR_ID",
        help="a real checkpoint in place of the shipped pipelines; its own directions only",
    )  # fmt: skip
    steer.add_argument("--steps", type=whole, help="of the sampler (each pipeline's own)")
    steer.add_argument(
        "--directions", default="runs/demo", metavar="RUN", help="where directions are (runs/demo)"
    )
    steer.add_argument("--out", default="runs/steer", help="the run's folder (runs/steer)")
    steer.add_argument("--replace", action="store_true", help="replace a run of that name")
    steer.add_argument("--json", action="store_true", help="print strengths and readings")


def run_discover(args: argparse.Namespace) -> int:
    from toolkit.studies.discover import discover_run
    from toolkit.studies.discover_store import discover_store

    if not args.store and (args.labels or args.group):
        raise UserError("--labels and --group are about a store's rows; name it with --store")
    if args.store and args.model:
        raise UserError("--store holds vectors and --model names a model; give one of the two")
    if args.store:
        found = discover_store(
            args.out,
            args.store,
            factors=args.factor,
            labels=args.labels,
            group=args.group,
            methods=args.method,
            seed=args.seed,
            replace=args.replace,
            say=say,
        )
    else:
        found = discover_run(
            args.out,
            factors=args.factor,
            portraits=args.portraits,
            seed=args.seed,
            replace=args.replace,
            say=say,
            methods=args.method,
            model=args.model,
        )
    if args.json:
        show_json(found)
    else:
        show_table(found)
    if args.store:
        say(f"name one with: pellucid name NAME --directions {args.out} --store {args.store}")
    else:
        say(f'steer along one: pellucid steer glasses --prompt "a chef" --directions {args.out}')
    return 0


def run_steer(args: argparse.Namespace) -> int:
    from toolkit.studies.steer import steer_run

    strips = steer_run(
        args.out,
        factor=args.factor,
        prompt=args.prompt,
        seed=args.seed,
        pipeline=args.pipeline,
        directions=args.directions,
        replace=args.replace,
        say=say,
        model=args.model,
        steps=args.steps,
    )
    if args.json:
        show_json(strips)
        return 0
    for strip in strips:
        show(f"{strip['pipeline']}: {args.out}/{strip['image']}")
        for kind in ("direction", "random"):
            cells = zip(strip["strengths"], strip[kind], strict=True)
            show(f"  {kind:9}  " + "  ".join(f"{s:+g}: {level}" for s, level in cells))
    return 0
