"""`report.html`: one file that opens offline and tells what a run did.

It reads nothing but the run folder, so that a report can be written again from any run.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from toolkit.runs import RunWriter, write_bytes
from toolkit.studies import compare_page, papers_page
from toolkit.world.factors import FACTORS

NAMES = {"stable-diffusion": ("Stable Diffusion", "sd"), "unclip": ("unCLIP", "un")}
Rows = list[dict[str, Any]]
COLORS = {"real": "#c9c2b5", "stable-diffusion": "#2f6f8f", "unclip": "#b4532a"}


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def _table(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet table, none where the run has no such table."""
    import pandas as pd

    return pd.read_parquet(path).to_dict("records") if path.exists() else []


def _present(value: Any) -> bool:
    """Whether a cell of a data frame holds something (None, NaN and NA do not)."""
    import pandas as pd

    return not pd.isna(value)


def _tiles(tiles: Iterable[tuple[str, str]]) -> str:
    cells = (f'<div class="tile"><b>{escape(n)}</b>{escape(what)}</div>' for n, what in tiles)
    return f'<div class="tiles">{"".join(cells)}</div>'


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; cells are HTML already."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def asked_and_seen(row: Any) -> list[tuple[str, str, str]]:
    """(factor, asked level, judged level) for the factors that a sample's prompt names."""
    pairs = []
    for factor in FACTORS:
        asked = row[f"asked_{factor}"]
        if _present(asked):
            pairs.append((factor, str(asked), str(row[f"judge_{factor}"])))
    return pairs


def _figure(folder: Path, row: Any) -> str:
    name, kind = NAMES.get(row["pipeline"], (row["pipeline"], ""))
    label = f'<span class="{kind}">{escape(name)}</span>, seed {int(row["seed"])}'
    if not _present(row["image"]):
        picture = f'<div class="withheld">withheld: {escape(str(row["reason"]))}</div>'
        return f"<figure>{picture}<figcaption>{label}</figcaption></figure>"
    pairs = asked_and_seen(row) if _present(row["judge_skin"]) else []
    wrong = [
        f"{factor.replace('_', ' ')}: {seen}" for factor, asked, seen in pairs if asked != seen
    ]
    right = len(pairs) - len(wrong)
    seen = f'<span class="right">{right} of {len(pairs)}</span> named factors seen' if pairs else ""
    seen += f', <span class="wrong">{escape("; ".join(wrong))}</span>' if wrong else ""
    alt = escape(f"{name} for: {row['prompt']}", quote=True)
    picture = f'<img src="{_data_uri(folder / row["image"])}" alt="{alt}">'
    under = f"{label}<br>{seen}" if seen else label
    return f"<figure>{picture}<figcaption>{under}</figcaption></figure>"


def _laboratory(folder: Path) -> str:
    """The laboratory's sheets, each with links to the picture and to its numbers in the run."""
    parts = []
    for sheet in sorted((folder / "laboratory").glob("*.png")):
        name = escape(sheet.stem)
        links = [f'<a href="laboratory/{name}.png">the sheet</a>']
        if sheet.with_suffix(".json").exists():
            links.append(f'<a href="laboratory/{name}.json">its numbers</a>')
        parts.append(
            f'<img class="strip" src="{_data_uri(sheet)}" alt="The sheet of the laboratory: '
            f'{name}"><p class="quiet">{name}: {", ".join(links)} in the run</p>'
        )
    if not parts:
        return ""
    return (
        "<h2>The laboratory</h2><p>What was drawn and measured; shares have 95 % intervals. The "
        "dashboard's page Laboratory says what such a sheet does not show.</p>" + "".join(parts)
    )


