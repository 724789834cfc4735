"""`pellucid audit`, `verify`, `generation-mark`, `ledger` and `keys`."""

from __future__ import annotations

import argparse
from typing import Any

from toolkit.cli.terminal import (
    command,
    say,
    show,
    show_json,
    show_layers,
    show_table,
    whole,
)


def add(commands) -> None:
    audit = command(
        commands,
        "audit",
        "say who is drawn: one table of judged factors with intervals",
        "  pellucid audit runs/demo               a run: by pipeline, blocked ones counted\n"
        "  pellucid audit my-pictures --json      any folder of pictures\n"
        "  pellucid audit my-pictures --out bias.parquet",
        run_audit,
    )
    audit.add_argument("folder", help="a run, or a folder of pictures")
    audit.add_argument(
        "--reference", metavar="JSON",
        help="expected shares, {factor: {level: share}}; others stay uniform over levels",
    )  # fmt: skip
    audit.add_argument("--out", metavar="PARQUET", help="also write the table here")
    audit.add_argument("--json", action="store_true", help="print one object a row")

    verify = command(
        commands,
        "verify",
        "say where a file came from and what was done to it: mark, metadata, signature, ledger",
        "  pellucid verify picture.png                        where from, what since, what next\n"
        "  pellucid verify runs/demo/images/*.png             a table, and what is not verified\n"
        "  pellucid verify copy.jpg --ledger runs/demo        is it in this run's ledger?\n"
        "  pellucid verify copy.jpg --ledger runs             in that of any run there?\n"
        "  pellucid verify picture.png --json\n"
        "\n"
        "verdicts: verified; partial (something leads here, not everything); broken (something\n"
        "contradicts); missing (nothing is found, which proves nothing)\n"
        "exit code: 0 all verified; 1 any is not; 2 bad input, or a file that is no picture",
        run_verify,
    )
    verify.add_argument("file", nargs="+", help="picture files")
    verify.add_argument(
        "--ledger", metavar="FOLDER",
        help="look it up in the ledger of this run, or of the runs in this folder (that of the "
        "file's own run)",
    )  # fmt: skip
    verify.add_argument(
        "--checkpoint", metavar="JSON", help="a checkpoint of that ledger which was kept elsewhere"
    )
    verify.add_argument("--json", action="store_true", help="print one object a file")

    making = command(
        commands,
        "generation-mark",
        "look for the mark of `generate --generation-mark`",
        "  pellucid generation-mark runs/generate/images/*.png\n"
        "  pellucid generation-mark face.png --scheme tree-ring --pipeline unclip --json",
        run_generation_mark,
    )
    making.add_argument("file", nargs="+", help="picture files")
    making.add_argument(
        "--pipeline", default="both", help="stable-diffusion, unclip or both (both)"
    )
    making.add_argument(
        "--scheme", default="guidance",
        help="guidance, gaussian-shading or tree-ring, as it was drawn (guidance)",
    )  # fmt: skip
    making.add_argument("--json", action="store_true", help="print one object a file")

    ledger = command(
        commands,
        "ledger",
        "say whether a ledger holds, or print a receipt for one entry",
        "  pellucid ledger runs/demo                             exit code 1 if it does not hold\n"
        "  pellucid ledger runs/demo --checkpoint kept.json      against one kept elsewhere\n"
        "  pellucid ledger runs/demo --receipt 3 > receipt.json  holds without the ledger",
        run_ledger,
    )
    ledger.add_argument("folder", help="a ledger's folder, or a run")
    ledger.add_argument("--checkpoint", metavar="JSON", help="a checkpoint kept elsewhere")
    ledger.add_argument("--key", metavar="HEX", help="its public key (this machine's)")
    ledger.add_argument("--receipt", metavar="INDEX", type=whole, help="print this entry's receipt")
    ledger.add_argument("--json", action="store_true", help="print one object")

    keys = command(
        commands,
        "keys",
        "make this machine's keys and development CA, or say what others pin",
        "  pellucid keys                   made on first use\n"
        "  pellucid keys --export to-pin   root certificate and ledger key, no secret",
        run_keys,
    )
    keys.add_argument("--export", metavar="FOLDER", help="write what others pin into a new folder")
    keys.add_argument("--json", action="store_true", help="print one object")


def run_audit(args: argparse.Namespace) -> int:
    from toolkit.studies.audit import audit, read_reference, summary, write_table

    table = audit(args.folder, reference=read_reference(args.reference), say=say)
    if args.out:
        write_table(table, args.out)
    rows = table.to_dict("records")
    if args.json:
        show_json([{k: None if v != v else v for k, v in row.items()} for row in rows])
        return 0
    shown = ("pipeline", "factor", "level", "kind", "n", "share", "low", "high", "reference")
    show_table([{name: row[name] for name in shown} for row in rows])
    for line in summary(table):
        show(line)
    return 0


def run_verify(args: argparse.Namespace) -> int:
    from toolkit.studies.verify import verify_files

    found, refused = verify_files(args.file, ledger=args.ledger, checkpoint=args.checkpoint)
    if args.json:
        if found or not refused:
            show_json(found)
    else:
        _show_verified(found)
    for sentence in refused:
        say(f"pellucid: {sentence}")
    if refused:
        return 2
    return 0 if all(row["verdict"] == "verified" for row in found) else 1


def _show_verified(found: list[dict[str, Any]]) -> None:
    """A table of several files; in full what is said of one, and of each that is not verified."""
    if len(found) > 1:
        names = ("file", "verdict", "watermark", "metadata", "c2pa", "ledger")
        show_table([{name: row[name] for name in names} for row in found])
    told = [row for row in found if len(found) == 1 or row["verdict"] != "verified"]
    for row in told:
        show(f"{chr(10) if len(found) > 1 else ''}{row['file']}: {row['verdict']}")
        steps = [f"next: {step}" for step in row["next"]]
        show_layers([*row["notes"], *steps])
    if told:
        show("p: how often a picture without this key's mark would agree with the key so well")


def run_generation_mark(args: argparse.Namespace) -> int:
    from toolkit.studies.generation_mark import look_for_marks

    found = look_for_marks(args.file, args.pipeline, args.scheme)
    if args.json:
        show_json(found)
    else:
        show_table([row | {"p_value": f"{row['p_value']:.1e}"} for row in found])
    return 0 if all(row["verdict"] == "present" for row in found) else 1


def run_ledger(args: argparse.Namespace) -> int:
    from toolkit.studies.proofs import check_ledger, receipt_of

    if args.receipt is not None:
        show_json(receipt_of(args.folder, args.receipt))
        return 0
    found = check_ledger(args.folder, args.checkpoint, args.key)
    if args.json:
        show_json(found)
    else:
        show_table([{n: found[n] for n in ("ledger", "holds", "entries", "signed", "key")}])
        for sentence in (*found["problems"], *found["notices"]):
            say(sentence)
    return 0 if found["holds"] else 1


def run_keys(args: argparse.Namespace) -> int:
    from toolkit.studies.proofs import show_keys

    found = show_keys(args.export)
    if args.json:
        show_json(found)
    else:
        for name, value in found.items():
            if value is not None:
                show(f"{name}: {value}")
    return 0
