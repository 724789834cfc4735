"""The attack bench: a mark that it must find broken, the command with the real mark, resuming."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.cli import main
from toolkit.runs import load_run
from toolkit.studies import attack_bench as bench
from toolkit.studies.attack_models import every_sweep, joined, tiles
from toolkit.studies.attack_page import page
from toolkit.studies.attack_pictures import Pictures, photographs
from toolkit.studies.attack_systems import (
    FPR,
    Look,
    System,
    agreement_p,
    bits_needed,
    chosen_systems,
)
from toolkit.studies.attack_table import percent, removed_by, said, table_of
from toolkit.studies.attack_thieves import KINDS, thieves
from toolkit.world import render_all, sample

PATTERN = np.where(np.random.default_rng(8).random((64, 64, 1)) < 0.5, -4.0, 4.0)


def constant() -> System:
    """A mark that is the same in every picture: what averaging was made for."""

    def embed(image: np.ndarray) -> np.ndarray:
        return np.rint(image + PATTERN).clip(0, 255).astype(np.uint8)

    def look(image: np.ndarray) -> Look:
        if image.shape != (64, 64, 3):
            return Look(1.0, False, False)
        grey = image.astype(float).mean(-1)
        steps, signs = (one - np.roll(one, 1, 1) for one in (grey, PATTERN[..., 0]))
        z = (steps * signs).sum() / np.sqrt((steps**2 * signs**2).sum() + 1e-9)
        p = 1e-6 if z > 4.75 else 1e-3 if z > 3.1 else 1.0
        return Look(p, p < FPR, p < FPR)

    return System("constant", embed, look, 64, "its correlation is that of one in 1000")


def small_set(n: int = 4, held: int = 30) -> Pictures:
    every = render_all(sample("test", n + 2 * held, seed=61))
    return Pictures("portraits", tuple(every[:n]), tuple(every[n:]), n)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the bench says of the constant mark."""
    pictures, system = small_set(12), constant()
    sweeps, _ = bench.chosen_sweeps(["noise"])
    notes = bench.Notes(str(tmp_path_factory.mktemp("notes") / "b"), {}, lambda text: None)
    rows = bench.set_rows(pictures, [system], sweeps, True, 30, 0, notes, lambda text: None)
    facts = {
        "fpr": FPR, "seed": 0, "held": 30, "left_out": [], "attacks": {"noise": "noise"},
        "sets": [{"name": "portraits", "n": 12, "sources": 12}],
        "systems": [{"name": "constant", "rule": system.rule}], "table": table_of(rows),
    }  # fmt: skip
    facts["said"] = said(facts)
    return facts


def line(facts: dict, kind: str, attack: str, strength: float) -> dict:
    (found,) = [
        row
        for row in facts["table"]
        if (row["kind"], row["attack"], row["strength"]) == (kind, attack, strength)
    ]
    return found


def test_a_constant_mark_is_stolen_and_forged(broken: dict) -> None:
    assert line(broken, "marked", "none", 0)["detected"]["hits"] == 12
    known = "averaging, originals known"
    assert line(broken, "stolen", known, 30)["detected"]["hits"] == 0
    assert line(broken, "forged", known, 30)["detected"]["hits"] == 12
    assert line(broken, "forged", "averaging", 30)["detected"]["hits"] >= 10
    text = " ".join(broken["said"])
    assert "originals known (stolen)" in text and "originals known (forged)" in text


def test_intervals_are_exact_and_quality_stands_beside(broken: dict) -> None:
    from scipy.stats import binomtest

    for row in broken["table"]:
        exact = binomtest(row["detected"]["hits"], row["detected"]["n"]).proportion_ci(0.95)
        assert row["detected"]["ci95"] == pytest.approx([exact.low, exact.high])
    noises = [row for row in broken["table"] if row["attack"] == "noise"]
    assert [row["strength"] for row in noises] == [5.0, 10.0, 20.0, 40.0]
    assert [row["psnr"] for row in noises] == sorted((r["psnr"] for r in noises), reverse=True)
    # Of Gaussian noise of sigma 5 the decibels are known; what is clipped spares some.
    assert noises[0]["psnr"] == pytest.approx(20 * np.log10(255 / 5), abs=0.6)
    assert noises[0]["false"]["n"] == 12


