"""What a laboratory measured, as the pages draw it: values with intervals, figures, sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Facts = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """An estimate of a series at a place: a number on an axis, or a name.

    `low` and `high` are the ends of its interval; None where none was measured.
    """

    series: str
    at: float | str
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Figure:
    """Values to be drawn together: lines over numbers, or dots beside names.

    `share` writes them as per cent; `what` says what the places are.
    """

    title: str
    what: str
    unit: str
    values: tuple[Value, ...]
    share: bool = True
    interval: str = "95 % interval"
    logarithmic: bool = False


@dataclass(frozen=True)
class Reading:
    """Sentences that say what was found, and the figures that they rest on."""

    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]


def value(series: str, at: float | str, one: Any, ends: str = "ci95") -> list[Value]:
    """An estimate of the JSON as a value; none where it was not measured."""
    if not isinstance(one, dict) or one.get("value") is None:
        return []
    low, high = one.get(ends) or (None, None)
    return [Value(series, at, float(one["value"]), low, high, one.get("n"))]


def values(found: Iterable[list[Value]]) -> tuple[Value, ...]:
    return tuple(one for part in found for one in part)


def percent(one: Any) -> str:
    """84 % [76, 92]: a share with its interval."""
    if not isinstance(one, dict) or one.get("value") is None:
        return "not measured"
    text = f"{100 * one['value']:.0f} %"
    if one.get("ci95"):
        low, high = one["ci95"]
        text += f" [{100 * low:.0f}, {100 * high:.0f}]"
    return text


def apart(one: Any, two: Any) -> str:
    """Whether two estimates' intervals overlap, in words."""
    (a, b), (c, d) = one["ci95"], two["ci95"]
    return "their intervals do not overlap" if b < c or d < a else "but their intervals overlap"
