"""`pellucid consent`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import Parser, command, say, show, show_json, show_table, whole


def add(commands) -> None:
    consent = command(
        commands,
        "consent",
        "who may be drawn on this machine: people, their consent, receipts of deletion",
        '  pellucid consent add "Nora Lind" --withheld --images nora/*.png\n'
        '  pellucid consent add "Emil Okafor" --consents --images emil/*.png \\\n'
        "      --purpose satire --expires 2027-12-31 --proof release-form.pdf\n"
        "  pellucid consent list                                     with false alarms measured\n"
        '  pellucid consent revoke "Emil Okafor"\n'
        '  pellucid consent receipt "Emil Okafor" > his.json         for him to keep\n'
        '  pellucid consent delete "Nora Lind" --receipt gone.json   for good; receipts are\n'
        "      checked by docs/verify_ledger.py, with Python alone",
        run_list,
    )
    consent.set_defaults(json=False, unmeasured=False)
    what = consent.add_subparsers(title="what", metavar="WHAT", dest="what", parser_class=Parser)
    _add(what)
    listed = _sub(what, "list", "everyone in the registry, and its false alarms", run_list)
    listed.add_argument("--unmeasured", action="store_true", help="do not load CLIP for the rates")
    faces = _sub(what, "faces", "read faces in photographs by these models, from now on", run_faces)
    faces.add_argument("detector", help="YuNet's weights, ONNX, from OpenCV's model zoo")
    faces.add_argument("recogniser", help="SFace's weights, ONNX, from there too")
    _named(what, "show", "one person, with what was measured", run_show)
    _named(what, "revoke", "take consent back, from now on", run_revoke)
    own = _named(what, "receipt", "what a person may keep: proof and opening of their entry",
                 run_receipt)  # fmt: skip
    own.add_argument("--out", metavar="FILE", help="write it here in place of stdout")
    gone = _named(what, "delete", "delete name, templates, salt and key for good", run_delete)
    gone.add_argument("--receipt", metavar="FILE", required=True, help="a new file for the receipt")


def _sub(what, name: str, does: str, run) -> argparse.ArgumentParser:
    one = what.add_parser(name, help=does, description=does[0].upper() + does[1:] + ".")
    one.set_defaults(run=run)
    one.add_argument("--json", action="store_true", help="print JSON")
    return one


def _named(what, name: str, does: str, run) -> argparse.ArgumentParser:
    one = _sub(what, name, does, run)
    one.add_argument("name", help="the person's name")
    return one


def _add(what) -> None:
    one = _named(what, "add", "keep a person, encrypted; the guard looks for them", run_add)
    stands = one.add_mutually_exclusive_group(required=True)
    stands.add_argument("--consents", action="store_true", help="may be drawn")
    stands.add_argument("--withheld", action="store_true", help="may not be drawn")
    one.add_argument(
        "--images",
        nargs="+",
        default=[],
        metavar="FILE",
        help="portraits of the world that show them",
    )
    one.add_argument(
        "--photographs", nargs="+", default=[], metavar="FILE",
        help="real pictures with one face each, for real checkpoints (see: consent faces)",
    )  # fmt: skip
    one.add_argument("--scope", help="what consent is to, in words (any portrait)")
    one.add_argument("--purpose", help="what it is for, several apart by commas (any purpose)")
    one.add_argument("--expires", metavar="DAY", help="its last day, as 2027-12-31 (never)")
    one.add_argument("--proof", metavar="FILE", help="the document: its SHA-256 is kept")
    one.add_argument("--seed", type=whole, default=0, help="of the people who set the gate (0)")


def run_list(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import list_people, rates_in_words

    found = list_people(measured=not args.unmeasured)
    if args.json:
        show_json(found)
        return 0
    shown = ("name", "standing", "purpose", "expires", "pictures", "faces", "entry")
    show_table([{name: row[name] for name in shown} for row in found["people"]])
    if not found["people"]:
        say("nobody was added; the planted figures of the world are always looked for")
    if "rates" in found:
        show(rates_in_words(found["rates"]))
    return 0


def run_add(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import add_person

    found = add_person(
        args.name, images=args.images, photographs=args.photographs, consents=args.consents,
        scope=args.scope,
        purpose=args.purpose, expires=args.expires, proof=args.proof, seed=args.seed, say=say,
    )  # fmt: skip
    return _show(found, args.json)


def run_faces(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import take_faces

    return _show(take_faces(args.detector, args.recogniser), args.json)


def run_show(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import show_person

    return _show(show_person(args.name), args.json)


def run_revoke(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import revoke_consent

    return _show(revoke_consent(args.name), args.json)


def run_receipt(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import own_receipt

    found = own_receipt(args.name, args.out)
    if args.out is None:
        show_json(found)
    say("it has the name in it: give it to that person alone")
    return 0


def run_delete(args: argparse.Namespace) -> int:
    from toolkit.studies.consent import delete_person

    found = delete_person(args.name, args.receipt)
    if args.json:
        show_json(found)
    else:
        show(f"deleted; the receipt {found['receipt']} is of entry {found['entry']}")
    say("runs that were drawn before keep what they said; delete those yourself")
    return 0


def _show(found: dict, as_json: bool) -> int:
    if as_json:
        show_json(found)
        return 0
    evidence = found.pop("evidence", {})
    for name, value in found.items():
        if value is not None:
            show(f"{name}: {value}")
    for line in _measured(evidence.get("rates")):
        show(line)
    return 0


def _measured(rates: dict | None) -> list[str]:
    if not rates:
        return []
    (a, b), (c, d) = rates["found_ci95"], rates["alike_let_through_ci95"]
    return [
        f"people known by {rates['pictures']} pictures: {rates['found']:.1%} [{a:.1%}, {b:.1%}] of "
        f"{rates['sittings']} further sittings found; of {rates['alike']} people one factor off, "
        f"{rates['alike_let_through']:.1%} [{c:.1%}, {d:.1%}] let through"
    ]
