"""Every public method of probes says when it misleads, in its docstring and on its page."""

from __future__ import annotations

import inspect

import pytest

import probes
from toolkit.studies.reference import page

# What methods give back, and the vocabulary they speak: they measure nothing themselves.
NOUNS = {
    "Agreement", "Anisotropy", "Association", "DCI", "DamagedDirection", "Decomposition",
    "Direction", "Dose", "Estimate", "Evidence", "Leak", "Lexicon", "Match", "Naming", "Nulls",
    "ProbeReport", "Sensitivity", "Space", "SteeringEffect", "WrongSpace", "orthogonalise",
    "random_direction",
}  # fmt: skip
METHODS = sorted(set(probes.__all__) - NOUNS)


def test_an_estimator_is_never_a_noun() -> None:
    assert [name for name in NOUNS if hasattr(getattr(probes, name, None), "fit")] == []
    assert len(METHODS) > 30


@pytest.mark.parametrize("name", METHODS)
def test_it_says_when_it_misleads(name: str) -> None:
    said = inspect.getdoc(getattr(probes, name)) or ""
    paragraphs = [part for part in said.split("\n\n") if part.startswith("Misleads when")]
    assert len(paragraphs) == 1, f"{name} needs one paragraph that begins 'Misleads when'"
    assert len(paragraphs[0].split()) >= 12


def test_its_section_of_the_page_shows_it() -> None:
    sections = page("probes").split("\n## ")[1:]
    shown = {part.partition("\n")[0]: "**Misleads when**" in part for part in sections}
    assert set(shown) == set(probes.__all__)
    assert [name for name in METHODS if not shown[name]] == []
