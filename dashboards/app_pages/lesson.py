"""A first lesson: how a diffusion model draws. Six steps through a real trace of the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import streamlit as st

from dashboards.charts import PLOT, settling_chart
from dashboards.exercises import CLOSE, ordering, settling
from dashboards.frames import as_pixels, enlarge, tinted
from dashboards.parts import choose_picture, empty, heading, show, steps_of
from dashboards.source import Picture, Source, Steps
from dashboards.words import factor_name, pipeline_name, plain

EXERCISES = ("order", "settle", "wish")
WHY = {
    "background": "Large plain areas need few decisions; eyes and mouths need many.",
    "face": "Here the face was there early, and the color behind it kept changing.",
    "together": "Here neither waited for the other.",
}
TEACHER = """
**About 30 minutes, age 12 and up.** Everyone who opens this run sees the same pictures.

*Aim.* Pupils can say in their own words how a picture comes out of noise, and that a model can
fail to draw what it was asked for.

*Words.* **Noise**: numbers drawn at random, like the snow of an old television. **Step**: one
round of cleaning. **Seed**: the number that fixes the noise, so that a picture can be drawn again.
**Prompt**: the words that say what to draw. **Judge**: another program that looks at the finished
picture and says what it sees.

*Talk about.* Who decides how "a doctor" looks when the prompt does not say? (The page *Audit* has
numbers.) What could go wrong if a judge were trained by the same people as the model?

*Limits.* These models are small and draw cartoon people. Large ones work in the same way, with
more steps of training and far more pictures.
"""


@dataclass(frozen=True)
class Class:
    """What the lesson walks through: one picture of the run, its steps, and the others' ids."""

    source: Source
    picture: Picture
    steps: Steps
    usable: list[str]


def page(source: Source) -> None:
    heading("How a diffusion model draws", "A lesson in six steps, with pictures of this very run.")
    usable = [one for one in source.traced if len(steps_of(source, one)) >= 4]
    if not usable:
        empty(
            "The lesson needs a picture that kept its steps, and this run has none.",
            "`pellucid demo` makes a run that has them.",
        )
        return
    at = st.session_state.setdefault("lesson-at", 0)
    st.session_state.setdefault("lesson-solved", {})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picture = choose_picture(
            "Picture for the class", source, usable, "lesson", width=520, on_change=_restart
        )
        with st.popover("For teachers", icon=":material/co_present:"):
            st.markdown(TEACHER)
    above = st.container()  # filled last: an exercise may be solved on the way
    title, draw = STEPS[at]
    with st.container(border=True, key="lesson-card"):
        st.subheader(f"{at + 1}. {title}", anchor=False)
        draw(Class(source, picture, steps_of(source, picture.id), usable))
    above.progress(
        (at + 1) / len(STEPS),
        f"Step {at + 1} of {len(STEPS)}. Exercises solved: {_solved()} of {len(EXERCISES)}.",
    )
    with st.container(horizontal=True):
        st.button("Back", disabled=at == 0, on_click=_go, args=(-1,), icon=":material/arrow_back:")
        st.button(
            "Next", disabled=at == len(STEPS) - 1, on_click=_go, args=(1,), type="primary",
            icon=":material/arrow_forward:", icon_position="right",
        )  # fmt: skip


def _solved() -> int:
    return sum(st.session_state["lesson-solved"].get(one, False) for one in EXERCISES)


def _go(by: int) -> None:
    at = st.session_state["lesson-at"] + by
    st.session_state["lesson-at"] = min(len(STEPS) - 1, max(0, at))


def _restart() -> None:
    st.session_state["lesson-at"] = 0
    st.session_state["lesson-solved"] = {}


def _feedback(exercise: str, right: bool, good: str, bad: str) -> None:
    """Say why an answer is right or wrong, and remember that it was right."""
    if right:
        st.session_state["lesson-solved"] |= {exercise: True}
        st.success(good, icon=":material/check_circle:")
    else:
        st.warning(bad, icon=":material/lightbulb:")


