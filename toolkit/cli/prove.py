"""`pellucid prove`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show_study, whole


def add(commands) -> None:
    prove = command(
        commands,
        "prove",
        "is a direction causal? draw along it, let a judge read, compare with null directions",
        "  pellucid prove glasses --directions runs/demo\n"
        "  pellucid prove skin=pale --directions runs/directions --portraits 24\n"
        "  pellucid prove pca1 --target glasses --directions runs/directions\n"
        "  pellucid prove glasses --directions runs/directions --purify",
        run_prove,
    )
    prove.add_argument("direction", help="a direction's name, for example glasses or skin=pale")
    prove.add_argument(
        "--target", metavar="FACTOR[=LEVEL]", help="what it should move (what it is named for)"
    )
    prove.add_argument(
        "--directions", default="runs/demo", metavar="RUN", help="where directions are (runs/demo)"
    )
    prove.add_argument("--portraits", type=whole, default=12, help="held-out starts (12)")
    prove.add_argument("--at", type=float, default=2.0, help="strength of the test, in sigmas (2)")
    prove.add_argument("--nulls", type=whole, default=9, help="null directions of each kind (9)")
    prove.add_argument(
        "--purify", action="store_true", help="again without what it was measured to leak into"
    )
    prove.add_argument("--seed", type=whole, default=0, help="of portraits and noise (0)")
    prove.add_argument("--out", default="runs/prove", help="the run's folder (runs/prove)")
    prove.add_argument("--replace", action="store_true", help="replace a run of that name")
    prove.add_argument("--json", action="store_true", help="print the evidence as JSON")


def run_prove(args: argparse.Namespace) -> int:
    from toolkit.studies.prove import prove_run

    done = prove_run(
        args.out,
        name=args.direction,
        target=args.target,
        directions=args.directions,
        portraits=args.portraits,
        at=args.at,
        nulls=args.nulls,
        pure=args.purify,
        seed=args.seed,
        replace=args.replace,
        say=say,
    )
    show_study(done, args.json)
    return 0
