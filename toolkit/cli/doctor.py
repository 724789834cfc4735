"""`pellucid doctor`."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from toolkit.cli.terminal import command, say, show_json, show_table


def add(commands) -> None:
    doctor = command(
        commands,
        "doctor",
        "check this installation and say what each failing item needs",
        "  pellucid doctor\n"
        "  pellucid doctor --json     exit code 1 if something must be mended\n"
        "  pellucid doctor --model stable-diffusion-v1-5/stable-diffusion-v1-5\n"
        "  pellucid doctor --model models/sd-1.5     is it whole, and what is lacking",
        run_doctor,
    )
    doctor.add_argument(
        "--model", metavar="FOLDER_OR_ID",
        help="look at a real checkpoint instead: which parts are here, how large they are, what "
        "would be downloaded (the hub is asked only with HF_HUB_OFFLINE=0)",
    )  # fmt: skip
    doctor.add_argument("--json", action="store_true", help="print one object an item")


def run_doctor(args: argparse.Namespace) -> int:
    if args.model is None:
        from toolkit.studies.checkup import checkup

        checks = checkup()
    else:
        from toolkit.studies.checkup_model import checkup_model

        checks = checkup_model(args.model)
    if args.json:
        show_json([asdict(check) for check in checks])
    else:
        show_table([{"item": c.name, "ok": c.ok, "found": c.found} for c in checks])
    for check in checks:
        if check.mend:
            say(f"{check.name}: {check.mend}")
    return 1 if any(check.ok == "no" for check in checks) else 0
