"""Where a file came from and what was done to it, and which mark stands which attack."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from dashboards.frames import outlined
from dashboards.parts import choose_study, empty, heading, opened
from dashboards.source import Source
from dashboards.studies import runs_with
from dashboards.words import plain
from toolkit.errors import UserError

BENCH = "bench.json"
KINDS = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "ppm")
MEGABYTES = 200  # the most that `safety.pictures` reads of a file
VERDICTS = {
    "verified": ("Verified: all that a released file carries is there, and agrees", "green"),
    "partial": ("Partial: something leads here, not everything", "orange"),
    "broken": ("Broken: something contradicts; do not rely on this file", "red"),
    "missing": ("Nothing is found, which proves nothing", "gray"),
}
COLORS = ("#a3302a", "#2f6f8f", "#2f7a4d", "#a9812c", "#7a5a93", "#b0577a")


def is_bench(name: str) -> bool:
    """Whether a file of a run holds what `pellucid attack-bench` found."""
    return name == BENCH


def page(source: Source) -> None:
    heading(
        "Provenance",
        "Hand in a picture: where it came from and what was done to it since, with a number. It is "
        "what `pellucid verify FILE --ledger RUNS` says, with the ledgers of this run and of those "
        "beside it. The file stays on this machine and is not kept.",
    )
    given = st.file_uploader("A picture", KINDS, key="handed-in", max_upload_size=MEGABYTES)
    if given is not None:
        try:
            _answer(given.getvalue(), given.name, source.run.path.resolve().parent)
        except UserError as error:  # another file can still be handed in
            st.error(plain(str(error)), icon=":material/error:")
    _bench(source)


def boxes(row: dict[str, Any]) -> list[tuple[Any, str, str]]:
    """What is framed in a picture: (left, top, right, bottom), a colour and what it is."""
    found = [(part["where"], f"carries number {part['number']}") for part in row["parts"]]
    if row["edited_within"]:
        found.append((row["edited_within"], "brightness is not that of the released picture"))
    return [
        (where, COLORS[i % len(COLORS)], what) for i, (where, what) in enumerate(found)
    ]  # fmt: skip


def put_right(pixels: np.ndarray, row: dict[str, Any]) -> np.ndarray:
    """A file's (h, w, 3) pixels as the released picture lay, where it was mirrored or turned."""
    from safety.orientation import Orientation

    return Orientation(row["lies"]["mirrored"], row["lies"]["quarters"]).undo(pixels)


def layers(row: dict[str, Any]) -> list[dict[str, str]]:
    """The lines of each layer, apart from origin, changes and what the page says already."""
    pairs = [line.partition(": ")[::2] for line in row["notes"]]
    said = ("origin", "since then", "contradiction", "not shown")
    return [{"layer": name, "what it says": text} for name, text in pairs if name not in said]


def _answer(data: bytes, name: str, runs: Path) -> None:
    from safety.pictures import load_picture
    from toolkit.studies.verify import verify_upload

    with st.spinner("Looking for mark, metadata, signature and ledger entry"):
        row = verify_upload(data, name, runs)
        pixels = np.asarray(load_picture(data).convert("RGB"))
    framed = boxes(row)
    picture, words = st.columns((2, 3), gap="large")
    with picture:
        shown = outlined(pixels, [(where, color) for where, color, _ in framed])
        done = row["lies"]["words"]
        st.image(put_right(shown, row), alt=f"The picture handed in: {name}")
        if done:
            st.caption(f"The right way round, as it was released; the file was {done}.")
        for _, color, what in framed:
            _keys([(color, what)])
        st.caption(f"{plain(name)}, {pixels.shape[1]} x {pixels.shape[0]} pixels  \n"
                   f"SHA-256 {row['sha256']}")  # fmt: skip
    with words:
        told, color = VERDICTS[row["verdict"]]
        st.markdown(f":{color}[**{told}**]")
        _list("Where it comes from", [row["origin"]])
        _list("What was done to it since", row["since"])
        _list("What does not fit", row["contradictions"])
        _list("What is not shown", row["not_shown"])
        _list("What to do next", row["next"])
        st.caption("p: how often a picture without this key's mark would agree with it so well")
    with st.expander("Layer by layer"):
        st.dataframe(layers(row), hide_index=True, alt="What each layer says")
    st.download_button(
        "Download the answer (JSON)", json.dumps(row, indent=2, ensure_ascii=False),
        f"{Path(name).stem}-verify.json", "application/json", icon=":material/download:",
    )  # fmt: skip


