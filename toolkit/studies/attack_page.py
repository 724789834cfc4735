"""The attack bench as one HTML page that opens offline."""

from __future__ import annotations

from html import escape
from typing import Any

from toolkit.runs import RunWriter, write_bytes
from toolkit.studies.attack_charts import (
    PLOTS,
    legend,
    palette,
    quality_panel,
    strength_panel,
)
from toolkit.studies.attack_table import (
    GOOD,
    forgery,
    of_thieves,
    ordered,
    percent,
    pooled,
    removed_by,
    theft,
)
from toolkit.studies.attack_thieves import KINDS
from toolkit.studies.papers_page import STYLE, table

Rows = list[dict[str, Any]]
THIEVES, THEFT = "averaging, theft", "#00a0a0"  # a name among the attacks, its colour


def _of(facts: dict[str, Any], where: str, *kinds: str) -> Rows:
    return [r for r in facts["table"] if r["set"] == where and r["kind"] in kinds]


def _by_system(lines: Rows) -> list[tuple[str, Rows]]:
    names = dict.fromkeys(line["system"] for line in lines)
    return [(name, [line for line in lines if line["system"] == name]) for name in names]


def _plots(found: dict[str, str], kind: str = "") -> str:
    return f'<div class="plots {kind}">{"".join(found.values())}</div>'


def strength_plots(facts: dict[str, Any], where: str, colors: dict[str, str]) -> dict[str, str]:
    """A panel an attack: each system's share detected at every strength."""
    panels = {}
    for attack, lines in ordered(_of(facts, where, "marked")):
        if attack == "none":
            continue
        groups, title = _by_system(lines), facts["attacks"][attack]
        panels[f"strength-{attack}"] = strength_panel(title, groups, [colors[n] for n, _ in groups])
    return panels


def quality_plots(facts: dict[str, Any], where: str, colors: dict[str, str]) -> dict[str, str]:
    """A panel a system and measure: detection beside quality, a colour an attack."""
    panels, lines = {}, []
    for line in _of(facts, where, "marked", "stolen"):
        if line["attack"] != "none":
            lines.append(line | ({"attack": THIEVES} if line["kind"] == "stolen" else {}))
    for name, mine in _by_system(lines):
        if all(line["psnr"] is None for line in mine):
            continue
        for measure in ("psnr", "ssim"):
            title = f"{name}: share found"
            panels[f"quality-{name}-{measure}"] = quality_panel(title, mine, measure, colors)
    return panels


def thief_plots(facts: dict[str, Any], where: str, colors: dict[str, str]) -> dict[str, str]:
    """A panel a system for theft and one for forgery, by how many marked pictures a thief holds."""
    panels = {}
    for kind, word in (("stolen", "theft: still found"), ("forged", "forgery: clean ones accused")):
        for name, lines in _by_system(_of(facts, where, kind)):
            groups = ordered(lines)
            title = f"{name}, {word}"
            shades = [colors[n] for n, _ in groups]
            below = "marked pictures that the thief holds"
            panels[f"{kind}-{name}"] = strength_panel(title, groups, shades, below)
    return panels


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _glance(facts: dict[str, Any]) -> str:
    """A line a watermark and set of pictures: what it stands, and what it does not."""
    rows = []
    for where in (one["name"] for one in facts["sets"]):
        for name, lines in _by_system([r for r in facts["table"] if r["set"] == where]):
            attacks = [r for r in lines if r["kind"] == "marked"]
            plain = attacks[0]
            cheap, dear = removed_by(lines)
            lost = escape(", ".join(cheap) or ("none" if attacks[1:] else "not tried")) + (
                f'<br><span class="quiet">and, at under {GOOD:g} dB, {escape(", ".join(dear))}'
                "</span>" if dear else "")  # fmt: skip
            rows.append((
                f"<b>{escape(name)}</b><br>{escape(where)}", f"{plain['mark_psnr']:.1f} dB",
                percent(plain["detected"]), percent(pooled(attacks)), lost,
                *_rogues(lines),
            ))  # fmt: skip
    head = ("mark", "its PSNR", "found untouched", "false alarms, all attacks",
            "surely removed from more than half by (mildest)", "averaging, theft: still found",
            "averaging, forgery: clean ones accused", "copy of one mark: clean ones accused"
            )  # fmt: skip
    return table(head, rows)


def _rogues(lines: Rows) -> list[str]:
    """Cells for theft, forgery and copying: what each kind of thief came to, in words."""
    stolen, many, single = of_thieves(lines)

    def cell(line: dict[str, Any], word: str) -> str:
        kind = "original known" if line["strength"] == 1 else KINDS[line["attack"]]
        kind = "original unknown" if line["attack"] == "copy" else kind
        return f"{escape(kind)}: {100 * line['detected']['value']:.0f}%, <b>{word}</b>"

    return [
        "<br>".join(cell(line, word(line["detected"])) for line in found)
        for found, word in ((stolen, theft), (many, forgery), (single, forgery))
    ]


def _table(lines: Rows) -> str:
    head = ("attack", "watermark", "TPR at 0.1 % FPR", "false alarms", "payload read whole",
            "PSNR, dB", "SSIM", "the mark's own PSNR")  # fmt: skip
    return table(head, [
        (escape(line["label"]), escape(line["system"]), percent(line["detected"]),
         percent(line["false"]) if "false" in line else "", percent(line["exact"]),
         _number(line["psnr"], 1), _number(line["ssim"], 3), _number(line["mark_psnr"], 1))
        for line in lines
    ])  # fmt: skip


