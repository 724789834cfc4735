"""The `pellucid` command. One file per group of commands; no logic here or there."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from toolkit.cli import (
    accountability,
    attack,
    compare,
    consent,
    doctor,
    explain,
    make,
    policy,
    prove,
    sd,
    serve,
    train,
    trust,
    unclip,
    understand,
    vectors,
    world,
)
from toolkit.cli.terminal import Parser
from toolkit.errors import UserError

EXAMPLES = """examples:
  pellucid demo                                      the whole mission, once, for real
  pellucid generate "a smiling doctor with glasses"  both pipelines, guarded and signed
  pellucid discover glasses age                      directions in CLIP space
  pellucid steer glasses --prompt "an old chef"      a filmstrip along one of them
  pellucid audit runs/demo                           who is drawn, with intervals
  pellucid verify runs/demo/images/*.png             what the files say of their origin
  pellucid dashboard runs/demo                       look at it all in a browser"""


def parser() -> argparse.ArgumentParser:
    """The parser of every command; `args.run(args)` returns the exit code."""
    top = Parser(
        prog="pellucid",
        description="See inside text-to-image models: discover, steer, guard, mark, audit.",
        examples=EXAMPLES,
    )
    top.add_argument("--version", action="store_true", help="print the version and stop")
    commands = top.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=Parser
    )
    for group in (
        make,
        understand,
        vectors,
        explain,
        prove,
        unclip,
        sd,
        compare,
        trust,
        attack,
        policy,
        consent,
        accountability,
        world,
        train,
        serve,
        doctor,
    ):
        group.add(commands)
    return top


class _Stopped(KeyboardInterrupt):
    """A Ctrl-C or a polite kill, of a class of our own.

    A plain KeyboardInterrupt that passes through `exec` of a string (libraries make classes so)
    is noted by Python as unhandled, and the process dies of the signal after having ended well.
    """


def _stop(signum, frame) -> None:
    raise _Stopped


def _of_the_user(error: ValueError) -> bool:
    """Whether this is a sentence for the user: ours, or one that a leaf raised itself.

    `probes` and `safety` do not know our UserError, and say what is wrong in a ValueError. One
    that comes from anywhere else is a bug, and shows its traceback.
    """
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    raised_in = str(trace.tb_frame.f_globals.get("__name__", "")) if trace else ""
    return isinstance(error, UserError) or raised_in.partition(".")[0] in ("probes", "safety")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0, 1 (something was found), 2 (bad input) or 130 (interrupted)."""
    top = parser()
    args = top.parse_args(argv)
    if args.version:
        from importlib import metadata

        sys.stdout.write(f"pellucid {metadata.version('pellucid')}\n")
        return 0
    if args.command is None:
        top.print_help()
        return 0
    # Before any library of theirs is imported: no hub, no second progress bar beside ours.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _stop)}  # cleans up like Ctrl-C
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may ignore it
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _stop)
    try:
        return args.run(args) or 0
    except ValueError as error:
        if not _of_the_user(error):
            raise
        sys.stderr.write(f"pellucid: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("pellucid: stopped; nothing half-written was left\n")
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is its right, and no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
