"""One picture, step by step: what was noise, what was foreseen, what the prior said."""

from __future__ import annotations

import numpy as np
import streamlit as st

from dashboards.charts import PLOT, closeness_chart
from dashboards.frames import as_pixels, distance, enlarge, tinted
from dashboards.parts import choose_picture, empty, heading, show, steps_of
from dashboards.source import Picture, Source, Steps
from dashboards.words import pipeline_badge, plain, seen_sentence

FRAMES = 12


def shown_steps(count: int, most: int = FRAMES) -> list[int]:
    """At most `most` step numbers, evenly spread, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(most, count))})


def page(source: Source) -> None:
    heading(
        "Trace",
        "A diffusion model starts from noise and cleans it step by step. At every step it also "
        "foresees the finished picture. Move through the steps with the slider or the arrow keys.",
    )
    if not source.traced:
        empty(
            "No picture of this run kept its steps.",
            "Draw one that does: `pellucid demo` keeps them for its prompts.",
        )
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        picture = choose_picture("Picture", source, source.traced, "sample")
    steps = steps_of(source, picture.id)
    with right:
        at = _scrubber(picture, len(steps))
    _strip(steps, at)
    _frames(source, picture, steps, at)
    moved = [distance(frame, steps.predicted[-1]) for frame in steps.predicted]
    st.markdown("**How far the guess still is from the last one**")
    st.plotly_chart(
        closeness_chart(moved, at), config=PLOT, key="closeness",
        alt=f"The guess differs by {moved[0]:.0f} of 255 at first and {moved[at]:.0f} now",
    )  # fmt: skip
    if steps.prior is not None:
        _prior(steps.prior)


def _turn(key: str, by: int, last: int) -> None:
    st.session_state[key] = min(last, max(1, st.session_state[key] + by))


def _scrubber(picture: Picture, last: int) -> int:
    """The slider over the steps, with a button to either side; the step, from 0."""
    if last == 1:
        return 0
    key = f"step-{picture.id}"
    st.session_state.setdefault(key, max(1, last // 3))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Back", icon=":material/chevron_left:", key="back", help="one step back",
                  on_click=_turn, args=(key, -1, last), shortcut="Left")  # fmt: skip
        at = st.slider(f"Step, of {last}", 1, last, key=key)
        st.button("On", icon=":material/chevron_right:", key="on", help="one step on",
                  on_click=_turn, args=(key, 1, last), shortcut="Right")  # fmt: skip
    return at - 1


def _frames(source: Source, picture: Picture, steps: Steps, at: int) -> None:
    """The guess, the numbers it comes from, and the picture that was released."""
    left, middle, right = st.columns([1, 1, 1], gap="large")
    with left:
        st.markdown(f"**What it foresees at noise level {steps.timesteps[at]}**")
        st.image(enlarge(steps.predicted[at], 512), width="stretch",
                 alt=f"The picture foreseen at step {at + 1}")  # fmt: skip
    with middle:
        _working(steps, at)
    with right:
        st.markdown("**What was released**")
        show(source, picture)
        st.markdown(pipeline_badge(picture.pipeline))
        st.caption(f"{plain(picture.prompt)}. {seen_sentence(picture)}.")


def _working(steps: Steps, at: int) -> None:
    """What the model works on: noisy pixels, or the channels of a latent."""
    latent = steps.latents[at]
    if len(latent) == 3:
        st.markdown("**What it works on: noisy pixels**")
        st.image(enlarge(as_pixels(latent), 512), width="stretch",
                 alt=f"Noisy pixels after step {at + 1}")  # fmt: skip
        st.caption(f"{latent.shape[1]} by {latent.shape[2]} pixels; enlarged at the end.")
        return
    st.markdown(f"**What it works on: {len(latent)} latent channels**")
    for row in range(0, len(latent), 2):
        for column, index in zip(st.columns(2, gap="small"), range(row, row + 2), strict=True):
            if index < len(latent):
                column.image(
                    enlarge(tinted(latent[index], 3.0), 256), width="stretch",
                    alt=f"Latent channel {index + 1} after step {at + 1}",
                )  # fmt: skip
    st.caption("Blue is below zero, red above. The decoder turns these numbers into pixels.")


def _strip(steps: Steps, at: int) -> None:
    """Guesses from the first to the last, the current one marked."""
    chosen = sorted({*shown_steps(len(steps)), at})
    for column, index in zip(st.columns(len(chosen), gap="xsmall"), chosen, strict=True):
        column.image(enlarge(steps.predicted[index], 128), width="stretch",
                     alt=f"Foreseen at step {index + 1}")  # fmt: skip
        column.caption(f":primary[**{index + 1}**]" if index == at else str(index + 1))


def _prior(prior: np.ndarray) -> None:
    """The prior's output: one row a step, one column a dimension."""
    st.markdown("**What the prior imagines**")
    last = prior[-1] / np.linalg.norm(prior[-1])
    norms = np.linalg.norm(prior, axis=1)
    first = float(prior[0] @ last / norms[0]) if norms[0] else float("nan")
    limit = float(np.quantile(np.abs(prior), 0.98)) or 1.0
    rows = tinted(prior, limit).repeat(8, 0).repeat(max(1, 1024 // prior.shape[1]), 1)
    st.image(rows, width="stretch", alt=f"The prior's output over {len(prior)} steps")
    st.caption(
        f"The image embedding, {prior.shape[1]} numbers a row, from the prior's first step (top) "
        f"to its last of {len(prior)} (bottom). The first row has cosine {first:.2f} with the last."
    )
