"""Every page, by Streamlit's own test runner: what it shows, and what it does when touched."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.app import PAGES
from dashboards.exercises import ordering, settling
from dashboards.launch import APP
from dashboards.source import Source, read


def script(path: str, name: str) -> None:
    from dashboards.app import PAGES
    from dashboards.parts import opened

    PAGES[name][0](opened(path))


def page_of(path: Path, name: str) -> AppTest:
    return AppTest.from_function(script, args=(str(path), name), default_timeout=30).run()


def words(at: AppTest) -> str:
    return "\n".join(
        str(one.value) for one in [*at.title, *at.markdown, *at.caption, *at.subheader]
    )


@pytest.fixture(scope="module")
def source(demo_run: Path) -> Source:
    return read(demo_run)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_on_a_full_run(demo_run: Path, name: str) -> None:
    at = page_of(demo_run, name)
    assert not at.exception and not at.error
    assert len(at.title) == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_is_missing_and_what_makes_it(
    bare_run: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bare_run.parent)  # a training of the person who tests is not looked at
    at = page_of(bare_run, name)
    assert not at.exception and not at.error
    assert "`pellucid " in words(at)
    assert not at.image


def run_app(monkeypatch: pytest.MonkeyPatch, path: Path) -> AppTest:
    monkeypatch.setattr(sys, "argv", [str(APP), str(path)])
    return AppTest.from_file(str(APP), default_timeout=30).run()


def test_the_app_opens_on_the_gallery(monkeypatch: pytest.MonkeyPatch, demo_run: Path) -> None:
    at = run_app(monkeypatch, demo_run)
    assert not at.exception and not at.error
    assert at.title[0].value == "Gallery"
    assert "Run **demo**" in at.caption[-1].value


def test_a_missing_run_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    at = run_app(monkeypatch, tmp_path / "none")
    assert not at.exception and not at.title
    assert [one.value for one in at.error] == [
        f"there is no run at {tmp_path / 'none'}; make one with: pellucid demo"
    ]


def test_a_run_damaged_while_open_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, own_run: Callable[[], Path]
) -> None:
    path = own_run()
    at = run_app(monkeypatch, path)
    assert not at.error
    (path / "images" / "sd-0000.png").write_bytes(b"no picture")
    at.run()
    assert not at.exception
    assert len(at.error) == 1 and "sd-0000.png is missing or damaged" in at.error[0].value


def test_the_gallery_shows_why_and_never_what(demo_run: Path, source: Source) -> None:
    at = page_of(demo_run, "gallery")
    assert len(at.image) == 8
    at.segmented_control(key="group").set_value("guard").run()
    assert not at.exception
    assert len(at.image) == 1  # one of three was allowed
    text = words(at)
    assert text.count("**Withheld**") == 2
    assert "who has not consented" in text
    assert "steered +4.2 along towards Mira Solane" in text


def test_the_audit_wall_keeps_blocked_ones(demo_run: Path) -> None:
    at = page_of(demo_run, "gallery")
    at.segmented_control(key="group").set_value("audit").run()
    assert len(at.image) == 20
    assert words(at).count("withheld]") == 2


def test_the_scrubber_moves_by_slider_and_by_button(demo_run: Path, source: Source) -> None:
    at = page_of(demo_run, "trace")
    assert "noise level" in words(at)
    slider = at.slider[0]
    slider.set_value(12).run()
    at.button(key="back").click().run()
    assert at.slider[0].value == 11
    level = source.trace(source.traced[0]).timesteps[10]
    assert f"noise level {level}" in words(at)
    at.slider[0].set_value(12).run()
    at.button(key="on").click().run()
    assert at.slider[0].value == 12  # the end is the end


def test_the_priors_output_is_shown_where_there_is_one(demo_run: Path, source: Source) -> None:
    at = page_of(demo_run, "trace")
    assert "What the prior imagines" not in words(at)
    at.selectbox(key="sample").select(source.traced[1]).run()
    assert source.traced[1].startswith("un")
    assert "What the prior imagines" in words(at)


def test_a_trace_opens_by_its_address(demo_run: Path, source: Source) -> None:
    at = AppTest.from_function(script, args=(str(demo_run), "trace"), default_timeout=30)
    at.query_params["sample"] = source.traced[3]
    assert at.run().selectbox(key="sample").value == source.traced[3]


def test_selected_points_show_their_pictures(demo_run: Path, source: Source) -> None:
    at = page_of(demo_run, "map")
    assert not at.image
    drawn = [p.id for p in source.pictures.values() if p.file][:3]
    points = [{"customdata": [one]} for one in (*drawn, "real-0001")]
    at.session_state["map-UMAP"] = {
        "selection": {"points": points, "point_indices": [], "box": [], "lasso": []}
    }
    at.run()
    assert not at.exception
    assert len(at.image) == 3
    assert "**3 drawn pictures**, and 1 of the real portraits" in words(at)


def test_pictures_can_be_chosen_without_a_mouse(demo_run: Path, source: Source) -> None:
    at = page_of(demo_run, "map")
    at.multiselect(key="by-name").select(source.traced[0]).run()
    assert len(at.image) == 1


def test_a_map_says_how_far_it_can_be_trusted(own_run: Callable[[], Path]) -> None:
    import json

    path = own_run()
    row = {"map": "UMAP", "measure": "trustworthiness", "value": 0.9, "low": 0.88, "high": 0.92,
           "least": 0.89, "most": 0.91, "maps": 3, "chance": 0.5, "n": 80}  # fmt: skip
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["pca"] = {"map": {"stability": [row]}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    at = page_of(path, "map")
    assert not at.exception
    captions = " ".join(one.value for one in at.caption).replace("\\", "")
    assert "UMAP: trustworthiness 0.90" in captions and "3 seeds 0.89 to 0.91" in captions


def test_a_map_of_a_store_is_shown_too(tmp_path: Path) -> None:
    import pandas as pd

    from probes import Space
    from toolkit.embeddings import write_store
    from toolkit.studies.map_run import map_run

    rng, ids = np.random.default_rng(0), [f"{i}.png" for i in range(40)]
    labels = pd.DataFrame({"kind": ["owl", "tit"] * 20}, index=pd.Index(ids, name="id"))
    write_store(
        tmp_path / "birds", rng.normal(size=(40, 6)), ids, space=Space("m", "s"), model="m",
        labels=labels,
    )  # fmt: skip
    map_run(tmp_path / "birds", tmp_path / "run", color="kind", only_pca=True)
    at = page_of(tmp_path / "run", "map")
    assert not at.exception
    (chart,) = at.get("plotly_chart")
    assert "owl" in chart.proto.spec and "tit" in chart.proto.spec
    captions = " ".join(one.value for one in at.caption).replace("\\", "")
    assert "PCA: neighbours kept" in captions


def test_colouring_by_a_judged_factor(demo_run: Path) -> None:
    at = page_of(demo_run, "map")
    at.selectbox(key="colour").select("attire").run()
    assert not at.exception


def test_the_strength_moves_frame_and_reading(demo_run: Path) -> None:
    at = page_of(demo_run, "directions")
    assert "The judge reads glasses: **yes**" in words(at)
    at.select_slider[0].set_value(-2.0).run()
    assert not at.exception
    assert "The judge reads glasses: **yes**" not in words(at)
    assert "**Along glasses, \\-2**" in words(at) or "Along glasses, -2" in words(at)


def test_evidence_is_of_the_chosen_pipelines_site(demo_run: Path) -> None:
    at = page_of(demo_run, "directions")
    assert "82% [66%, 92%]" in at.table[0].value.to_string()
    at.segmented_control(key="pipeline").set_value("stable-diffusion").run()
    assert not at.exception
    assert "**text token states**" in words(at)
    assert "82%" not in at.table[0].value.to_string()


def test_a_direction_without_a_filmstrip_says_how_to_draw_one(demo_run: Path) -> None:
    at = page_of(demo_run, "directions")
    at.selectbox(key="factor").select("beard").run()
    assert not at.exception
    assert "`pellucid steer beard" in words(at)
    assert at.table


def test_the_audit_shows_every_answer(demo_run: Path) -> None:
    at = page_of(demo_run, "audit")
    assert "a portrait of a doctor" in words(at)
    at.pills(key="audit-factor").set_value("skin").run()
    table = at.dataframe[0].value
    assert {"unclear", "blocked"} <= set(table["answer"])
    blocked = table[table["answer"] == "blocked"]
    assert blocked["pictures"].tolist() == ["1 of 11", "1 of 11"]


def go_to(at: AppTest, step: int) -> AppTest:
    at.session_state["lesson-at"] = step
    return at.run()


def test_the_lesson_goes_on_and_back(demo_run: Path) -> None:
    at = page_of(demo_run, "lesson")
    assert at.subheader[0].value.startswith("1. ")
    for step in range(2, 7):
        next(one for one in at.button if one.label == "Next").click().run()
        assert not at.exception
        assert at.subheader[0].value.startswith(f"{step}. ")
    next(one for one in at.button if one.label == "Back").click().run()
    assert at.subheader[0].value.startswith("5. ")


def answer_order(at: AppTest, order: tuple[str, ...]) -> AppTest:
    for place, letter in enumerate(order, start=1):
        at.selectbox(key=f"place-{letter}").select(place)
    return at.button(key="check-order").click().run()


def test_ordering_the_guesses_is_checked(demo_run: Path, source: Source) -> None:
    at = go_to(page_of(demo_run, "lesson"), 2)
    picture = source.pictures[source.traced[0]]
    task = ordering(source.trace(picture.id).predicted, picture.seed)
    at.button(key="check-order").click().run()
    assert "a number of its own" in at.warning[0].value
    answer_order(at, tuple(reversed(task.answer)))
    assert "number 1" in at.warning[0].value and not at.success
    answer_order(at, task.answer)
    assert at.success and "blurred" in at.success[0].value
    assert at.session_state["lesson-solved"] == {"order": True}


def test_what_settles_first_is_checked(demo_run: Path, source: Source) -> None:
    at = go_to(page_of(demo_run, "lesson"), 3)
    found = settling(source.trace(source.traced[0]).predicted)
    assert found.answer == "background"  # the fixture's traces are made so
    at.radio[0].set_value("face").run()
    assert not at.success and f"from step {found.steps['face']} on" in at.warning[0].value
    at.radio[0].set_value("background").run()
    assert at.success
    assert "Of 8 pictures of this run, the background is finished first in 8," in words(at)


def test_missed_wishes_are_compared_with_the_judge(demo_run: Path, source: Source) -> None:
    name = next(p.id for p in source.pictures.values() if p.missed)
    at = page_of(demo_run, "lesson")
    at.selectbox(key="lesson").select(name).run()
    go_to(at, 4)
    at.button(key="check-wish").click().run()
    assert at.warning and "asked" in at.warning[0].value
    at.checkbox(key=f"wish-{source.pictures[name].missed[0]}").check()
    at.button(key="check-wish").click().run()
    assert at.success and not at.warning


def test_another_picture_starts_the_lesson_again(demo_run: Path, source: Source) -> None:
    at = go_to(page_of(demo_run, "lesson"), 4)
    at.session_state["lesson-solved"] = {"order": True}
    at.selectbox(key="lesson").select(source.traced[2]).run()
    assert at.subheader[0].value.startswith("1. ")
    assert at.session_state["lesson-solved"] == {}


def test_all_solved_is_said_at_the_end(demo_run: Path) -> None:
    at = page_of(demo_run, "lesson")
    at.session_state["lesson-solved"] = {"order": True, "settle": True, "wish": True}
    assert "All three exercises" in go_to(at, 5).success[0].value
