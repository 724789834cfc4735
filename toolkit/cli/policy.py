"""`pellucid policy`."""

from __future__ import annotations

import argparse

from toolkit.cli.terminal import command, show, show_json, show_table


def add(commands) -> None:
    policy = command(
        commands,
        "policy",
        "show a guard's policy, or what a change of it would have decided on past runs",
        "  pellucid policy                                   the shipped one\n"
        "  pellucid policy mine.json                         checked, to the last threshold\n"
        "  pellucid policy mine.json --on runs/demo          against the shipped one, on a run\n"
        "  pellucid policy new.json --against old.json --on runs/*",
        run_policy,
    )
    policy.add_argument("file", nargs="?", metavar="JSON", help="a policy (the shipped one)")
    policy.add_argument("--against", metavar="JSON", help="the policy before (the shipped one)")
    policy.add_argument("--on", nargs="+", metavar="RUN", help="runs whose findings decide again")
    policy.add_argument("--json", action="store_true", help="print one object a row")


def run_policy(args: argparse.Namespace) -> int:
    from toolkit.studies.policy import facts, policy_diff, read_policy

    policy = read_policy(args.file)
    if not args.on:
        rows = facts(policy)
        show_json(rows) if args.json else show_table(rows)
        return 0
    rows = policy_diff(read_policy(args.against), policy, args.on)
    if args.json:
        show_json(rows)
    else:
        show_table(rows)
        show(f"{len(rows)} decisions differ")
    return 0
