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
        "  pellucid doctor\n  pellucid doctor --json     exit code 1 if something must be mended",
        run_doctor,
    )
    doctor.add_argument("--json", action="store_true", help="print one object an item")


def run_doctor(args: argparse.Namespace) -> int:
    from toolkit.studies.checkup import checkup

    checks = checkup()
    if args.json:
        show_json([asdict(check) for check in checks])
    else:
        show_table([{"item": c.name, "ok": c.ok, "found": c.found} for c in checks])
    for check in checks:
        if check.mend:
            say(f"{check.name}: {check.mend}")
    return 1 if any(check.ok == "no" for check in checks) else 0