def _working(steps: Steps, at: int) -> None:
    latent = steps.latents[at]
    picture = as_pixels(latent) if len(latent) == 3 else tinted(latent[0], 3.0)
    st.image(enlarge(picture, 512), width="stretch", alt=f"The noisy numbers after step {at + 1}")


def noise(lesson: Class) -> None:
    words, picture = st.columns([3, 2], gap="large")
    with words:
        st.markdown(
            "Nobody draws an outline first. The model begins with **noise**: numbers thrown like "
            "dice. On the right is what is left of the noise after the first step. It has nothing "
            "to do with the prompt yet.\n\n"
            f"The prompt was:\n\n> {plain(lesson.picture.prompt)}\n\n"
            f"The dice were fixed by the **seed** {lesson.picture.seed}. The same seed and the "
            "same prompt give the same picture every time; another seed gives another one."
        )
        if len(lesson.steps.latents[0]) != 3:
            st.caption(
                "This model works on a small hidden picture of numbers, and you see one of its "
                "layers: blue is below zero, red above."
            )
    with picture:
        _working(lesson.steps, 0)


def clean(lesson: Class) -> None:
    steps = lesson.steps
    words, left, right = st.columns([3, 2, 2], gap="large")
    with words:
        st.markdown(
            "At every step the model asks itself: *if I had to guess now, what would the finished "
            "picture be?* Then it takes a little noise away in the direction of that guess, and "
            "asks again.\n\n**Move the slider** and watch both pictures."
        )
        at = st.slider(f"Step, of {len(steps)}", 1, len(steps), value=1, key="lesson-step") - 1
        st.caption("At which step can you first say who it will be?")
    with left:
        st.markdown("**What it works on**")
        _working(steps, at)
    with right:
        st.markdown("**What it guesses**")
        guess = enlarge(steps.predicted[at], 512)
        st.image(guess, width="stretch", alt=f"The guess at step {at + 1}")


def order(lesson: Class) -> None:
    task = ordering(lesson.steps.predicted, lesson.picture.seed)
    st.markdown("Four guesses of the model got mixed up. **Which came first, which last?**")
    with st.form("order", border=False):
        places = []
        for column, (letter, step) in zip(
            st.columns(4, gap="medium"), task.steps.items(), strict=True
        ):
            with column:
                st.image(
                    enlarge(lesson.steps.predicted[step], 384),
                    width="stretch",
                    alt=f"Guess {letter}",
                )
                places.append(
                    st.selectbox(f"Guess {letter} is number", (1, 2, 3, 4), index=None,
                                 placeholder="choose", key=f"place-{letter}")
                )  # fmt: skip
        checked = st.form_submit_button("Check", type="primary", key="check-order")
    if not checked:
        return
    if sorted(place or 0 for place in places) != [1, 2, 3, 4]:
        st.warning(
            "Give every guess a number of its own, from 1 to 4.", icon=":material/lightbulb:"
        )
        return
    given = [letter for _, letter in sorted(zip(places, task.steps, strict=True))]
    wrong = task.first_wrong(given)
    named = ", ".join(f"{one} (step {task.steps[one] + 1})" for one in task.answer)
    _feedback(
        "order", wrong is None,
        f"Right: {named}. Early guesses are blurred, because many pictures are still possible and "
        "the model shows their average. Each step rules some out.",
        f"Not yet: look again at number {(wrong or 0) + 1}. A blurred guess, in which little is "
        "decided, is an early one.",
    )  # fmt: skip


