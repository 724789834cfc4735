"""`pellucid compare`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, show_table, whole


def add(commands) -> None:
    compare = command(
        commands,
        "compare",
        "both pipelines and a changed variant of each on the same prompts, by measurement",
        "  pellucid compare                             a fixed list of 24 prompts, 4 seeds each\n"
        '  pellucid compare "an old chef" "a smiling doctor" --count 8\n'
        "  pellucid compare --file prompts.txt --out runs/mine\n"
        "  pellucid compare --candidates --seed 900     the changes that were tried, on other "
        "prompts",
        run_compare,
    )
    compare.add_argument("prompt", nargs="*", help="what to draw (a fixed list)")
    compare.add_argument("--file", metavar="TXT", help="more prompts, one a line")
    compare.add_argument("--count", type=whole, default=4, help="pictures a prompt (4)")
    compare.add_argument("--seed", type=whole, default=0, help="of pictures and list (0)")
    compare.add_argument(
        "--candidates", action="store_true", help="compare every change that was tried"
    )
    compare.add_argument("--out", default="runs/compare", help="the run's folder (runs/compare)")
    compare.add_argument("--replace", action="store_true", help="replace a run of that name")
    compare.add_argument("--json", action="store_true", help="print table and verdict as JSON")


def run_compare(args: argparse.Namespace) -> int:
    from toolkit.studies.compare import compare_run, read_prompts
    from toolkit.studies.compare_systems import CANDIDATES, SYSTEMS

    done = compare_run(
        args.out,
        prompts=[*args.prompt, *(read_prompts(args.file) if args.file else [])],
        count=args.count,
        seed=args.seed,
        systems=CANDIDATES if args.candidates else SYSTEMS,
        replace=args.replace,
        say=say,
    )
    if args.json:
        show_json(done)
        return 0
    shown = ("title", "unit", "system", "value", "low", "high")
    show_table([{name: row[name] for name in shown} for row in done["table"]])
    show("")
    for line in done["verdict"]:
        show(line)
    say(f"the page: {done['report']}")
    return 0