def _gallery(folder: Path, samples: Rows, manifest: dict[str, Any]) -> str:
    groups: dict[tuple[str, int], Rows] = {}
    for row in samples:
        if row["group"] == "prompts":
            groups.setdefault((row["prompt"], row["seed"]), []).append(row)
    if not groups:
        return ""
    pairs = []
    for (prompt, _), rows in groups.items():
        figures = "".join(_figure(folder, row) for row in rows)
        pairs.append(
            f'<div class="pair"><p>{escape(prompt)}</p><div class="two">{figures}</div></div>'
        )
    several = len({row["pipeline"] for rows in groups.values() for row in rows}) > 1
    title = "The same prompts and seeds through both pipelines" if several else "What was drawn"
    under = (
        "Under each picture: how many of the factors that the prompt names were read from the "
        "pixels by a judge that shares nothing with CLIP or the generators."
    )
    if checkpoint := manifest.get("checkpoint"):
        under = escape(
            f"Drawn by the real checkpoint {checkpoint['name']} ({checkpoint['kind']}). No judge "
            "has read these pictures: ours knows the portraits world alone. Not checked in them: "
            f"{'; '.join(manifest.get('unchecked', ()))}."
        )
    return f'<h2>{title}</h2><p>{under}</p><div class="gallery">{"".join(pairs)}</div>'


def _steering(folder: Path) -> str:
    strips = _read(folder / "steering.json")
    if not strips:
        return ""
    parts = []
    for strip in strips:
        name = NAMES.get(strip["pipeline"], (strip["pipeline"], ""))[0]
        ends = {kind: f"{strip[kind][0]} to {strip[kind][-1]}" for kind in ("direction", "random")}
        low, high = strip["strengths"][0], strip["strengths"][-1]
        alt = (
            f"{name}: {strip['factor']} from {low:+g} to {high:+g} sigma; the judge reads "
            f"{ends['direction']} along the direction and {ends['random']} along a random one"
        )
        source = _data_uri(folder / strip["image"])
        parts.append(f'<img class="strip" src="{source}" alt="{escape(alt, quote=True)}">')
    factor = escape(strips[0]["factor"])
    return (
        f"<h2>One direction, both pipelines: {factor}</h2>"
        "<p>One seed, moved along the direction from left to right in standard deviations of real "
        "embeddings; under it the same distance along a random direction of equal norm. What the "
        "judge reads stands under each frame. One seed shows what can happen, not how often.</p>"
        + "".join(parts)
    )


def _guard(samples: Rows) -> str:
    shown = [row for row in samples if row["group"] == "guard" or row["decision"] != "allow"]
    if not shown:
        return "<h2>The guard</h2><p>It looked at every prompt and picture and let them pass.</p>"
    rows = []
    for row in shown:
        edit = json.loads(row["edit"]) if _present(row["edit"]) else None
        steered = f"; steered {edit['strength']:+.3g} along {edit['direction']}" if edit else ""
        rows.append(
            (
                f'<span class="{escape(row["decision"])}">{escape(row["decision"])}</span>',
                escape(NAMES.get(row["pipeline"], (row["pipeline"], ""))[0]),
                escape(f"{row['prompt']}{steered}"),
                escape(str(row["reason"])),
            )
        )
    return (
        "<h2>The guard</h2><p>Of a blocked picture nothing is kept: no pixels, no trace, no "
        "embedding. The guard is made for careless and casual users, not against the owner of the "
        "machine.</p>" + _rows(("decision", "pipeline", "asked", "reason"), rows)
    )


def _verification(folder: Path) -> str:
    found = _read(folder / "verify.json")
    if not found:
        return ""
    good = sum(row["verdict"] == "verified" for row in found)
    names = ("verdict", "watermark", "metadata", "c2pa", "ledger")
    rows = []
    for row in found:
        cells = [f'<span class="{escape(row["verdict"])}">{escape(row["verdict"])}</span>']
        cells += [escape(str(row[name])) for name in names[1:]]
        rows.append((escape(row["file"]), *cells))
    every = _rows(("file", *names), rows)
    return (
        "<h2>Where each picture comes from</h2>"
        f"<p>{good} of {len(found)} released pictures are verified from the file and the key "
        "alone: an invisible mark in the pixels, metadata, a C2PA signature under this machine's "
        "development certificate, and an entry in the ledger. A mark that is missing proves "
        "nothing: marks can be removed.</p>"
        f"<details><summary>all {len(found)} pictures</summary>{every}</details>"
    )


