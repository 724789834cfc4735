"""What `pellucid prove` found, read: doses, the effect among its leaks, leaks by dose, nulls."""

from __future__ import annotations

from typing import Any

from dashboards.measured import Facts, Figure, Reading, Value

PURE = ", without its leaks"


def prove(facts: Facts) -> Reading:
    """The sentences of the command, and four figures; of a purified direction beside the first."""
    found = [("", facts["evidence"])]
    if "purified" in facts:
        found.append((PURE, facts["purified"]))
    first = facts["evidence"]
    target = f"{_words(first['target'])} {_words(first['level'])}"
    return Reading(
        tuple(facts["said"]),
        (
            Figure("Dose by dose", "strength in sigmas", f"pictures that read {target}",
                   tuple(v for end, one in found for v in _doses(one, end))),
            Figure(f"What moves, and what else, from {-first['at']:g} to {first['at']:g} sigmas",
                   "reading", "change of its share",
                   tuple(v for end, one in found for v in _shifts(one, target, end)), share=False),
            Figure("Leakage: other factors, dose by dose", "strength in sigmas",
                   "largest change of a level's share", _leakage(first)),
            Figure("Beside directions that owe nothing to the level", "direction",
                   f"change of the share of {target}",
                   tuple(v for end, one in found for v in _nulls(one, end)), share=False),
        ),
    )  # fmt: skip


def _words(name: str) -> str:
    return name.replace("_", " ")


def _estimate(series: str, at: float | str, one: dict[str, Any], n: int) -> Value:
    return Value(series, at, one["value"], one["low"], one["high"], n)


def _doses(one: Facts, end: str) -> list[Value]:
    read = [_estimate(f"reads {_words(one['level'])}{end}", d["strength"], d["share"], one["n"])
            for d in one["doses"]]  # fmt: skip
    unclear = [Value(f"can't be read, mean of factors{end}", d["strength"], d["unclear"])
               for d in one["doses"]]  # fmt: skip
    return read + unclear


def _shifts(one: Facts, target: str, end: str) -> list[Value]:
    """The effect first, then leaks by size; those beyond doubt are a series of their own."""
    rows = [_estimate(f"the level it is named for{end}", target, one["effect"], one["n"])]
    for leak in sorted(one["leaks"], key=lambda k: -abs(k["shift"]["value"])):
        sure = "a leak beyond doubt" if leak["surely"] else "not surely moved"
        place = f"{_words(leak['factor'])} {_words(leak['level'])}"
        rows.append(_estimate(sure + end, place, leak["shift"], one["n"]))
    return rows


def _leakage(one: Facts) -> tuple[Value, ...]:
    factors = one["doses"][0]["leakage"]
    return tuple(
        Value(_words(factor), dose["strength"], dose["leakage"][factor])
        for factor in factors
        for dose in one["doses"]
    )


def _nulls(one: Facts, end: str) -> list[Value]:
    mine = Value("the direction", f"the direction{end}", one["observed"], n=one["n"])
    if end:  # the nulls are the same
        return [mine]
    return [mine] + [
        Value("nulls of equal norm", f"{kind} ({len(values)})", value)
        for kind, values in one["nulls"].items()
        for value in values
    ]
