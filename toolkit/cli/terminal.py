"""How the commands speak: examples first, data on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from toolkit.errors import UserError


class Parser(argparse.ArgumentParser):
    """Shows examples before options, and answers a mistake with one sentence and exit code 2."""

    def __init__(self, *, examples: str = "", **settings: Any):
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        text = settings.pop("description", "")
        super().__init__(description=f"{text}\n\n{examples}" if examples else text, **settings)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments:") and "--model" in message.split():
            message = (
                "this command works with the shipped models, whose world and judges it needs; a "
                "real checkpoint goes to generate, discover, steer and doctor, a CLIP model to "
                "embed"
            )
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def command(commands, name: str, does: str, examples: str, run) -> argparse.ArgumentParser:
    """Add a command: `does` is its line in the list and opens its help, examples come next."""
    sub = commands.add_parser(
        name,
        help=does,
        description=does[0].upper() + does[1:] + ".",
        examples=f"examples:\n{examples}",
    )
    sub.set_defaults(run=run)
    return sub


def say(text: str) -> None:
    """A line of progress, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """A line of the result, on stdout."""
    sys.stdout.write(text + "\n")


def show_json(value: Any) -> None:
    """The result as JSON, on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_study(done: dict[str, Any], as_json: bool) -> None:
    """A study's result as JSON, or what it found in sentences and where its sheet lies."""
    if as_json:
        show_json(done)
        return
    for line in done["facts"]["said"]:
        show(line)
    say(f"the sheet: {done['sheet']}")


def show_table(rows: Sequence[dict[str, Any]]) -> None:
    """Rows as aligned columns under their names."""
    if not rows:
        return
    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for line in (names, *cells):
        show(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )


def show_layers(lines: Sequence[str], width: int = 100) -> None:
    """Sentences that begin with a name and a colon, as two columns; a name that repeats is left
    out.
    """
    pairs = [line.partition(": ")[::2] for line in lines]
    edge, before = max(len(name) for name, _ in pairs) + 4, ""
    for name, text in pairs:
        head = f"  {'' if name == before else name}".ljust(edge)
        show(textwrap.fill(text, width, initial_indent=head, subsequent_indent=" " * edge,
                           break_long_words=False, break_on_hyphens=False))  # fmt: skip
        before = name


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_cell(one)}" for name, one in value.items())
    return "" if value is None else str(value)


def whole(text: str) -> int:
    """A whole number from 0 up, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return number


def level_strength(text: str) -> tuple[str, float]:
    """`glasses=2` to ("glasses", 2.0). Raises UserError with the form that is expected."""
    name, sign, number = text.partition("=")
    try:
        if not name or not sign:
            raise ValueError
        return name, float(number)
    except ValueError:
        raise UserError(
            f"the edit {text!r} is not of the form FACTOR=STRENGTH; write for example glasses=2"
        ) from None
