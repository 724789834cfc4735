"""Accountability papers as pages that open offline, in the style of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.runs import RunWriter, write_bytes, write_json

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


def page(kind: str, body: str, kinds: Iterable[str], report: str = "../report.html") -> str:
    """One paper as a whole document that links the others and the report."""
    links = " | ".join(
        f"<b>{TITLES[k]}</b>" if k == kind else f'<a href="{k}.html">{TITLES[k]}</a>' for k in kinds
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Pellucid: {TITLES[kind]}</title><style>{STYLE.read_text()}</style></head><body>"
        f'<main><p class="quiet"><a href="{escape(report, quote=True)}">Report</a> | {links}</p>'
        f"<h1>{TITLES[kind]}</h1>{body}</main></body></html>\n"
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
                escape(one["place"]),
                f'<span class="{COLORS[one["result"]]}">{one["result"]}</span>',
                f"{one['hits']} of {one['n']}" if one["n"] else "",
                escape(one["note"]),
            )
            for one in mine
        ]
        head = ("section", "asks for", "where it is looked for", "result", "files", "")
        parts.append(f"<h2>{escape(law)}</h2><p>{told}</p>{table(head, rows)}")
    return "".join(parts)


def _list(values: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(str(v))}</li>" for v in values) + "</ul>"


def _calibration(told: dict[str, Any]) -> str:
    """A check's calibration in words: rates with their intervals, as far as it states any."""
    said = []
    for name in ("tpr", "fpr"):
        if name in told:
            low, high = told.get(f"{name}_ci95", (None, None))
            ends = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
            said.append(f"{name.upper()} {told[name]:.3f}{ends}")
    return escape(", ".join(said))


def system(card: dict[str, Any]) -> str:
    """The system card."""
    checks = [
        (escape(name), str(one["looked"]), str(one["flagged"]), str(one["failed"]),
         _calibration(one.get("calibration") or {}))
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
        f"{escape(policy['version'])}: a check that fails blocks.</p>"
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
    side, edge, least = 220, 30, 3.0

    def at(false: float, true: float) -> str:
        x = (1 + max(np.log10(max(false, 1e-9)), -least) / least) * (side - edge - 8)
        return f"{edge + x:.1f},{8 + (1 - true) * (side - edge - 8):.1f}"

    line = " ".join(at(*point) for point in points)
    ticks = "".join(
        f'<text x="{at(10.0**-k, 0).split(",")[0]}" y="{side - 8}" font-size="10" '
        f'text-anchor="middle" fill="#6f685e">{10.0**-k:g}</text>' for k in range(int(least) + 1)
    ) + "".join(
        f'<text x="2" y="{float(at(1, share).split(",")[1]) + 4:.1f}" font-size="10" '
        f'fill="#6f685e">{share:g}</text>' for share in (0, 0.5, 1)
    )  # fmt: skip
    return (
        f'<svg width="{side}" height="{side}" viewBox="0 0 {side} {side}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><polyline points="{line}" fill="none" '
        f'stroke="#b4532a" stroke-width="2"/>{ticks}</svg>'
    )


def _rate(one: dict[str, Any]) -> tuple[str, str, str]:
    value = f"{one['hits'] / one['n']:.3f}" if one["n"] else ""
    return (
        escape(one["what"]),
        f"{one['hits']} of {one['n']}",
        f"{value} [{one['low']:.3f}, {one['high']:.3f}]",
    )


def cards(found: Sequence[dict[str, Any]]) -> str:
    """Calibration cards: ROC, rates with Clopper-Pearson intervals, by group, after changes."""
    parts = ["<p>Intervals are exact, 95 % (Clopper-Pearson). Curves: true against false positive "
             "rate, which begins at 0.001. Rates are of renders: pictures that a model drew can "
             "differ.</p>"]  # fmt: skip
    for one in found:
        name = one["detector"].replace("_", " ")
        rates = [_rate(r) for r in (one["tpr"], one["fpr"], *one["at_rates"])]
        head = ("", "n", "rate, 95 %")
        parts += [
            f"<h2>{escape(name)}</h2><p>AUC {one['auc']:.4f}, threshold {one['threshold']:.3g}: "
            f"{escape(one['source'])}. Data: {escape(one['data'])}.</p>"
            f'<p class="quiet">SHA-256 of the data: <code>{one["data_sha256"]}</code></p>',
            curve(one["roc"], f"ROC of {name}"), table(head, rates),
            "<p>False positives by group</p>", table(head, map(_rate, one["groups"])),
            "<p>True positives after a change</p>", table(head, map(_rate, one["changed"])),
        ]  # fmt: skip
    return "".join(parts)


def write_papers(run: RunWriter, found: dict[str, Any], report: str = "../report.html") -> None:
    """`papers/*.html` and `.json` of a run that is being written."""
    makers = {"laws": laws, "system": system, "incidents": incidents, "cards": cards}
    for kind in found:
        body = makers[kind](found[kind])
        write_bytes(run.file(f"papers/{kind}.html"), page(kind, body, found, report).encode())
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
