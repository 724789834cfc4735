"""Parts that several pages share."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboards.frames import enlarge
from dashboards.source import Finding, Picture, Source, Steps, damaged, fingerprint, read
from dashboards.words import plain, title_of


@st.cache_resource(max_entries=4, show_spinner="Checking every file of the run")
def _read(path: str, fingerprint: str) -> Source:
    return read(path)


def opened(path: str) -> Source:
    """The run at `path`, checked once for each state of its manifest."""
    return _read(path, fingerprint(path))


@st.cache_resource(max_entries=128, show_spinner=False)
def _steps(digest: str, name: str, _source: Source) -> Steps:
    return _source.trace(name)


def steps_of(source: Source, name: str) -> Steps:
    """The trace of a sample, read once for each state of its file."""
    return _steps(source.run.manifest["files"][f"traces/{name}.safetensors"], name, source)


def choose_picture(label: str, source: Source, ids: Sequence[str], key: str, **more) -> Picture:
    """A menu of pictures whose choice is in the page's address, by id.

    Streamlit's own binding would put the menu's words there, whole prompts.
    """
    wanted = st.query_params.get(key)
    if key not in st.session_state and wanted in ids:
        st.session_state[key] = wanted
    name = st.selectbox(
        label, ids, key=key, format_func=lambda one: title_of(source.pictures[one]), **more
    )
    st.query_params[key] = name
    return source.pictures[name]


def choose_study(label: str, names: Sequence[str], key: str) -> str:
    """A menu of runs by name whose choice is in the page's address."""
    wanted = st.query_params.get(key)
    if key not in st.session_state and wanted in names:
        st.session_state[key] = wanted
    name = st.selectbox(label, names, key=key)
    st.query_params[key] = name
    return name


def sheet(source: Source, name: str, alt: str) -> None:
    """A drawn sheet of a run, as large as it is or as the page is wide."""
    file = source.run.path / name
    try:
        st.image(file.read_bytes(), width="content", alt=alt)
    except (OSError, ValueError, SyntaxError) as error:
        raise damaged(file) from error


def heading(title: str, line: str) -> None:
    """A page's title, and one line that says what it is for."""
    st.title(title, anchor=False)
    st.markdown(line)


def empty(what: str, next_step: str) -> None:
    """What a page shows when the run holds nothing for it: what is missing, and what makes it."""
    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown(f"**{what}**", text_alignment="center")
        st.markdown(next_step, text_alignment="center")
        st.space("small")


def show(source: Source, picture: Picture, width: int | str = "stretch", side: int = 512) -> None:
    """A released picture, enlarged without smoothing."""
    alt = f"Drawn for: {picture.prompt}"
    st.image(enlarge(source.pixels(picture), side), width=width, alt=alt)  # pyright: ignore


def withheld(picture: Picture) -> None:
    """A blocked sample as a card: the reason in words, the checks behind it, never a picture."""
    with st.container(border=True, key=f"withheld-{picture.id}"):
        st.markdown(":red[:material/block:] :red[**Withheld**]")
        st.markdown(plain(picture.reason))


def finding_line(finding: Finding) -> str:
    """One check in one line of Markdown."""
    icon = {"pass": ":green[:material/check:]", "flag": ":red[:material/flag:]"}
    sign = icon.get(finding.verdict, ":red[:material/error:]")
    numbers = ""
    if finding.score is not None and finding.threshold is not None:
        numbers = f" (score {finding.score:.2f}, line at {finding.threshold:.2f})"
    where = f", {plain(finding.stage)}" if finding.stage else ""
    return f"{sign} **{plain(finding.check)}**{where}{numbers}: {plain(finding.reason)}"