def _keys(colors: list[tuple[str, str]]) -> None:
    """What each colour stands for, in one row."""
    row = '<span style="margin-right:1.5em"><span style="color:{}">■</span> {}</span>'
    st.html("".join(row.format(color, escape(what)) for color, what in colors))


def _list(title: str, lines: list[str]) -> None:
    if lines:
        st.markdown(f"**{title}**\n" + "\n".join(f"- {plain(line)}" for line in lines))


def _bench(source: Source) -> None:
    """What an attack bench found, of this run or one beside it."""
    st.subheader("Which mark stands which attack", anchor=False)
    found = runs_with(source.run.path, is_bench)
    if not found:
        empty("No attack bench lies beside this run.", "`pellucid attack-bench` makes one.")
        return
    name = choose_study("Attack bench", list(found), "bench")
    try:
        study = source if found[name] == source.run.path else opened(str(found[name]))
    except UserError as error:  # another one can still be chosen
        st.error(str(error), icon=":material/error:")
        return
    facts = study.run.json(BENCH)
    st.caption(
        f"Found at {100 * facts['fpr']:g} % false positives, in brackets exact 95 % intervals; "
        f"seed {facts['seed']}. Theft: what many marked pictures share is subtracted. Forgery: it "
        "is added to clean ones."
    )
    st.dataframe(glance(facts), hide_index=True, alt="What each mark stands, and what not")
    report = study.run.path / "report.html"
    st.download_button(
        "Download the whole bench (HTML)", report.read_bytes, f"{name}.html", "text/html",
        icon=":material/download:",
    )  # fmt: skip
    sets = [one["name"] for one in facts["sets"]]
    for index, (where, tab) in enumerate(zip(sets, st.tabs(sets), strict=True)):
        with tab:
            _plots(study, facts, index, where)


def glance(facts: dict[str, Any]) -> list[dict[str, str]]:
    """A line a watermark and set of pictures, as at the head of the bench's report."""
    from toolkit.studies.attack_table import (
        forgery,
        of_thieves,
        percent,
        pooled,
        removed_by,
        theft,
    )

    rows = []
    for where in (one["name"] for one in facts["sets"]):
        for system in (one["name"] for one in facts["systems"]):
            lines = [r for r in facts["table"] if (r["set"], r["system"]) == (where, system)]
            attacks = [r for r in lines if r["kind"] == "marked"]
            if not attacks:
                continue
            stolen, many, single = of_thieves(lines)
            cheap, dear = removed_by(lines)
            rows.append({
                "mark": system, "pictures": where, "its PSNR": f"{attacks[0]['mark_psnr']:.1f} dB",
                "found untouched": percent(attacks[0]["detected"]),
                "false alarms": percent(pooled(attacks)),
                "surely removed from most by": ", ".join([*cheap, *dear]) or "none tried",
                "theft": _verdicts(stolen, theft), "forgery": _verdicts([*many, *single], forgery),
            })  # fmt: skip
    return rows


def _verdicts(lines: list[dict[str, Any]], word: Any) -> str:
    """How many ways of a thief came to each verdict."""
    words = [word(line["detected"]) for line in lines]
    counted = (f"{words.count(one)} {one}" for one in dict.fromkeys(words))
    return ", ".join(counted) + (f" of {len(words)} ways" if words else "")


def _plots(study: Source, facts: dict[str, Any], index: int, where: str) -> None:
    from toolkit.studies.attack_charts import palette

    colors = palette([one["name"] for one in facts["systems"]])
    _keys([(color, name) for name, color in colors.items()])
    grid = st.grid(3, min_column_width=300)
    for name, title in facts["attacks"].items():
        file = f"plots/{index}-strength-{name}.svg"
        if file in study.run.manifest["files"]:
            with grid.cell():
                st.image((study.run.path / file).read_text(), width="stretch",
                         alt=f"Found after {title}")  # fmt: skip
    numbers = [
        {
            "attack": line["label"], "mark": line["system"], "found": _percent(line["detected"]),
            "false alarms": _percent(line.get("false")),
            "PSNR, dB": None if line["psnr"] is None else round(line["psnr"], 1),
        }
        for line in facts["table"] if line["set"] == where and line["kind"] == "marked"
    ]  # fmt: skip
    with st.expander("The numbers"):
        st.dataframe(numbers, hide_index=True, alt=f"Every attack on {where}")


def _percent(share: dict[str, Any] | None) -> str:
    from toolkit.studies.attack_table import percent

    return percent(share) if share else ""
