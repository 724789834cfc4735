"""`pellucid world`: look at the portraits world."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import Parser, command, say, show, show_json, whole
from toolkit.errors import UserError


def add(commands) -> None:
    world = command(
        commands,
        "world",
        "draw and sample the portraits world, where the truth is known",
        "  pellucid world sheet --out sheet.png          a contact sheet with captions\n"
        "  pellucid world sample --n 3 --json            captions and true factors\n"
        "  pellucid world sample --n 500 --out pictures  pictures with metadata.jsonl",
        run_missing,
    )
    parts = world.add_subparsers(title="parts", metavar="PART", parser_class=Parser)
    sheet = command(
        parts,
        "sheet",
        "draw a contact sheet of portraits with their captions",
        "  pellucid world sheet --out sheet.png\n  pellucid world sheet --split train --n 48",
        run_sheet,
    )
    sheet.add_argument("--out", default="sheet.png", help="the picture to write (sheet.png)")
    sample = command(
        parts,
        "sample",
        "sample portraits with captions and true factors",
        "  pellucid world sample --n 3 --json\n"
        "  pellucid world sample --n 500 --split probe --out pictures",
        run_sample,
    )
    sample.add_argument("--out", help="a new folder for pictures and metadata.jsonl")
    sample.add_argument("--json", action="store_true", help="print one object a portrait")
    for part in (sheet, sample):
        part.add_argument("--split", default="test", help="train, judge, probe or test (test)")
        part.add_argument("--n", type=whole, default=24, help="how many portraits (24)")
        part.add_argument("--seed", type=whole, default=0, help="which ones (0)")


def run_missing(args: argparse.Namespace) -> int:
    raise UserError("say which part of the world: sheet or sample; see pellucid world --help")


def run_sheet(args: argparse.Namespace) -> int:
    from toolkit.studies.portraits import contact_sheet

    contact_sheet(args.out, split=args.split, n=args.n, seed=args.seed)
    show(args.out)
    return 0


def run_sample(args: argparse.Namespace) -> int:
    from toolkit.studies.portraits import described, write_portraits

    rows = described(split=args.split, n=args.n, seed=args.seed)
    if args.out:
        write_portraits(args.out, rows)
        say(f"wrote {len(rows)} pictures and metadata.jsonl to {args.out}")
    shown = [row.facts() for row in rows]
    if args.json:
        show_json(shown)
    elif not args.out:
        for row in shown:
            show(row["caption"])
    return 0