def _thief_table(lines: Rows) -> str:
    does = {"stolen": "subtracted from marked", "forged": "added to clean"}
    head = ("what the thief holds", "the pattern is", "watermark", "found at 0.1 % FPR",
            "says present itself", "PSNR, dB", "SSIM")  # fmt: skip
    return table(head, [
        (escape(line["label"]), does[line["kind"]], escape(line["system"]),
         percent(line["detected"]), percent(line["present"]), _number(line["psnr"], 1),
         _number(line["ssim"], 3))
        for line in lines
    ])  # fmt: skip


def _averaging(lines: Rows, plots: dict[str, str]) -> str:
    colors = palette([*KINDS])
    kinds = [(f"{k}: {v}" if k == "copy" else v, colors[k]) for k, v in KINDS.items()]
    return (
        "<h3>Averaging: theft and forgery</h3><p>The thief holds so many marked pictures, "
        "which all carry one payload, as averaging likes best. Theft fails where marks are "
        "still found; forgery fails where clean pictures are not accused.</p>"
        f"<p>{legend(kinds)}</p>{_plots(plots)}"
        "<details><summary>the thieves in numbers</summary>"
        f'<div class="numbers">{_thief_table(lines)}</div></details>'
    )


def section(facts: dict[str, Any], where: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """One set's part of the page, and its plots by name."""
    name, n, sources = where["name"], where["n"], where["sources"]
    lines = _of(facts, name, "marked")
    if not lines:
        return "", {}
    systems = palette([s["name"] for s in facts["systems"]])
    compared = [a for a, of in ordered(lines) if a != "none" and of[0]["psnr"] is not None]
    attacks = palette(compared) | {THIEVES: THEFT}
    strength, quality = (
        strength_plots(facts, name, systems), quality_plots(facts, name, attacks)
    )  # fmt: skip
    stolen = thief_plots(facts, name, palette([*KINDS]))
    few = f", cut from {sources} photographs; intervals take them as independent" if (
        sources < n) else ""  # fmt: skip
    here = {line["system"] for line in lines}
    shown = [(facts["attacks"][a], attacks[a]) for a in compared]
    parts = [f"<h2>{escape(name)}</h2><p>{n} pictures{few}.</p>"]
    if strength:
        parts += [
            "<h3>Found at 0.1 % false positives, by strength</h3>",
            f"<p>{legend([(s, c) for s, c in systems.items() if s in here])}</p>",
            _plots(strength),
        ]
    if quality:
        parts += [
            "<h3>Detection beside quality</h3><p>One dot a strength. An attack is cheap where its "
            "dots fall while the picture is still good (left), and proves little where the picture "
            "is spoilt too (right). Attacks that move pixels are not here: nothing compares.</p>",
            f"<p>{legend([*shown, *([(THIEVES, THEFT)] if stolen else [])])}</p>",
            _plots(quality, "wide"),
        ]  # fmt: skip
    if stolen:
        parts.append(_averaging(_of(facts, name, "stolen", "forged"), stolen))
    parts.append("<details><summary>every attack in numbers</summary>"
                 f'<div class="numbers">{_table(lines)}</div></details>')  # fmt: skip
    return "".join(parts), strength | quality | stolen


def page(facts: dict[str, Any], manifest: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The whole document, and every plot of it by file name."""
    plots, sections = {}, []
    for index, where in enumerate(facts["sets"]):
        text, found = section(facts, where)
        sections.append(text)
        plots |= {f"plots/{index}-{name}.svg": svg for name, svg in found.items()}
    rules = "".join(
        f"<li><b>{escape(one['name'])}</b>: {escape(one['rule'])}</li>" for one in facts["systems"]
    )
    left, lines = (
        "".join(f"<li>{escape(line)}</li>" for line in found)
        for found in (facts["left_out"], facts["said"])
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Pellucid: attack bench</title><style>{STYLE.read_text()}{PLOTS}</style></head>"
        "<body><main><h1>Which mark stands what</h1>"
        f'<p class="quiet">{escape(manifest["created"])}, seed {facts["seed"]}.</p>'
        "<p>Each picture was marked by each watermark and attacked; the same attacks on the "
        "pictures without a mark show how often it raises a false alarm. Shares stand with their "
        f"exact 95 % intervals (Clopper-Pearson). A mark counts as found when:</p><ul>{rules}</ul>"
        f"<h2>At a glance</h2>{_glance(facts)}<ul>{left}</ul>"
        f"<details><summary>the same in sentences</summary><ul>{lines}</ul></details>"
        f"{''.join(sections)}"
        '<h2>What it does not show</h2><p>Attackers who train a network against a '
        "detector, or who can ask it as often as they like, are not here. Our networks know small "
        "drawn portraits: on photographs their regeneration is coarse, and a better one costs less "
        "quality.</p></main></body></html>\n"
    ), plots  # fmt: skip


def write_page(run: RunWriter, facts: dict[str, Any]) -> None:
    """`report.html` and `plots/*.svg` of a run that is being written."""
    text, plots = page(facts, run.manifest)
    write_bytes(run.file("report.html"), text.encode())
    for name, svg in plots.items():
        write_bytes(run.file(name), svg.encode())
