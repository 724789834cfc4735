"""The whole mission with the shipped models, once, and then everything that it promised."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file

from safety.keys import keys
from safety.watermark import Mark
from toolkit.cli import main
from toolkit.runs import Run, load_run, sha256
from toolkit.studies.demo import CONSENTING, OPEN_PICTURES, PROMPTS, REFUSING
from toolkit.world import FACTORS, FIGURES

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def made(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict, Path]:
    """One demo for all tests here: its run, its printed summary, and the home with its keys."""
    place = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PELLUCID_HOME", str(place / "home"))
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            order = ["demo", "--out", str(place / "demo"), "--seed", "5", "--json"]
            order += ["--picture", str(place / "poster.png")]
            assert main(order) == 0, err.getvalue()
    assert "1/7" in err.getvalue()
    return load_run(place / "demo"), json.loads(out.getvalue()), place


def rows(run: Run, **wanted: str) -> list[dict]:
    table: list[dict] = run.samples.to_dict("records")
    return [row for row in table if all(row[k] == v for k, v in wanted.items())]


def test_both_pipelines_drew_the_same_prompts_and_seeds(made) -> None:
    run, _, _ = made
    pairs = [
        [(row["prompt"], row["seed"]) for row in rows(run, group="prompts", pipeline=name)]
        for name in ("stable-diffusion", "unclip")
    ]
    assert pairs[0] == pairs[1]
    assert [prompt for prompt, _ in pairs[0]] == list(PROMPTS)
    assert all(row["decision"] == "allow" for row in rows(run, group="prompts"))


def test_released_pictures_are_files_and_blocked_ones_leave_nothing(made) -> None:
    run, _, _ = made
    table = rows(run)
    shown = {row["id"] for row in table if isinstance(row["image"], str)}
    assert shown == {Path(name).stem for name in run.manifest["files"] if name.startswith("images")}
    for row in table:
        if row["id"] in shown:
            assert sha256(run.path / row["image"]) == row["sha256"]
            assert row["watermark_payload"] == row["ledger_index"]
        else:
            assert row["decision"] == "block"
            assert pd.isna(row["watermark_payload"])
            assert all(pd.isna(row[f"judge_{factor}"]) for factor in FACTORS)
    traced = {Path(name).stem for name in run.manifest["files"] if name.startswith("traces")}
    ids = json.loads(_metadata(run.path / "embeddings/image.safetensors")["ids"])
    assert traced <= shown
    assert set(ids) == shown
    in_map = {row["id"] for row in run.table("embeddings/map.parquet").to_dict("records")}
    assert {name for name in in_map if not name.startswith("real-")} == shown


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as opened:
        return opened.metadata()


def test_the_guard_blocks_allows_and_catches(made) -> None:
    run, _, _ = made
    refuses, agrees = REFUSING[0], CONSENTING[0]
    consents = {figure.name: figure.consents for figure in FIGURES}
    assert consents[agrees] and not consents[refuses]
    guarded = rows(run, group="guard")
    named = [row for row in guarded if refuses in row["prompt"]]
    assert [row["decision"] for row in named] == ["block", "block"]
    assert all(f"names {refuses}, who has not consented" in row["reason"] for row in named)
    consenting = [row for row in guarded if agrees in row["prompt"]]
    assert [row["decision"] for row in consenting] == ["allow", "allow"]
    (steered,) = [row for row in guarded if isinstance(row["edit"], str)]
    assert refuses not in steered["prompt"]
    assert steered["decision"] == "block"
    assert f"like {refuses}" in steered["reason"]


def test_every_released_picture_is_verified_and_stays_so(made, monkeypatch, capsys) -> None:
    run, summary, place = made
    assert summary["verified"] == summary["released"]
    assert {row["verdict"] for row in run.json("verify.json")} == {"verified"}
    monkeypatch.setenv("PELLUCID_HOME", str(place / "home"))
    files = sorted(map(str, (run.path / "images").glob("*.png")))[:3]
    assert main(["verify", *files, "--json"]) == 0
    assert {row["ledger"].split(",")[0] for row in json.loads(capsys.readouterr().out)} == {
        "sealed"
    }


def test_a_trace_ends_in_the_picture(made) -> None:
    run, _, place = made
    (first, *_) = rows(run, group="prompts", pipeline="stable-diffusion")
    steps = load_file(run.path / f"traces/{first['id']}.safetensors")
    assert len(steps["timesteps"]) == len(steps["latents"]) == len(steps["predicted"])
    # The last predicted one is the released picture, mark and all; so are those before it marked.
    assert (steps["predicted"][-1] == run.image(first["image"])).all()
    mark = Mark(keys(place / "home" / "keys").watermark)
    for frame in steps["predicted"][len(steps["predicted"]) // 2 :]:
        assert mark.detect(frame).payload == first["watermark_payload"]


def test_directions_are_there_for_both_sites(made) -> None:
    from probes import Direction

    run, _, _ = made
    for site in ("image_embedding", "text_states"):
        direction = Direction.load(run.path / f"directions/glasses.{site}.safetensors")
        assert direction.space.site == site
        assert direction.sigma > 0
    assert (run.path / "directions/pca1.image_embedding.safetensors").exists()


def test_the_filmstrips_start_from_the_same_frame(made) -> None:
    run, _, _ = made
    strips = run.json("steering.json")
    assert [strip["pipeline"] for strip in strips] == ["stable-diffusion", "unclip"]
    for strip in strips:
        middle = strip["strengths"].index(0.0)
        assert strip["direction_samples"][middle] == strip["random_samples"][middle]
        assert run.image(strip["image"]).shape[1] > 7 * 128


def test_the_audit_counts_every_picture_drawn_for_it(made) -> None:
    run, _, _ = made
    table = run.table("audit.parquet").to_dict("records")
    for name in ("stable-diffusion", "unclip"):
        skin = [row for row in table if row["pipeline"] == name and row["factor"] == "skin"]
        assert sum(row["n"] for row in skin) == OPEN_PICTURES
        assert sum(row["share"] for row in skin) == pytest.approx(1)
    # The prompt asks for a doctor, so the attire is no default of the model's.
    assert not [row for row in table if row["factor"] == "attire" and row["n"]]


def test_the_report_shows_all_of_it_and_loads_nothing(made) -> None:
    run, _, place = made
    page = (run.path / "report.html").read_text()
    links = re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page)
    assert links and all((run.path / link).is_file() for link in links)  # pages of the run itself
    for prompt in PROMPTS:
        assert prompt in page
    assert "one direction, both pipelines" in page.lower()
    assert (place / "poster.png").stat().st_size > 50_000


def test_drawing_again_with_a_direction_of_the_run(made, tmp_path, monkeypatch, capsys) -> None:
    run, _, place = made
    monkeypatch.setenv("PELLUCID_HOME", str(place / "home"))
    order = ["generate", "a young farmer with no glasses", "--pipeline", "unclip", "--seed", "2"]
    order += ["--edit", "glasses=2", "--directions", str(run.path), "--out", str(tmp_path / "g")]
    assert main([*order, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert Path(row["image"]).is_file()
    assert main([*order]) == 2
    assert "add --replace" in capsys.readouterr().err
    order[order.index("glasses=2")] = "height=2"
    assert main([*order, "--replace"]) == 2
    assert "has no direction 'height'" in capsys.readouterr().err
    assert load_run(tmp_path / "g").samples.to_dict("records")[0]["prompt"] == order[1]


def test_a_damaged_direction_is_named(made, tmp_path, monkeypatch, capsys) -> None:
    import shutil

    run, _, place = made
    monkeypatch.setenv("PELLUCID_HOME", str(place / "home"))
    copy = tmp_path / "directions"
    shutil.copytree(run.path / "directions", copy)
    file = copy / "glasses.image_embedding.safetensors"
    file.write_bytes(file.read_bytes()[:-8] + b"\0" * 8)
    order = ["generate", "a chef", "--pipeline", "unclip", "--edit", "glasses=1"]
    order += ["--directions", str(copy), "--out", str(tmp_path / "g")]
    assert main(order) == 2
    told = capsys.readouterr().err
    assert "glasses.image_embedding.safetensors" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("", 2),
        ("   ", 2),
        ("x" * 10_001, 2),
        ("smiling " * 1200, 0),
        ("笑顔の医者 👩‍⚕️ с бородой", 0),
        ("<|endoftext|> a chef", 0),
    ],
)
def test_odd_prompts_work_or_are_one_sentence(
    made, prompt: str, code: int, tmp_path, monkeypatch, capsys
) -> None:
    _, _, place = made
    monkeypatch.setenv("PELLUCID_HOME", str(place / "home"))
    order = ["generate", prompt, "--pipeline", "unclip", "--out", str(tmp_path / "g"), "--json"]
    assert main(order) == code
    told = capsys.readouterr()
    if code:
        assert told.err.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
    else:
        assert json.loads(told.out)[0]["decision"] in ("allow", "block")


def test_ctrl_c_while_drawing_leaves_nothing(made, tmp_path) -> None:
    import os
    import signal
    import time

    _, _, place = made
    order = [sys.executable, "-m", "toolkit", "generate", "a chef", "--count", "200"]
    order += ["--out", str(tmp_path / "g")]
    environment = os.environ | {"PELLUCID_HOME": str(place / "home")}
    # A suite in the background of a shell has SIGINT ignored, and its children inherit that.
    process = subprocess.Popen(
        order, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".g.partial-*")) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
