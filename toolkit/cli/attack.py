"""`pellucid attack-bench`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, whole


def add(commands) -> None:
    bench = command(
        commands,
        "attack-bench",
        "which watermark stands what: attacks, quality, theft and forgery, with exact intervals",
        "  pellucid attack-bench                              portraits and photographs\n"
        "  pellucid attack-bench --systems pellucid,dwtDct    beside somebody else's\n"
        "  pellucid attack-bench my-pictures --n 20 --attacks jpeg,crop,averaging\n"
        "  pellucid attack-bench --n 40 --out runs/mine       interrupted: repeat it to go on",
        run_attack_bench,
    )
    bench.add_argument(
        "picture", nargs="*", help="picture files or folders (portraits and photographs of ours)"
    )
    bench.add_argument(
        "--systems", default="pellucid", metavar="NAMES",
        help="pellucid,guidance,dwtDct,dwtDctSvd,trustmark: those wanted, with commas (pellucid)",
    )  # fmt: skip
    bench.add_argument(
        "--attacks", default="", metavar="NAMES",
        help="jpeg,resize,blur,noise,brightness,contrast,erase,crop,rotate,screenshot,chain,"
        "autoencoder,diffusion,averaging: those wanted, with commas (all)",
    )  # fmt: skip
    bench.add_argument(
        "--n",
        type=whole,
        default=8,
        help="pictures of each kind; a photograph takes about a minute (8)",
    )
    bench.add_argument(
        "--held", type=whole, default=40, help="marked pictures that a thief averages (40)"
    )
    bench.add_argument(
        "--trustmark", metavar="FOLDER", help="where TrustMark's model files lie, for trustmark"
    )
    bench.add_argument("--seed", type=whole, default=0, help="of pictures, key and attacks (0)")
    bench.add_argument(
        "--out", default="runs/attack-bench", help="the run's folder (runs/attack-bench)"
    )
    bench.add_argument("--replace", action="store_true", help="replace a run of that name")
    bench.add_argument("--json", action="store_true", help="print the table as JSON")


def run_attack_bench(args: argparse.Namespace) -> int:
    from toolkit.studies.attack_bench import attack_bench

    done = attack_bench(
        args.out,
        given=args.picture,
        systems=[name for name in args.systems.split(",") if name],
        attacks=[name for name in args.attacks.split(",") if name],
        n=args.n,
        held=args.held,
        seed=args.seed,
        weights=args.trustmark,
        replace=args.replace,
        say=say,
    )
    if args.json:
        show_json(done)
        return 0
    for line in done["said"]:
        show(line)
    say(f"the page: {done['report']}")
    return 0
