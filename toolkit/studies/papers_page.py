"""Accountability papers as pages that open offline, in the style of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.runs import RunWriter, write_bytes, write_json
from toolkit.studies.attack_charts import LEFT, PLOTS, RIGHT, WIDTH, panel, strength_panel, up
from toolkit.studies.charts import COLORS as COLORS_OF

STYLE = Path(__file__).parent.parent / "report.css"
TITLES = {"laws": "Laws, field by field", "system": "System card", "incidents": "Incidents",
          "cards": "Calibration cards"}  # fmt: skip
COLORS = {"pass": "verified", "fail": "broken", "open": "quiet"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; cells are HTML already."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def page(
    kind: str, body: str, kinds: Iterable[str], report: str = "../report.html", of: str = ""
) -> str:
    """One paper as a whole document that links the others and the report."""
    about = f'<p class="quiet">{escape(of)}</p>' if of else ""
    links = " | ".join(
        f"<b>{TITLES[k]}</b>" if k == kind else f'<a href="{k}.html">{TITLES[k]}</a>' for k in kinds
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Pellucid: {TITLES[kind]}</title><style>{STYLE.read_text()}{PLOTS}"
        "</style></head><body>"
        f'<main><p class="quiet"><a href="{escape(report, quote=True)}">Report</a> | {links}</p>'
        f"<h1>{TITLES[kind]}</h1>{about}{body}</main></body></html>\n"
    )


def laws(fields: Sequence[dict[str, Any]]) -> str:
    """Each law's table: section, what it asks, where it is looked for, pass, fail or open."""
    parts = [
        "<p>Each field is answered from the released files, read again with this machine's keys. "
        "<i>Open</i>: no file can tell. Whether a law applies, and to whom, is for people to say: "
        "this is no legal advice.</p>"
    ]
    for law in dict.fromkeys(one["law"] for one in fields):
        mine = [one for one in fields if one["law"] == law]
        told = ", ".join(f"{sum(one['result'] == kind for one in mine)} {kind}" for kind in COLORS)
        rows = [
            (
                escape(one["section"]),
                escape(one["asks"]),
                _code(one["place"]),
                f'<span class="{COLORS[one["result"]]}">{one["result"]}</span>',
                f'<span class="whole">{one["hits"]} of {one["n"]}</span>' if one["n"] else "",
                _code(one["note"]),
            )
            for one in mine
        ]
        head = ("section", "asks for", "where it is looked for", "result", "files", "note")
        parts.append(f"<h2>{escape(law)}</h2><p>{told}</p>{table(head, rows)}")
    return "".join(parts)


def _code(text: str) -> str:
    """Text whose `commands` stand in code."""
    parts = [escape(part) for part in text.split("`")]
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _list(values: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(str(v))}</li>" for v in values) + "</ul>"


def _calibration(concepts: dict[str, dict[str, Any]]) -> str:
    """A check's calibration in words, a line a concept: rates with their intervals."""
    words = {"tpr": "TPR", "fpr": "FPR", "fpir": "false alarms", "alike_let_through":
             "look-alikes let through"}  # fmt: skip
    lines = []
    for concept, told in concepts.items():
        said = []
        for name, word in words.items():
            if name in told:
                low, high = told.get(f"{name}_ci95", (None, None))
                ends = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
                said.append(f"{word} {told[name]:.3f}{ends}")
        if said:
            lines.append(escape(f"{concept}: " if concept else "") + escape(", ".join(said)))
    return "<br>".join(lines) or '<span class="quiet">no rates: it looks words up</span>'


def system(card: dict[str, Any]) -> str:
    """The system card."""
    checks = [
        (escape(name.replace("_", " ")), *(str(one[n]) for n in ("looked", "flagged", "failed")),
         _calibration(one["calibration"]))
        for name, one in card["checks"].items()
    ]  # fmt: skip
    policy = card["policy"]
    return (
        f"<p>{escape(card['system'])} {escape(str(card['version']))}, {escape(card['date'])}. "
        f"Command: <code>{escape(card['command'])}</code></p>"
        f"<h2>What it is for</h2><p>{escape(card['purpose'])}</p><p>Not for:</p>"
        + _list(card["not_for"])
        + "<h2>Models</h2>"
        + table(("model", "SHA-256"), [(escape(k), f"<code>{escape(str(v))}</code>")
                                       for k, v in card["models_sha256"].items()])
        + f"<h2>Safeguards</h2><p>Policy {escape(policy['name'])}, version "
        f"{escape(policy['version'])}: a check that fails blocks. Rates are those "
        "of fitting, on data of its own; the calibration cards measure the checks anew.</p>"
        + table(("check", "looked", "flagged", "failed", "calibrated, 95 % interval"), checks)
        + "<h2>What was decided</h2>"
        + table(("decision", "pictures"), [(escape(k), str(v))
                                           for k, v in card["decisions"].items()])
        + "<h2>Where released files come from</h2>"
        + table(("verdict", "files"), [(escape(k), str(v))
                                       for k, v in card["provenance"].items()])
        + "<h2>Limits</h2>" + _list(card["limits"])
    )  # fmt: skip


