"""`pellucid unclip`: experiments with image embeddings."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import Parser, command, say, show, show_json, whole
from toolkit.errors import UserError


def add(commands) -> None:
    unclip = command(
        commands,
        "unclip",
        "what an image embedding holds: variations, interpolation, text diffs, PCA ladder, badges",
        "  pellucid unclip variations face.png\n"
        "  pellucid unclip interpolate one.png other.png\n"
        '  pellucid unclip diff face.png --before "a person" --after "a person with glasses"\n'
        "  pellucid unclip ladder face.png\n"
        "  pellucid unclip badge",
        run_missing,
    )
    parts = unclip.add_subparsers(title="parts", metavar="PART", parser_class=Parser)
    for name, what, run, pictures in (
        ("variations", "decode a picture's embedding with other noise", run_variations, 1),
        ("interpolate", "go from one picture's embedding to another's", run_interpolate, 2),
        ("diff", "move a picture along the difference of two texts", run_diff, 1),
        ("ladder", "rebuild a picture's embedding from few components", run_ladder, 1),
    ):
        words = "one.png other.png" if pictures == 2 else "face.png"
        part = command(parts, name, what, f"  pellucid unclip {name} {words}", run)
        part.add_argument("pictures", nargs=pictures, metavar="PICTURE", help="a picture file")
        if name == "diff":
            part.add_argument("--before", default="a person", help='what it is now ("a person")')
            part.add_argument("--after", required=True, help="what it shall be")
        _common(part, name)
    what = "the typographic attack: lettered badges against CLIP and the decoder"
    badge = command(parts, "badge", what, "  pellucid unclip badge", run_badge)
    badge.add_argument("--n", type=whole, default=100, help="portraits a figure is from (100)")
    _common(badge, "badge")


def _common(part: argparse.ArgumentParser, name: str) -> None:
    part.add_argument("--seed", type=whole, default=0, help="of the noise (0)")
    part.add_argument("--out", default=f"runs/{name}", help=f"the run's folder (runs/{name})")
    part.add_argument("--replace", action="store_true", help="replace a run of that name")
    part.add_argument("--json", action="store_true", help="print the summary as JSON")


def run_missing(args: argparse.Namespace) -> int:
    raise UserError(
        "say which experiment: variations, interpolate, diff, ladder or badge; see "
        "pellucid unclip --help"
    )


def _run(args: argparse.Namespace, kind: str, make, prompt: str) -> int:
    from toolkit.studies.unclip_lab import unclip_run

    done = unclip_run(args.out, kind, make, args.pictures, prompt, replace=args.replace, say=say)
    return _answer(args, done)


def _answer(args: argparse.Namespace, done: dict) -> int:
    if args.json:
        show_json(done)
        return 0
    show(done["sheet"])
    for reason in done["withheld"]:
        say(f"withheld: {reason}")
    say(f"{done['released']} of {done['asked']} pictures; pellucid dashboard {args.out}")
    return 0


def run_variations(args: argparse.Namespace) -> int:
    from toolkit.studies.unclip_lab import variations

    return _run(
        args, "variations", lambda door, given: variations(door, given[0], args.seed),
        "a variation of a picture",
    )  # fmt: skip


def run_interpolate(args: argparse.Namespace) -> int:
    from toolkit.studies.unclip_lab import interpolation

    return _run(
        args, "interpolate", lambda door, given: interpolation(door, *given, args.seed),
        "between two pictures",
    )  # fmt: skip


def run_diff(args: argparse.Namespace) -> int:
    from toolkit.studies.unclip_lab import difference

    return _run(
        args, "diff",
        lambda door, given: difference(door, given[0], args.before, args.after, args.seed),
        args.after,
    )  # fmt: skip


def run_ladder(args: argparse.Namespace) -> int:
    from toolkit.studies.unclip_lab import ladder

    return _run(
        args, "ladder", lambda door, given: ladder(door, given[0], args.seed),
        "a picture from few components",
    )  # fmt: skip


def run_badge(args: argparse.Namespace) -> int:
    from toolkit.studies.laboratory import laboratory_run
    from toolkit.studies.typographic import badge

    if args.n < 2:
        raise UserError(f"--n is {args.n}; an interval needs at least 2 portraits")
    return _answer(
        args,
        laboratory_run(
            args.out, "pellucid unclip badge", "badge",
            lambda door: badge(door, args.n, args.seed),
            config={"n": args.n, "seed": args.seed}, replace=args.replace, say=say,
        ),
    )  # fmt: skip
