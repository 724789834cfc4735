"""`pellucid audit` and `pellucid verify`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, say, show, show_json, show_table


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
        "say what a file tells of its origin: mark, metadata, signature, ledger",
        "  pellucid verify runs/demo/images/*.png\n"
        "  pellucid verify picture.png --json     exit code 1 if anything is missing or broken",
        run_verify,
    )
    verify.add_argument("file", nargs="+", help="picture files")
    verify.add_argument(
        "--ledger", metavar="FOLDER", help="check the ledger's proof too (a run's ledger folder)"
    )
    verify.add_argument(
        "--checkpoint", metavar="JSON", help="a checkpoint of that ledger which was kept elsewhere"
    )
    verify.add_argument("--json", action="store_true", help="print one object a file")


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

    found = verify_files(args.file, ledger=args.ledger, checkpoint=args.checkpoint)
    if args.json:
        show_json(found)
    else:
        names = ("file", "verdict", "watermark", "metadata", "c2pa", "ledger")
        show_table([{name: row[name] for name in names} for row in found])
        for row in found:
            for sentence in row["notes"]:
                say(f"{row['file']}: {sentence}")
    return 0 if all(row["verdict"] == "verified" for row in found) else 1