def test_what_removes_a_mark_is_told_by_its_mildest_strength() -> None:
    def line(attack: str, strength: float, hits: int, decibels: float | None) -> dict:
        rows = [{"detected": i < hits} for i in range(20)]
        share = table_of([
            {"set": "s", "system": "x", "kind": kind, "attack": attack, "strength": strength,
             "label": f"{attack} {strength:g}", "psnr": decibels, "present": True, "exact": True}
            | row for kind in ("marked", "unmarked") for row in rows
        ])  # fmt: skip
        return share[0]

    lines = [line("jpeg", 50, 20, 30), line("jpeg", 25, 2, 28), line("jpeg", 10, 0, 24),
             line("noise", 40, 0, 17), line("crop", 0.6, 1, None),
             line("blur", 3, 9, 27)]  # fmt: skip
    assert removed_by(lines) == (["jpeg 25", "crop 0.6"], ["noise 40"])  # 9 of 20 is not sure
    assert percent(lines[0]["detected"]) == "100% [83, 100] of 20"


def test_the_page_holds_the_plots_and_nothing_from_outside(broken: dict) -> None:
    text, plots = page(broken, {"created": "now"})
    assert text.count("<svg") == len(plots) == 1 + 2 + 2  # strength, two qualities, two thieves
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https" not in text
    for name in ("strength-noise", "quality-constant-psnr", "stolen-constant", "forged-constant"):
        assert plots[f"plots/0-{name}.svg"] in text
    # Every strength is a dot with its interval, and hovering tells the numbers.
    dots = re.findall(r"<title>constant, noise sigma (\d+): (\d+) of 12", text)
    assert [int(strength) for strength, _ in dots] == [5, 10, 20, 40]


def test_attacks_that_move_pixels_have_no_plot_of_quality(broken: dict) -> None:
    moved = [r | {"psnr": None, "ssim": None} for r in broken["table"] if r["kind"] == "marked"]
    text, plots = page(broken | {"table": moved}, {"created": "now"})
    assert list(plots) == ["plots/0-strength-noise.svg"] and "beside quality" not in text


def test_thresholds_of_bits_are_the_binomial_ones() -> None:
    from scipy.stats import binom

    need = bits_needed(32)
    assert binom.sf(need - 1, 32, 0.5) <= FPR < binom.sf(need - 2, 32, 0.5)
    assert agreement_p(32, 32) == pytest.approx(2.0**-32) and agreement_p(0, 32) == 1
    assert bits_needed(4) == 5  # too few bits for so rare a chance


def test_baselines_are_read_where_they_can_be() -> None:
    pytest.importorskip("imwatermark", reason="invisible-watermark is not installed")
    (system,) = chosen_systems(["dwtDctSvd"], seed=3)
    photo = photographs(1, 0, seed=3).tested[0]
    found = system.look(system.embed(photo))
    assert found.p_value <= FPR and found.present
    assert system.look(photo).p_value > FPR
    assert system.look(photo[:100, :100]) == Look(1.0, False, False)  # too small for it


def test_tiles_join_again_at_any_size() -> None:
    rng = np.random.default_rng(1)
    for height, width in ((64, 64), (130, 70), (63, 200)):
        image = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
        parts = tiles(image, 64, 64)
        assert parts.shape[1:] == (64, 64, 3)
        assert (joined(parts, image.shape) == image).all()


def test_our_own_models_draw_pictures_anew() -> None:
    from safety.quality import psnr

    sweeps, image = every_sweep(), render_all(sample("test", 1, seed=62))[0]

    def after(name: str, strength: float, seed: int = 0) -> np.ndarray:
        return sweeps[name].apply(image, np.random.default_rng(seed), strength)

    once, thrice = after("autoencoder", 1), after("autoencoder", 3)
    assert 25 < psnr(image, once) < 45 and psnr(image, thrice) < psnr(image, once)
    mild, strong = after("diffusion", 0.08), after("diffusion", 0.4)
    assert psnr(image, strong) < psnr(image, mild) < psnr(image, once) + 1
    assert (after("diffusion", 0.08) == mild).all() and (after("diffusion", 0.08, 1) != mild).any()
    wide = np.concatenate([image, image[:, :30]], 1)  # not a whole number of tiles
    assert sweeps["autoencoder"].apply(wide, np.random.default_rng(0), 1).shape == wide.shape


