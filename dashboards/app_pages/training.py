"""Trainings on own pictures: the loss, and what was drawn while it fell."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards.charts import PLOT
from dashboards.parts import choose_study, empty, heading
from dashboards.source import Source
from dashboards.studies import Training, train_command, trainings
from dashboards.study_charts import loss_chart
from dashboards.words import plain

SHOWN = {
    "pictures": "pictures", "held_out": "held out", "start": "started from", "steps": "steps",
    "minutes": "minutes", "seed": "seed", "batch": "pictures a step", "seconds": "seconds",
    "parameters": "parameters",
}  # fmt: skip


def page(source: Source) -> None:
    heading(
        "Training",
        "How a model learnt from your own pictures: its loss, and what it drew for the same "
        "captions and seeds as it went. A training that goes on can be watched here.",
    )
    parent = source.run.path.parent
    found = trainings([source.run.path.parent, parent.parent, Path.cwd()])
    if not found:
        empty(
            "No training was found beside the runs.",
            "Make one: `pellucid train unet --data my-pictures --out my-model`, where my-pictures "
            "holds images and a metadata.csv (file_name, text)",
        )
        return
    titles = {f"{one.name}: {one.part}": one for one in found}
    one = titles[choose_study("Training", list(titles), "training")]
    if not one.done:
        left, right = st.columns([4, 1], vertical_alignment="center")
        left.markdown(":orange-badge[not finished] The same command goes on where it was stopped.")
        right.button("Look again", icon=":material/refresh:")
    at = _step(one)
    _loss(one, at)
    _grid(one, at)
    rows = [
        {"fact": name, "value": f"{one.facts[key]:,}" if isinstance(one.facts[key], int) else
         str(one.facts[key])}
        for key, name in SHOWN.items() if one.facts.get(key) is not None
    ]  # fmt: skip
    st.dataframe(rows, hide_index=True, alt="What the training was asked for")
    st.markdown("**The command that makes it**")
    st.code(train_command(one.facts, one.name), "bash")


def _step(one: Training) -> int | None:
    """The step that one looks at: the slider's, the last one to begin with."""
    steps = [step for step, _ in one.grids]
    if len(steps) < 2:
        return steps[0] if steps else None
    return st.select_slider("Step", steps, value=steps[-1], key=f"step-{one.name}-{one.part}")


def finding(one: Training) -> str:
    """The loss in words, with the sign of learning by heart where there is one."""
    if not one.learnt:
        return "No loss was written yet."
    text = f"The loss went from {one.learnt[0][1]:.3g} to {one.learnt[-1][1]:.3g}"
    if not one.held_out:
        return f"{text}; no picture was held out, so learning by heart can't be seen."
    last, least = one.held_out[-1], min(one.held_out, key=lambda row: row[1])
    text += f"; on held-out pictures it is {last[1]:.3g} at the end"
    if least[0] < last[0] and last[1] > 1.02 * least[1]:
        return (
            f"{text}, {100 * (last[1] / least[1] - 1):.0f} % above its least at step "
            f"{least[0]:.0f}: from there on the model learns pictures by heart."
        )
    return f"{text}, at or near its least: no sign of learning by heart up to here."


def _loss(one: Training, at: int | None) -> None:
    said = finding(one)
    st.markdown(plain(said))
    with st.container(border=True):
        st.plotly_chart(loss_chart(one, at), config=PLOT, key="loss", alt=said)
    st.caption(
        "A loss is of noise that was guessed, not of how a picture looks: look at the grids too. "
        "One training with one seed; another seed gives another curve."
    )


def _grid(one: Training, at: int | None) -> None:
    files = dict(one.grids)
    if at is None or at not in files:
        st.caption("No sample grid was drawn yet.")
        return
    st.markdown(f"**What it draws after step {at:,}**")
    try:
        st.image(files[at].read_bytes(), width="content", alt=f"The sample grid after step {at}")
    except (OSError, ValueError, SyntaxError):  # it is being written, or was moved away
        st.caption(f"The sample grid of step {at} can't be read; look again.")
