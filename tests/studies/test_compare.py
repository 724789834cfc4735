"""The comparison's measures against hand-made truths, its sentences, and one small run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.studies.asked import asked_levels
from toolkit.studies.compare import Size, compare_run, default_prompts, read_prompts
from toolkit.studies.compare_measures import (
    Estimate,
    Space,
    fitting,
    frechet,
    jackknife,
    nearest,
    ratio,
    right,
    small,
    variety,
)
from toolkit.studies.compare_systems import CANDIDATES, SD, SD_FAST, SYSTEMS, UN, UN_FAST, BestOf
from toolkit.studies.compare_verdict import BY_KEY, MEASURES, difference, pairs, verdict
from toolkit.world import render_all, sample, visible_levels


def test_frechet_by_hand() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4000, 3))
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet(a, a + [3, 0, 4]) == pytest.approx(25)
    # Same mean, twice the spread on three axes: 3 (2 - 1)^2.
    assert frechet(a - a.mean(0), 2 * (a - a.mean(0))) == pytest.approx(3, rel=0.1)


def test_frechet_agrees_with_scipy() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(90, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(80, 5))
    one, two = np.cov(a.T), np.cov(b.T)
    cross = np.trace(np.real(sqrtm(one @ two)))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(one + two) - 2 * cross
    assert frechet(a, b) == pytest.approx(expected)


def test_variety_by_hand() -> None:
    same, prompts = np.ones((6, 4)), np.array([0, 0, 0, 1, 1, 1])
    assert variety(same, prompts) == 0
    line = np.array([[0.0], [2.0], [0.0], [4.0]])
    assert variety(line, np.array([0, 0, 1, 1])) == pytest.approx(3)  # (2 + 4) / 2
    assert np.isnan(variety(line, np.arange(4)))


def test_the_space_tells_portraits_apart(weights: Path) -> None:
    real = render_all(sample("probe", 120, 5))
    vectors = Space(real, axes=16)(real)
    apart = np.linalg.norm(vectors[:60] - vectors[60:], axis=1)
    assert np.sqrt((apart**2).mean()) == pytest.approx(1, abs=0.15)


def test_nearest_finds_a_copy() -> None:
    pictures = render_all(sample("train", 260, 0)[250:])
    apart = nearest(pictures, small(pictures))
    assert np.allclose(apart, 0, atol=0.1)
    brighter = np.clip(pictures.astype(int) + 10, 0, 255).astype(np.uint8)
    assert 5 < nearest(brighter, small(pictures)).mean() <= 10.1


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(2).normal(size=40)
    found = jackknife(lambda rows: float(values[rows].mean()), np.arange(40), range(40))
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(40))


def test_the_jackknife_takes_off_a_bias() -> None:
    values = np.random.default_rng(3).normal(size=12)
    plain = lambda rows: float(values[rows].var())  # noqa: E731
    found = jackknife(plain, np.arange(12), range(12), corrected=True)
    assert found.value == pytest.approx(values.var(ddof=1))  # the unbiased variance


def test_an_interval_of_all_right_is_not_a_point() -> None:
    hits = np.ones(30, int)
    found = jackknife(ratio(hits, hits), np.repeat(np.arange(10), 3), range(10), share=True)
    low, high = found.interval()
    assert low < 0.8 and high == 1
    assert np.isnan(jackknife(ratio(hits[:3], hits[:3]), np.arange(3), range(3)).error)


def test_what_is_right_is_counted_by_factor() -> None:
    prompts = ["a smiling doctor with glasses", "a portrait"]
    read = {f: np.array(["?", "?"]) for f in ("skin", "hair_color", "hair_style", "age", "beard")}
    read |= {"expression": np.array(["smiling", "smiling"]), "attire": np.array(["chef", "chef"])}
    read |= {"glasses": np.array(["yes", "no"]), "background": np.array(["?", "?"])}
    hits, of = right(prompts, read)
    assert of[1] == 0 and hits[1] == 0
    assert of[0] == len(asked_levels(prompts[0])) == 3
    assert hits[0] == 2


def test_fitting_portraits_show_what_is_asked() -> None:
    for prompt in default_prompts(6, 4):
        asked = asked_levels(prompt)
        for portrait in fitting(prompt, 3, 11):
            shown = visible_levels(portrait)
            assert asked.items() <= shown.items()


def _estimate(value: float, spread: float = 0.01, n: int = 24, **more) -> Estimate:
    wobble = np.resize([spread, -spread], n) / n
    return Estimate(value, tuple(value + wobble), **more)


def test_only_what_the_interval_carries_is_claimed() -> None:
    accuracy = BY_KEY["accuracy_cnn"]
    sure = difference(accuracy, _estimate(0.95), _estimate(0.80), None)
    assert sure is not None and sure.verdict == "better" and sure.gain == pytest.approx(0.15)
    back = difference(accuracy, _estimate(0.80), _estimate(0.95), None)
    assert back is not None and back.verdict == "worse"
    few = difference(accuracy, _estimate(0.95, n=2), _estimate(0.80, n=2), None)
    assert few is not None and few.verdict == "inconclusive"
    noisy = Estimate(0.95, tuple(0.95 + 0.02 * np.resize([1, -1], 24)))
    unsure = difference(accuracy, noisy, _estimate(0.93), None)
    assert unsure is not None and unsure.verdict == "inconclusive"
    seconds = difference(BY_KEY["seconds"], _estimate(0.4), _estimate(0.9), None)
    assert seconds is not None and seconds.verdict == "better"  # less is better
    assert "2.25 times better" in seconds.words
    assert difference(accuracy, _estimate(float("nan")), _estimate(0.9), None) is None


def test_what_slows_all_cancels_in_a_ratio() -> None:
    slow = np.array([1.0, 3.0, 1.0, 2.0, 5.0, 1.0])
    rounds, made = np.arange(6), np.ones(6)
    one, two = (jackknife(ratio(k * slow, made), rounds, range(6)) for k in (1.0, 1.5))
    found = difference(BY_KEY["seconds"], one, two, None)
    assert found is not None and found.verdict == "better"
    assert np.exp([found.low, found.high]) == pytest.approx([1.5, 1.5])


def test_variety_is_better_near_the_real_one_not_beyond() -> None:
    measure, real = BY_KEY["diversity"], _estimate(0.6)
    too_much, near = _estimate(1.1), _estimate(0.55)
    found = difference(measure, near, too_much, real)
    assert found is not None and found.verdict == "better"
    assert found.gain == pytest.approx(0.45)


def test_counted_numbers_need_no_interval() -> None:
    def verdict_of(one: float, two: float) -> str:
        exact = [Estimate(value, exact=True) for value in (one, two)]
        found = difference(BY_KEY["parameters"], *exact, None)
        assert found is not None
        return found.verdict

    assert (verdict_of(10, 20), verdict_of(20, 10)) == ("better", "worse")
    assert verdict_of(10, 10.1) == "the same"


def test_the_answer_names_advantages_aim_and_cost() -> None:
    keys = [system.key for system in SYSTEMS]
    table = {
        "accuracy_cnn": dict(
            zip(keys, map(_estimate, (0.97, 0.90, 0.97, 0.85)), strict=True), real=_estimate(0.999)
        ),
        "seconds": dict(zip(keys, map(_estimate, (0.9, 0.6, 0.4, 0.3)), strict=True)),
    }
    lines = verdict(table, SYSTEMS)
    text = "\n".join(lines)
    assert (
        "Advantages of Stable Diffusion over unCLIP: draws what is asked (CNN judge): 0.970 "
        in text
    )
    assert "Advantages of unCLIP over Stable Diffusion: seconds a picture" in text
    assert f"{SD_FAST.title}, meant to improve on {SD.title}: it does. seconds a picture" in text
    assert f"{UN_FAST.title}, meant to improve on {UN.title}" in text
    costs = [line for line in lines if line.startswith("Its cost")]
    assert costs[0] == "Its cost: none that is sure."
    assert costs[1].startswith("Its cost: draws what is asked (CNN judge): 0.850 against 0.900")


def test_every_change_changes_a_system_that_is_there() -> None:
    for systems in (SYSTEMS, CANDIDATES):
        keys = {system.key for system in systems}
        assert len(keys) == len(systems)
        assert len(pairs(systems)) == len(systems) - 1
        assert all(s.base in keys and s.meant_for in BY_KEY for s in systems if s.base)


def test_best_of_more_candidates_is_nearer_the_text(weights: Path) -> None:
    from toolkit.pipelines import load_pipeline

    model = load_pipeline("unclip", "flow")
    text = model.clip.encode(["a smiling chef", "an old doctor with glasses", "a farmer"])
    one, many = (BestOf(model.prior, n).sample(text, [1, 2, 3]) for n in (1, 4))
    near = [(found * text.embedding).sum(1) for found in (one, many)]
    assert (near[1] >= near[0] - 1e-6).all() and (near[1] > near[0] + 1e-6).any()
    again = BestOf(model.prior, 4).sample(model.clip.encode(["an old doctor with glasses"]), [2])
    assert np.allclose(again.numpy(), many[1:2].numpy(), atol=1e-4)


def test_prompts_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("a chef\n\n  an old doctor \n")
    assert read_prompts(str(tmp_path / "some.txt")) == ["a chef", "an old doctor"]
    (tmp_path / "none.txt").write_text("\n \n")
    with pytest.raises(UserError, match="holds no prompt"):
        read_prompts(str(tmp_path / "none.txt"))


def test_a_bad_request_is_one_sentence(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for argv in (["--count", "1"], ["--file", "no.txt"], [" "]):
        assert main(["compare", *argv]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_small_comparison(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    size = Size(training=20, space=60, fitting=1, twice=1, memory=False)
    quick = [replace(one, settings={"steps": 4 if one.base is None else 2}) for one in SYSTEMS]
    done = compare_run(str(out), prompts=["a chef"], count=2, size=size, systems=quick)
    facts = json.loads((out / "compare.json").read_text())
    assert facts["verdict"] == done["verdict"] and facts["units"] == "seeds"
    systems = {row["system"] for row in facts["table"]}
    assert systems == {"sd", "unclip", "sd-changed", "unclip-changed", "real"}
    measured = {row["measure"] for row in facts["table"]}
    assert measured == {m.key for m in MEASURES} - {"frechet", "memory"}  # too few pictures
    fast = {r["system"]: r["value"] for r in facts["table"] if r["measure"] == "operations"}
    assert fast["sd-changed"] < fast["sd"]
    real = {r["measure"]: r["value"] for r in facts["table"] if r["system"] == "real"}
    assert real["accuracy_cnn"] == real["accuracy_synthesis"] == 1
    # Two seeds carry no interval, so nothing that was sampled may be claimed.
    assert not any(", gain " in line for line in facts["verdict"] if line.startswith("Advantages"))
    page = (out / "report.html").read_text()
    assert "Which system is better at what" in page and "http" not in page.split("<body>")[1]
    assert (out / "compare" / "measures.png").stat().st_size > 5000