def settle(lesson: Class) -> None:
    found = settling(lesson.steps.predicted)
    st.markdown(
        "Some things are decided early, others late. Look at the guesses once more. "
        "**What is finished first, the background or the face?**"
    )
    shown = lesson.steps.predicted[:: max(1, len(lesson.steps) // 8)]
    for column, frame in zip(st.columns(len(shown), gap="xsmall"), shown, strict=True):
        column.image(enlarge(frame, 128), width="stretch", alt="")
    names = {
        "background": "the background",
        "face": "the face",
        "together": "both at the same step",
    }
    answer = st.radio("I think it is", list(names), format_func=names.__getitem__, index=None,
                      key="settle-answer", horizontal=True)  # fmt: skip
    if answer is None:
        return
    background, face = found.steps["background"], found.steps["face"]
    measured = (
        f"Measured here: from step {background} on the background differs by less than {CLOSE:.0f} "
        f"of 255 from the finished one, the face from step {face} on. {WHY[found.answer]}"
    )
    right = answer == found.answer
    _feedback("settle", right, f"Right. {measured}", f"Look at the curves. {measured}")
    chart = settling_chart(found.curves)
    st.plotly_chart(
        chart,
        config=PLOT,
        key="settling",
        alt=f"The background is finished at step {background}, the face at step {face}",
    )
    st.caption(f"This is one picture. {_in_this_run(lesson)} Choose another one above to see.")


def _in_this_run(lesson: Class) -> str:
    """How many pictures of the run settle in which order, in one sentence."""
    traces = [steps_of(lesson.source, one).predicted for one in lesson.usable]
    first = Counter(settling(predicted).answer for predicted in traces)
    return (
        f"Of {len(traces)} pictures of this run, the background is finished first in "
        f"{first['background']}, the face in {first['face']}, both at the same step in "
        f"{first['together']}."
    )


def wish(lesson: Class) -> None:
    picture = lesson.picture
    left, right = st.columns([2, 3], gap="large")
    with left:
        show(lesson.source, picture)
    with right:
        st.markdown(
            f"The words of the prompt pull every guess a little towards what they ask for. "
            f"{pipeline_name(picture.pipeline)} was asked for:\n\n> {plain(picture.prompt)}\n\n"
            "**Which of these wishes can't be seen in the picture?** Tick them; tick none if "
            "you find them all."
        )
        if not picture.asked:
            st.caption(
                "This prompt names nothing that the judge looks for; choose another picture."
            )
            return
        with st.form("wish", border=False):
            ticked = [
                factor for factor, level in picture.asked.items()
                if st.checkbox(f"{factor_name(factor)}: {level}", key=f"wish-{factor}")
            ]  # fmt: skip
            checked = st.form_submit_button(
                "Compare with the judge", type="primary", key="check-wish"
            )
        if checked:
            _compare(picture, set(ticked))


def _compare(picture: Picture, ticked: set[str]) -> None:
    missed = set(picture.missed)
    reads = "; ".join(
        f"{factor_name(f)}: asked {level}, read {picture.judged.get(f, 'nothing')}"
        for f, level in picture.asked.items()
        if f in missed | ticked
    )
    told = f"Where you or it saw a difference: {reads}." if reads else "It finds every wish."
    _feedback(
        "wish", ticked == missed,
        f"You and the judge agree. {told} A model follows a prompt only as well as its training "
        "taught it to.",
        f"The judge sees it differently. {told} The judge can be wrong too: look again, and decide "
        "whom you believe.",
    )  # fmt: skip


def remember(lesson: Class) -> None:
    solved = _solved()
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(
            "- A picture starts as **noise**, and a **seed** fixes that noise.\n"
            "- At every step the model **guesses** the finished picture and moves a little "
            "towards its guess.\n"
            f"- Not everything is decided at the same step. {_in_this_run(lesson)}\n"
            "- Words **pull**, they do not command: what was asked for may be missing, and what "
            "was not asked for is filled in with what training showed most often.\n"
            "- So it is worth asking who is drawn when nobody says. The page *Audit* counts."
        )
        if solved == len(EXERCISES):
            st.success("All three exercises are solved.", icon=":material/school:")
        else:
            st.markdown(f"Exercises solved: **{solved} of {len(EXERCISES)}**. Go back any time.")
    with right:
        show(lesson.source, lesson.picture)
        st.caption("The finished picture. Nobody on it exists.")


STEPS = (
    ("It starts with noise", noise),
    ("Guess, clean a little, repeat", clean),
    ("Your turn: put the guesses in order", order),
    ("What comes first?", settle),
    ("Words pull the picture", wish),
    ("What to remember", remember),
)