def incidents(found: Sequence[dict[str, Any]]) -> str:
    """The incident file."""
    if not found:
        return "<p>None: nothing was refused, and every released file verifies.</p>"
    rows = [
        (escape(one["id"]), escape(one["system"]), escape(one["kind"]), escape(one["severity"]),
         escape("; ".join(one["found_by"])), escape(one["harm"]), escape(one["action"]))
        for one in found
    ]  # fmt: skip
    head = ("id", "system", "what", "severity", "found by", "harm", "action")
    return (
        "<p>Pictures are named by id; what was asked stays in the run, so this file can be handed "
        "on.</p>" + table(head, rows)
    )


def curve(points: Sequence[Sequence[float]], title: str) -> str:
    """A ROC curve as an SVG picture; false positives on a log scale, from 0.001 on."""
    least = 3

    def across(false: float) -> float:
        share = 1 + max(np.log10(max(false, 1e-9)), -least) / least
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    line = " ".join(f"{across(false):.1f},{up(true):.1f}" for false, true in points)
    ticks = [(across(10.0**-k), f"{10.0**-k:g}") for k in range(least + 1)]
    drawn = f'<polyline points="{line}" fill="none" stroke="{COLORS_OF[0]}" stroke-width="2"/>'
    return panel(title, ticks, drawn, "false positives; upwards true ones")


def robustness(found: dict[str, Any]) -> list[str]:
    """A panel an attack: the share still detected at each strength, with exact intervals."""
    panels = []
    for one in found.get("curves", ()):
        lines = [
            {
                "strength": strength, "label": rate["what"],
                "detected": {"value": rate["hits"] / rate["n"], "hits": rate["hits"],
                             "n": rate["n"], "ci95": (rate["low"], rate["high"])},
            }
            for strength, rate in zip(one["strengths"], one["rates"], strict=True)
        ]  # fmt: skip
        panels.append(strength_panel(one["attack"], [(one["attack"], lines)], COLORS_OF[:1]))
    return panels


def _rate(one: dict[str, Any]) -> tuple[str, str, str]:
    value = f"{one['hits'] / one['n']:.3f}" if one["n"] else ""
    return (
        escape(one["what"]),
        f"{one['hits']} of {one['n']}",
        f"{value} [{one['low']:.3f}, {one['high']:.3f}]",
    )


def _link(detector: str) -> str:
    name = escape(detector, quote=True)
    return f'<a href="#{name}">{name.replace("_", " ")}</a>'


def _of(one: dict[str, Any]) -> str:
    _, count, share = _rate(one)
    return f"{share} ({count})"


def cards(found: Sequence[dict[str, Any]]) -> str:
    """Calibration cards: ROC, rates with Clopper-Pearson intervals, by group, after changes."""
    parts = ["<p>Intervals are exact, 95 % (Clopper-Pearson). First panel: true against false "
             "positive rate, which begins at 0.001. The others: the share still detected at the "
             "threshold after an attack, from mild to severe. Rates are of renders, unless a card "
             "says otherwise: pictures that a model drew can differ.</p>"]  # fmt: skip
    if len(found) > 1:
        head = ("detector", "AUC", "true positives, 95 %", "false positives, 95 %")
        rows = [
            (_link(one["detector"]), f"{one['auc']:.4f}", _of(one["tpr"]), _of(one["fpr"]))
            for one in found
        ]
        parts.append(table(head, rows))
    for one in found:
        name = one["detector"].replace("_", " ")
        rates = [_rate(r) for r in (one["tpr"], one["fpr"], *one["at_rates"])]
        head = ("", "n", "rate, 95 %")
        parts += [
            f'<h2 id="{escape(one["detector"])}">{escape(name)}</h2>'
            f"<p>AUC {one['auc']:.4f}, threshold {one['threshold']:.3g}: "
            f"{escape(one['source'])}. Data: {escape(one['data'])}.</p>"
            f'<p class="quiet">SHA-256 of the data: <code>{one["data_sha256"]}</code></p>',
            f'<div class="plots">{curve(one["roc"], f"ROC of {name}")}'
            f"{''.join(robustness(one))}</div>",
            table(head, rates),
            "<p>False positives by group</p>", table(head, map(_rate, one["groups"])),
            "<p>True positives after a change</p>", table(head, map(_rate, one["changed"])),
        ]  # fmt: skip
    return "".join(parts)


def write_papers(
    run: RunWriter, found: dict[str, Any], report: str = "../report.html", of: str = ""
) -> None:
    """`papers/*.html` and `.json` of a run that is being written; `of` says what they are about."""
    makers = {"laws": laws, "system": system, "incidents": incidents, "cards": cards}
    for kind in found:
        body = makers[kind](found[kind])
        write_bytes(run.file(f"papers/{kind}.html"), page(kind, body, found, report, of).encode())
        write_json(run.file(f"papers/{kind}.json"), found[kind])


def section(folder: Path) -> str:
    """The report's part that links the papers, with what the laws' fields came to."""
    import json

    file = folder / "papers" / "laws.json"
    if not file.exists():
        return ""
    fields = json.loads(file.read_text())
    told = ", ".join(f"{sum(f['result'] == kind for f in fields)} {kind}" for kind in COLORS)
    there = [kind for kind in TITLES if (folder / "papers" / f"{kind}.html").exists()]
    links = ", ".join(f'<a href="papers/{kind}.html">{TITLES[kind]}</a>' for kind in there)
    return (
        f"<h2>Accountability</h2><p>EU AI Act, Article 50, and California SB 942, field by field: "
        f"{told}. Pages in the run: {links}.</p>"
    )
