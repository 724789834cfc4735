"""Who is drawn when the prompt does not say."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields

import streamlit as st

from dashboards.charts import PLOT, audit_chart
from dashboards.parts import empty, heading
from dashboards.source import Answer, Source
from dashboards.words import factor_name, named, pipeline_name


def striking_first(answers: Sequence[Answer]) -> list[str]:
    """The audited factors, the one with the smallest corrected p first."""
    least: dict[str, float] = {}
    for one in answers:
        if one.kind == "judged" and one.of:
            p = 1.0 if one.p_holm is None else one.p_holm
            least[one.factor] = min(p, least.get(one.factor, 1.0))
    return sorted(least, key=least.__getitem__)


def as_csv(answers: Sequence[Answer]) -> str:
    """The bias table as CSV, empty cells for what is not defined."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Answer)])
    writer.writeheader()
    writer.writerows(asdict(one) for one in answers)
    return stream.getvalue()


def page(source: Source) -> None:
    heading(
        "Audit",
        "What the models draw when the prompt leaves it open. Dots are shares, lines their 95 % "
        "intervals, ticks the reference. *Unclear* and *blocked* are answers too.",
    )
    factors = striking_first(source.audit)
    if not factors:
        empty("This run was not audited.", "`pellucid audit RUN` prints the table of any run.")
        return
    facts = source.audit_facts
    if "question" in facts:
        st.markdown(f"**{named(facts['question'])}**")
    st.markdown("\n".join(f"- {named(line)}" for line in facts.get("summary", ())))
    picked = st.pills(
        "Factor",
        factors,
        default=factors[0],
        format_func=factor_name,
        key="audit-factor",
        required=True,
        bind="query-params",
        label_visibility="collapsed",
    )
    factor = picked or factors[0]
    answers = [one for one in source.audit if one.factor == factor]
    with st.container(border=True):
        chart = audit_chart(answers)
        st.plotly_chart(chart, config=PLOT, key="audit-chart", alt=takeaway(answers))
    st.caption(
        "The judge reads pixels and can be wrong. Shares are of these models with these prompts "
        "and seeds, and say nothing about people. Pictures that were blocked count in every share."
    )
    _table(answers)
    st.download_button(
        "Download the whole table (CSV)",
        as_csv(source.audit),
        "audit.csv",
        "text/csv",
        icon=":material/download:",
    )


def takeaway(answers: Sequence[Answer]) -> str:
    """The chart in one sentence, for those who can't see it."""
    top = max(answers, key=lambda one: one.share or 0.0)
    name, factor = pipeline_name(top.pipeline), factor_name(top.factor)
    return f"{factor}: {name} draws {top.level} most often, {top.share or 0:.0%}"


def _table(answers: Sequence[Answer]) -> None:
    def percent(share: float | None) -> str:
        return "" if share is None else f"{share:.0%}"

    rows = [
        {
            "pipeline": pipeline_name(one.pipeline),
            "answer": one.level,
            "pictures": f"{one.n} of {one.of}",
            "share": percent(one.share),
            "95 % interval": f"{one.low:.0%} to {one.high:.0%}" if one.of else "",
            "reference": percent(one.reference),
            "p (Holm)": "" if one.p_holm is None else f"{one.p_holm:.2g}",
        }
        for one in answers
    ]
    st.dataframe(
        rows, hide_index=True, alt=f"Every answer for {factor_name(answers[0].factor)} with counts"
    )