def _bar(row: Any) -> str:
    """A share as a bar with its interval, and the reference as a tick."""
    width, x = 220, lambda share: 220 * share
    parts = [f'<rect x="0" y="4" width="{x(row["share"]):.1f}" height="10" fill="#d9a58c"/>']
    parts.append(
        f'<line x1="{x(row["low"]):.1f}" x2="{x(row["high"]):.1f}" y1="9" y2="9" stroke="#24211d"/>'
    )
    if _present(row["reference"]):
        at = x(row["reference"])
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="1" y2="17" stroke="#2f6f8f" stroke-width="2"/>'
        )
    return f'<svg width="{width}" height="18" aria-hidden="true">{"".join(parts)}</svg>'


def _audit_rows(table: Rows) -> str:
    rows = []
    for row in table:
        if row["kind"] != "judged" and row["n"] == 0:
            continue
        p = f"{row['p_holm']:.2g}" if _present(row["p_holm"]) else ""
        share = f"{row['share']:.0%} [{row['low']:.0%}, {row['high']:.0%}]" if row["of"] else ""
        rows.append(
            (
                escape(NAMES.get(row["pipeline"], (row["pipeline"], ""))[0]),
                escape(row["factor"].replace("_", " ")),
                escape(row["level"]),
                f"{row['n']} of {row['of']}",
                share,
                _bar(row) if row["of"] else "",
                p,
            )
        )
    head = ("pipeline", "factor", "answer", "n", "share, 95 %", "tick: reference", "p (Holm)")
    return f'<div class="bars">{_rows(head, rows)}</div>'


def _audit(folder: Path) -> str:
    table, facts = _table(folder / "audit.parquet"), _read(folder / "audit.json")
    if not table or facts is None:
        return ""
    striking = {row["factor"] for row in table if row["p_holm"] < 0.05} or {"skin"}
    first = [row for row in table if row["factor"] in striking]
    lines = "".join(f"<li>{escape(line)}</li>" for line in facts["summary"])
    return (
        "<h2>Who is drawn when the prompt does not say</h2>"
        f"<p>{escape(facts['question'])} Only factors that the prompt leaves open count. "
        "<i>Unclear</i> and <i>blocked</i> are answers too.</p>"
        f"<ul>{lines}</ul>{_audit_rows(first)}"
        f"<details><summary>every factor</summary>{_audit_rows(table)}</details>"
        '<p class="quiet">The judge reads pixels and can be wrong; shares are of this model, with '
        "these prompts and seeds, and say nothing about people.</p>"
    )


def scatter(points: Rows, x: str, y: str, title: str, label: Callable[[Any], str]) -> str:
    """Points as an SVG picture: real portraits small and grey, drawn ones in their colour."""
    size, edge = 420, 18
    low = {axis: min(row[axis] for row in points) for axis in (x, y)}
    span = {axis: max(row[axis] for row in points) - low[axis] or 1.0 for axis in (x, y)}
    marks = []
    for row in sorted(points, key=lambda row: row["kind"] != "real"):
        at_x = edge + (row[x] - low[x]) / span[x] * (size - 2 * edge)
        at_y = size - edge - (row[y] - low[y]) / span[y] * (size - 2 * edge)
        radius = 2 if row["kind"] == "real" else 5
        marks.append(
            f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="{radius}" fill="{COLORS[row["kind"]]}" '
            f'fill-opacity="0.85"><title>{escape(label(row))}</title></circle>'
        )
    text = f'<text x="{edge}" y="16" font-size="13" fill="#6f685e">{escape(title)}</text>'
    return (
        f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(marks)}{text}</svg>"
    )