def test_a_thief_with_next_to_nothing_steals_nothing() -> None:
    assert list(thieves(constant(), small_set(1, 1).others[:3])) == []
    kinds = [(one.kind, one.held) for one in thieves(constant(), small_set(1, 6).others)]
    assert ("averaging", 6) in kinds and ("averaging, originals known", 1) in kinds
    assert ("averaging, lined up", 6) in kinds and ("copy", 1) in kinds
    assert {kind for kind, _ in kinds} == set(KINDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of ten portraits."""
    path = tmp_path / "pictures"
    path.mkdir()
    for index, image in enumerate(render_all(sample("test", 10, seed=63))):
        Image.fromarray(image).save(path / f"{index}.png")
    return path


def order(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        "attack-bench", str(folder), "--n", "3", "--held", "3", "--attacks", "jpeg,crop,averaging",
        "--out", str(out), *more,
    ]  # fmt: skip


def test_the_command_writes_a_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*order(folder, tmp_path / "run"), "--json"]) == 0
    told = capsys.readouterr()
    facts = json.loads(told.out)
    assert "3 of 3" in told.err
    run = load_run(tmp_path / "run")
    rows = run.table("attacks.parquet")
    assert set(rows["kind"]) == {"marked", "unmarked", "stolen", "forged"}
    assert run.json("bench.json")["table"] == facts["table"]
    assert rows[rows["attack"] == "crop"]["psnr"].isna().to_numpy().all()  # nothing to compare
    untouched = rows[(rows["kind"] == "marked") & (rows["attack"] == "none")]
    assert untouched["exact"].to_numpy().all()
    assert (untouched["mark_psnr"].to_numpy() > 38).all()
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()
    assert any(name.startswith("plots/") for name in run.manifest["files"])
    assert str(folder) not in json.dumps(run.manifest)  # a file's name may name a person
    assert not (tmp_path / "run.unfinished").exists()
    assert main(order(folder, tmp_path / "run")) == 2  # the run is there
    assert "--replace" in capsys.readouterr().err


def test_an_interrupted_bench_goes_on_and_comes_out_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert main([*order(folder, tmp_path / "whole"), "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    done, real = [], bench.picture_rows

    def stops(*args, **kwargs):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(1)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(bench, "picture_rows", stops)
        assert main(order(folder, tmp_path / "cut")) == 130
    assert not (tmp_path / "cut").exists()
    notes = tmp_path / "cut.unfinished" / "pictures.jsonl"
    assert notes.read_bytes().count(b"\n") == 1
    with notes.open("ab") as stream:  # killed in the middle of a line
        stream.write(b'{"set": "given pict')
    kept = notes.read_bytes()
    notes.write_bytes(b"{}\n" + kept)
    assert main(order(folder, tmp_path / "cut")) == 2
    assert "is damaged" in capsys.readouterr().err
    notes.write_bytes(kept)
    assert main([*order(folder, tmp_path / "cut"), "--seed", "5"]) == 2
    assert "asked otherwise" in capsys.readouterr().err
    assert main([*order(folder, tmp_path / "cut"), "--json"]) == 0
    told = capsys.readouterr()
    assert "1 pictures were finished before" in told.err
    assert json.loads(told.out)["table"] == whole["table"]
    assert not notes.exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--systems", "dct"], "no watermark is named 'dct'"),
        (["--systems", ","], "no watermark is named nothing"),
        (["--attacks", "hammer"], "no attack is named 'hammer'"),
        (["--n", "0"], "--n is 0"),
        (["--held", "1"], "--held is 1"),
        (["no-such-folder"], "there is no picture and no folder at no-such-folder"),
        (["tiny.png"], "tiny.png has 20x20 pixels"),
        (["text.png"], "text.png can't be read as a picture"),
        (["empty"], "there is no picture in empty"),
    ],
)
def test_bad_input_is_one_sentence(
    more: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 20)).save("tiny.png")
    Path("text.png").write_text("no picture")
    Path("empty").mkdir()
    before = sorted(tmp_path.iterdir())
    assert main(["attack-bench", *more]) == 2
    told = capsys.readouterr()
    assert sentence in told.err and told.err.count("\n") == 1 and told.out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_a_mark_that_needs_more_room_is_left_out_in_words(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("imwatermark", reason="invisible-watermark is not installed")
    assert main(["attack-bench", str(folder), "--systems", "dwtDct", "--out", "x"]) == 2
    assert "dwtDct is not on given pictures: it needs 256 pixels a side" in capsys.readouterr().err
