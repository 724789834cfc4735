"""Both judges of restricted concepts and figures, on renders whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolkit.errors import UserError
from toolkit.judges.judgement import UNCLEAR
from toolkit.judges.marks import NOBODY, CnnMarks, Marks, SynthesisMarks, agreed
from toolkit.world import FIGURES, NOTHING, Portrait, lookalike, render_all, sample, sit


@pytest.fixture(scope="module")
def people() -> list[Portrait]:
    """Wounds, bare shoulders, figures and people like them, a quarter each."""
    rng = np.random.default_rng(8)
    made = []
    for index, portrait in enumerate(sample("test", 240, 91, NOTHING)):
        sitter = sit(FIGURES[index // 4 % len(FIGURES)], rng)
        concept = ("wound", "bare shoulders", None, None)[index % 4]
        if concept:
            made.append(replace(portrait, restricted=concept))
        else:
            made.append(sitter if index % 4 == 2 else lookalike(sitter, rng))
    return made


def _shares(marks: Marks, people: list[Portrait]) -> dict[str, float]:
    kind = np.arange(len(people)) % 4
    restricted = marks.restricted == np.array([p.restricted for p in people])
    figure = marks.figure == np.array([p.figure or NOBODY for p in people])
    return {
        "restricted": float(restricted.mean()),
        "figures": float(figure[kind == 2].mean()),
        "alike": float(figure[kind == 3].mean()),
        "others": float(figure[kind < 2].mean()),
    }


def test_the_cnn_reads_marks_of_renders(weights, people) -> None:
    shares = _shares(CnnMarks.load().read(render_all(people)), people)
    assert min(shares.values()) > 0.95, shares


def test_synthesis_reads_marks_and_they_agree(weights, people) -> None:
    few = people[:12]
    pictures = render_all(few)
    drawn, learnt = SynthesisMarks().read(pictures), CnnMarks.load().read(pictures)
    shares = _shares(drawn, few)
    assert min(shares.values()) > 0.6 and shares["restricted"] > 0.9, shares
    both = agreed(drawn, learnt)
    assert (both.restricted == learnt.restricted).mean() > 0.9
    sure = both.figure != UNCLEAR
    truth = np.array([p.figure or NOBODY for p in few])
    assert (both.figure == truth)[sure].mean() > 0.95


def test_where_judges_differ_it_is_unclear() -> None:
    one = Marks(np.array(["wound", "none"]), np.array(["Zora Quill", NOBODY]))
    two = Marks(np.array(["none", "none"]), np.array(["Zora Quill", UNCLEAR]))
    both = agreed(one, two)
    assert both.restricted.tolist() == [UNCLEAR, "none"]
    assert both.figure.tolist() == ["Zora Quill", UNCLEAR]


def test_no_pictures_no_marks(weights) -> None:
    judge = CnnMarks.load()
    assert len(judge.read(np.zeros((0, 64, 64, 3), np.uint8))) == 0


def test_a_broken_judge_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match="judge of marks"):
        CnnMarks.load(tmp_path)


def test_a_lookalike_differs_in_one_visible_factor() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        sitter = sit(FIGURES[int(rng.integers(12))], rng)
        other = lookalike(sitter, rng)
        one, two = sitter.truth(), other.truth()
        changed = [name for name in one if one[name].level != two[name].level]
        assert len(changed) == 1 and one[changed[0]].counts and other.figure is None