def _map(folder: Path, samples: Rows) -> str:
    points = _table(folder / "embeddings" / "map.parquet")
    if not points:
        return ""
    prompts = {row["id"]: row["prompt"] for row in samples}

    def label(row: Any) -> str:
        return f"{row['id']}: {prompts.get(row['id'], 'a real portrait')}"

    maps = [scatter(points, "pca1", "pca2", "PCA of CLIP image embeddings", label)]
    if all(_present(row["umap1"]) for row in points):
        maps.append(scatter(points, "umap1", "umap2", "UMAP of the same embeddings", label))
    return (
        "<h2>Where the pictures lie in CLIP space</h2>"
        f'<p>Grey: real portraits. <span class="sd">Stable Diffusion</span> and '
        '<span class="un">unCLIP</span>: what was drawn. Hover over a point for its prompt. '
        "Distances in a UMAP are not to scale.</p>"
        f'<div class="maps">{"".join(maps)}</div>'
    )


def _facts(manifest: dict[str, Any]) -> str:
    def listed(title: str, facts: dict[str, Any]) -> str:
        rows = [(escape(str(k)), escape(str(v))) for k, v in facts.items()]
        return f"<details><summary>{title}</summary>{_rows(('what', 'value'), rows)}</details>"

    seconds = {name: f"{spent:.1f} s" for name, spent in manifest["timings"].items()}
    return (
        "<h2>How to get the same again</h2>"
        f"<p>Command: <code>{escape(manifest['command'])}</code>. A seed is a picture: batch size "
        "and order do not change it; another version of a library may, by a shade.</p>"
        + listed("configuration", manifest["config"])
        + listed("versions", manifest["versions"])
        + listed("models (SHA-256)", manifest["models"])
        + listed("seconds", seconds)
    )


def _counts(folder: Path, samples: Rows, manifest: dict[str, Any]) -> str:
    released = sum(_present(row["image"]) for row in samples)
    tiles = [
        (str(len(samples)), "pictures asked for"),
        (str(released), "released, marked and signed"),
        (str(len(samples) - released), "withheld by the guard"),
    ]
    found = _read(folder / "verify.json")
    if found:
        good = sum(row["verdict"] == "verified" for row in found)
        tiles.append((f"{good} of {len(found)}", "verified from the file"))
    seconds = sum(manifest["timings"].values())
    tiles.append((f"{seconds:.0f} s", "on this machine"))
    return _tiles(tiles)


def origin(manifest: dict[str, Any]) -> str:
    """What the pictures of a run are, in a sentence, for the foot of a page."""
    if checkpoint := manifest.get("checkpoint"):
        return (
            f"Every picture here was made by a model, {checkpoint['name']}; whether one resembles "
            "a real person was not checked."
        )
    return "Every person here is drawn and fictional."


def report_html(folder: Path, manifest: dict[str, Any]) -> str:
    """The report of the run in `folder`, as one HTML document without any outside link."""
    samples = _table(folder / "samples.parquet")
    style = (Path(__file__).parent / "report.css").read_text()
    sections = (
        _counts(folder, samples, manifest),
        compare_page.section(folder),
        _laboratory(folder),
        _gallery(folder, samples, manifest),
        _steering(folder),
        _guard(samples),
        _verification(folder),
        papers_page.section(folder),
        _audit(folder),
        _map(folder, samples),
        _facts(manifest),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Pellucid: {escape(manifest['command'])}</title><style>{style}</style></head>"
        f"<body><main><h1>What this run did</h1>"
        f'<p class="quiet">{escape(manifest["created"])}. {escape(origin(manifest))}</p>'
        f"{''.join(sections)}</main></body></html>\n"
    )


def write_report(run: RunWriter) -> None:
    """report.html of what a run that is being written holds so far."""
    write_bytes(run.file("report.html"), report_html(run.folder, run.manifest).encode())
