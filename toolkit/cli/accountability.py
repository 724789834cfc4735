"""`pellucid memorisation` and `pellucid papers`."""

from __future__ import annotations

import argparse
from typing import Any

from toolkit.cli.terminal import command, say, show, show_json, show_study, show_table, whole


def add(commands) -> None:
    memorisation = command(
        commands,
        "memorisation",
        "what did the models learn by heart? training set, prompts and drawn pictures",
        "  pellucid memorisation                      the planted copies, both pipelines\n"
        "  pellucid memorisation --pipeline unclip --drawn 12\n"
        '  pellucid memorisation --prompt "an elderly chef with golden skin"   which words pull',
        run_memorisation,
    )
    memorisation.add_argument(
        "--pipeline", default="both", help="both, stable-diffusion or unclip (both)"
    )
    memorisation.add_argument("--prompt", help="weigh the words of this prompt")
    memorisation.add_argument(
        "--portraits", type=whole, default=30_000, help="training pictures searched (30000: all)"
    )
    memorisation.add_argument("--drawn", type=whole, default=6, help="pictures a copy (6)")
    memorisation.add_argument(
        "--same", type=whole, default=12, help="captions of the same look a copy, as null (12)"
    )
    memorisation.add_argument("--noises", type=whole, default=8, help="noises a caption (8)")
    memorisation.add_argument(
        "--held-out", type=whole, default=2000, help="pictures that calibrate p-values (2000)"
    )
    memorisation.add_argument("--seed", type=whole, default=0, help="of captions and noise (0)")
    memorisation.add_argument("--out", default="runs/memorisation", help="the run's folder")
    memorisation.add_argument("--replace", action="store_true", help="replace a run of that name")
    memorisation.add_argument("--json", action="store_true", help="print what was found as JSON")

    papers = command(
        commands,
        "papers",
        "a run's accountability papers: laws field by field, system, incidents, calibration cards",
        "  pellucid papers runs/demo              pages in runs/demo-papers, linked to the report\n"
        "  pellucid papers runs/demo --json       what passes, fails, stays open\n"
        "  pellucid papers runs/demo --portraits 100   in about a minute; 600 take two to three",
        run_papers,
    )
    papers.add_argument("folder", metavar="RUN", help="a run that was drawn on this machine")
    papers.add_argument(
        "--portraits", type=whole, default=600, help="innocent portraits a card rests on (600)"
    )
    papers.add_argument("--seed", type=whole, default=0, help="of the cards' data (0)")
    papers.add_argument("--out", help="the papers' folder (RUN-papers)")
    papers.add_argument("--replace", action="store_true", help="replace papers of that name")
    papers.add_argument("--json", action="store_true", help="print what was found as JSON")


def run_memorisation(args: argparse.Namespace) -> int:
    from toolkit.studies.generate import chosen_pipelines
    from toolkit.studies.memorisation_page import memorisation_run

    done = memorisation_run(
        args.out,
        systems=chosen_pipelines(args.pipeline),
        portraits=args.portraits,
        drawn=args.drawn,
        same=args.same,
        noises=args.noises,
        held=args.held_out,
        seed=args.seed,
        prompt=args.prompt,
        replace=args.replace,
        say=say,
    )
    show_study(done, args.json)
    return 0


def run_papers(args: argparse.Namespace) -> int:
    from toolkit.studies.papers import papers_run

    done = papers_run(
        args.folder,
        args.out,
        portraits=args.portraits,
        seed=args.seed,
        replace=args.replace,
        say=say,
    )
    if args.json:
        show_json(done)
        return 0
    told = ", ".join(f"{count} {result}" for result, count in sorted(done["laws"].items()))
    show(f"fields of both laws: {told}")
    for line in done["failed"]:
        show(f"fails: {line}")
    show_table([
        {"detector": name.replace("_", " "), "AUC": f"{one['auc']:.4f}",
         "true positives, 95 %": _rate(one["tpr"]), "false positives, 95 %": _rate(one["fpr"])}
        for name, one in done["cards"].items()
    ])  # fmt: skip
    show(f"{done['incidents']} incidents or near misses")
    say(f"the pages: {done['page']}")
    return 0


def _rate(one: dict[str, Any]) -> str:
    share = f"{one['hits'] / one['n']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
    return f"{share} ({one['hits']} of {one['n']})"
