"""What an attack bench found: a line a system, attack and strength, and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from safety.cards import rate
from toolkit.studies.attack_thieves import KINDS

Rows = list[dict[str, Any]]
ORDER = list(KINDS)
GOOD = 25.0  # dB: an attack that leaves less has spoilt the picture along with the mark
FORGED = 0.01  # a forger who is believed surely more often than this has succeeded
SEEN = 0.2  # and one who is surely believed less often than this has not, as far as was looked


def _mean(rows: Rows, name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(values)) if values else None


def _share(rows: Rows, name: str) -> dict[str, Any]:
    found = rate(name, np.array([row[name] for row in rows]))
    return {"hits": found.hits, "n": found.n, "value": found.value,
            "ci95": [found.low, found.high]}  # fmt: skip


def table_of(rows: Rows) -> Rows:
    """One line a set, system, kind, attack and strength, with exact intervals.

    Kinds: *marked* (an attack on marked pictures; `false` is the same attack on unmarked ones),
    *stolen* (a thief subtracts a pattern), *forged* (a thief adds one to unmarked pictures).
    """
    groups: dict[tuple, Rows] = {}
    for row in rows:
        key = tuple(row[name] for name in ("set", "system", "kind", "attack", "strength", "label"))
        groups.setdefault(key, []).append(row)
    table = []
    for key, found in groups.items():
        where, system, kind, attack, strength, label = key
        if kind == "unmarked":
            continue
        line = {
            "set": where, "system": system, "kind": kind, "attack": attack, "strength": strength,
            "label": label, "detected": _share(found, "detected"),
            "present": _share(found, "present"), "exact": _share(found, "exact"),
            "psnr": _mean(found, "psnr"), "ssim": _mean(found, "ssim"),
            "mark_psnr": _mean(found, "mark_psnr"),
        }  # fmt: skip
        if kind == "marked":
            plain = groups[where, system, "unmarked", attack, strength, label]
            line["false"] = _share(plain, "detected")
        table.append(line)
    return table


def percent(share: dict[str, Any]) -> str:
    """95% [88, 98] of 60: a share with its exact interval."""
    low, high = (100 * end for end in share["ci95"])
    digits = 1 if high < 10 else 0
    return f"{100 * share['value']:.0f}% [{low:.{digits}f}, {high:.{digits}f}] of {share['n']}"


def pooled(lines: Rows) -> dict[str, Any]:
    """All false alarms of some lines as one share."""
    hits, n = (sum(line["false"][name] for line in lines) for name in ("hits", "n"))
    return _share([{"false": i < hits} for i in range(n)], "false")


def said(facts: dict[str, Any]) -> list[str]:
    """What was found, in sentences, a set and system at a time."""
    sentences = []
    for where in (one["name"] for one in facts["sets"]):
        for system in (one["name"] for one in facts["systems"]):
            lines = [
                line for line in facts["table"] if line["set"] == where and line["system"] == system
            ]
            if lines:
                sentences += _of_one(lines, f"{system}, {where}")
    return sentences


def removed_by(lines: Rows) -> tuple[list[str], list[str]]:
    """What surely removes the mark from more than half: cheap attacks, and spoiling ones.

    Of each attack the mildest strength that does. One that moves pixels, so that no quality was
    measured, counts as cheap.
    """
    lost: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line["kind"] == "marked" and line["detected"]["ci95"][1] < 0.5:
            lost.setdefault(line["attack"], line)
    cheap = [r["label"] for r in lost.values() if r["psnr"] is None or r["psnr"] >= GOOD]
    return cheap, [r["label"] for r in lost.values() if r["label"] not in cheap]


def _of_one(lines: Rows, who: str) -> list[str]:
    attacks = [line for line in lines if line["kind"] == "marked"]
    plain = next(line for line in attacks if line["attack"] == "none")
    cheap, dear = removed_by(lines)
    said = [
        f"{who}: the mark is {plain['mark_psnr']:.1f} dB faint and found in "
        f"{percent(plain['detected'])} untouched pictures; false alarms over all attacks: "
        f"{percent(pooled(attacks))}, which are the same pictures again and again.",
        f"{who}: surely removed from more than half of the pictures by "
        + (", ".join(cheap) or f"no attack that leaves {GOOD:g} dB of the picture")
        + (f"; below {GOOD:g} dB by {', '.join(dear)}" if dear else "") + ".",
    ]  # fmt: skip
    return said + _of_thieves(lines, who)


def _most(lines: Rows) -> Rows:
    """Of each thief's lines the one with the most pictures."""
    best: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line["attack"] not in best or line["strength"] > best[line["attack"]]["strength"]:
            best[line["attack"]] = line
    return sorted(best.values(), key=lambda line: ORDER.index(line["attack"]))


def theft(share: dict[str, Any]) -> str:
    """Whether subtracting a pattern removes the mark, as far as the interval tells."""
    low, high = share["ci95"]
    return "stolen" if high < 0.5 else "not stolen" if low > 0.5 else "inconclusive"


def forgery(share: dict[str, Any]) -> str:
    """Whether adding a pattern accuses clean pictures, as far as the interval tells."""
    low, high = share["ci95"]
    return "forged" if low > FORGED else "not forged" if high < SEEN else "inconclusive"


def of_thieves(lines: Rows) -> tuple[Rows, Rows, Rows]:
    """Lines of theft and of forgery with most pictures, and of forgery with a single one."""
    stolen = _most([line for line in lines if line["kind"] == "stolen"])
    forged = [line for line in lines if line["kind"] == "forged"]
    single = [line for line in forged if line["strength"] == 1]
    return stolen, _most([line for line in forged if line not in single]), single


def _of_thieves(lines: Rows, who: str) -> list[str]:
    stolen, many, single = of_thieves(lines)
    told = []
    for begin, found, word in (
        ("still found after what is common was subtracted", stolen, theft),
        ("found in clean pictures to which it was added", many, forgery),
        ("copied onto clean pictures", single, forgery),
    ):
        each = [
            f"{percent(line['detected'])} with {line['label']} ({word(line['detected'])})"
            for line in found
        ]
        if each:
            told.append(f"{who}: {begin}: {'; '.join(each)}.")
    return told


def ordered(lines: Sequence[dict[str, Any]]) -> list[tuple[str, Rows]]:
    """Lines by attack, in the order of the table."""
    groups: dict[str, Rows] = {}
    for line in lines:
        groups.setdefault(line["attack"], []).append(line)
    return list(groups.items())
