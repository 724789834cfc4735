"""Somebody new in the registry: looked for at once, forgotten for good, with rates that hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from safety.ledger import Ledger
from toolkit.cli import main
from toolkit.clip import load_clip
from toolkit.errors import UserError
from toolkit.guarding import load_checkpoint_guard, load_guard
from toolkit.people import people, vault
from toolkit.runs import RunWriter, load_run
from toolkit.studies.generate import open_door
from toolkit.world import FACTORS, NOTHING, Portrait, lookalike, moved, render_all, sample

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_ledger.py"
NAME, GIVEN, HELD = "Nora Lind", 6, 60


def sitting(portrait: Portrait, rng: np.random.Generator) -> Portrait:
    expression = FACTORS["expression"][int(rng.integers(3))]
    return moved(replace(portrait, expression=expression), rng)


class Added:
    """A home whose registry has one person without consent, added by the command."""

    def __init__(self, folder: Path):
        self.home, self.rng = folder / "home", np.random.default_rng(11)
        self.person = sample("test", 1, 4242, NOTHING)[0]
        shown = render_all([sitting(self.person, self.rng) for _ in range(GIVEN)])
        self.files = []
        for number, image in enumerate(shown):
            self.files.append(str(folder / f"{number}.png"))
            Image.fromarray(image).save(self.files[-1])
        (folder / "letter.txt").write_text("I do not want this. N. L.")
        self.proof = str(folder / "letter.txt")


@pytest.fixture(scope="module")
def made(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Added:
    added = Added(tmp_path_factory.mktemp("consent"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PELLUCID_HOME", str(added.home))
        patch.setattr("toolkit.studies.enrol.SITTERS", 24)
        words = ["consent", "add", NAME, "--withheld", "--proof", added.proof]
        assert main([*words, "--images", *added.files]) == 0
    return added


@pytest.fixture
def added(made: Added, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Added:
    """The same, in a home of the test's own."""
    shutil.copytree(made.home, tmp_path / "home")
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    return made


def flagged(guard, images: np.ndarray) -> np.ndarray:
    vectors = guard.encode_image(images)
    rows = guard.look("unclip", "image", len(images), None, lambda: vectors)
    return np.array([any(f.check == "likeness" and f.verdict == "flag" for f in r) for r in rows])


def interval(hits: np.ndarray) -> tuple[float, float]:
    found = binomtest(int(hits.sum()), len(hits)).proportion_ci(0.95)
    return float(found.low), float(found.high)


def test_sittings_are_caught_and_others_let_through(added: Added) -> None:
    """Known truth: sittings never given, people one factor off, and strangers."""
    guard, rng = load_guard(load_clip()), np.random.default_rng(5)
    held = flagged(guard, render_all([sitting(added.person, rng) for _ in range(HELD)]))
    off = [lookalike(sitting(added.person, rng), rng) for _ in range(HELD)]
    alike = flagged(guard, render_all(off))
    strangers = flagged(guard, render_all(sample("test", 300, 77, NOTHING)))
    assert held.mean() >= 0.95, interval(held)
    assert alike.mean() <= 0.5, interval(alike)
    assert strangers.mean() <= 0.02, interval(strangers)
    facts = guard.checks["likeness"].calibration
    assert facts["people"] == 13 and facts["impostors"] == 600
    low, high = facts["fpir_ci95"]
    assert low <= strangers.mean() <= high or interval(strangers)[1] >= low
    vectors = guard.encode_image(render_all(sample("test", 40, 78, NOTHING)))
    for row in guard.look("unclip", "image", 40, None, lambda: vectors):
        told = [one for one in row if one.verdict == "pass"]
        assert NAME not in str([one.to_json() for one in told]), "runs name nobody they don't show"


def test_a_picture_of_somebody_else_is_doubted_and_no_other(added: Added) -> None:
    from toolkit.studies.enrol import odd_ones

    clip, rng = load_clip(), np.random.default_rng(3)
    check = load_guard(clip).checks["likeness"]
    doubted = []
    for index, one in enumerate(sample("test", 12, 606, NOTHING)):
        shown = [sitting(one, rng) for _ in range(6)]
        other = sample("test", 1, 700 + index, NOTHING)[0]
        vectors = clip.encode_image(render_all([*shown[:2], other, *shown[2:]]))
        doubted.append(odd_ones(check.more.space, vectors, 0.88))
    assert sum(found == [2] for found in doubted) >= 11, doubted


def test_the_planted_figures_stand_as_before(added: Added, monkeypatch, tmp_path: Path) -> None:
    from toolkit.world import FIGURES, sit

    rng = np.random.default_rng(8)
    shown = render_all([sit(figure, rng) for figure in FIGURES for _ in range(4)])
    now = flagged(load_guard(load_clip()), shown)
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "nobody"))
    assert (now == flagged(load_guard(load_clip()), shown)).all()


def test_generate_withholds_the_name_and_the_likeness(added: Added, tmp_path: Path) -> None:
    """Through the command: the name is blocked before drawing, what looks like her after."""
    looks = _in_words(added.person)
    words = ["generate", f"a portrait of {NAME}", looks, "--pipeline", "stable-diffusion"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    rows = load_run(tmp_path / "run").samples
    named = rows[rows.prompt.str.contains(NAME)]
    assert (named.decision == "block").all() and named.reason.str.contains("not consented").all()
    drawn = rows[~rows.prompt.str.contains(NAME)]
    assert (drawn.decision == "block").all()
    assert drawn.reason.str.contains(f"the image is like {NAME}, who has not consented").all()
    assert not list((tmp_path / "run").glob("images/*"))


def _in_words(portrait: Portrait) -> str:
    from toolkit.world import describe

    return describe(portrait, np.random.default_rng(2), factors=tuple(FACTORS)).text


def test_a_picture_of_her_is_refused_as_a_reference(added: Added) -> None:
    guard = load_guard(load_clip())
    pictures = render_all([sitting(added.person, np.random.default_rng(9))])
    done = guard(lambda *_a, **_k: pytest.fail("drawn"), "unclip")(
        ["a person"], [1], references=pictures
    )
    assert done.decisions[0].action == "block" and NAME in done.decisions[0].reason


def test_a_real_checkpoint_knows_the_name(added: Added) -> None:
    guard = load_checkpoint_guard()
    found = guard(lambda *_a, **_k: pytest.fail("drawn"), "checkpoint")([f"{NAME}, smiling"], [1])
    assert found.decisions[0].action == "block" and NAME in found.decisions[0].reason


def test_deletion_through_the_command(added: Added, tmp_path: Path, capsys) -> None:
    """Name and templates are in no byte of the home, the receipt holds alone, the guard lets go."""
    home, out = tmp_path / "home", tmp_path / "gone.json"
    one = people().named(NAME)
    (templates,) = one.templates.values()
    assert main(["consent", "receipt", NAME, "--out", str(tmp_path / "hers.json")]) == 0
    assert main(["consent", "delete", NAME, "--receipt", str(out)]) == 0
    secrets = [
        NAME.encode(), b"Nora", templates.tobytes()[:12], templates[0, :4].tobytes(),
        one.salt, one.salt.hex().encode(), str(one.person.proof).encode(),
    ]  # fmt: skip
    for path in home.rglob("*"):
        if path.is_file():
            assert not [s for s in secrets if s in path.read_bytes()], path
    assert b"Nora" not in out.read_bytes()
    key = Ledger(home / "ledger").checkpoint().key
    for receipt, told in ((out, "entry 1 of 2"), (tmp_path / "hers.json", "entry 0 of 1")):
        command = [sys.executable, "-I", str(SCRIPT), str(receipt), "--key", key]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and told in done.stdout, done.stdout
    hers = json.loads((tmp_path / "hers.json").read_text())
    hers["opening"]["statement"] = hers["opening"]["statement"].replace("false", "true")
    (tmp_path / "forged.json").write_text(json.dumps(hers))
    command = [sys.executable, "-I", str(SCRIPT), str(tmp_path / "forged.json")]
    assert subprocess.run(command, capture_output=True).returncode == 1
    guard = load_guard(load_clip())
    pictures = render_all([sitting(added.person, np.random.default_rng(5)) for _ in range(10)])
    assert not flagged(guard, pictures).any()
    found = guard.look("unclip", "prompt", 1, [NAME], lambda: np.zeros((1, 192)))
    assert all(one.verdict == "pass" for one in found[0] if one.check == "name_in_prompt")
    assert main(["consent", "list", "--unmeasured"]) == 0
    assert "nobody was added" in capsys.readouterr().err


def test_a_change_of_the_registry_closes_doors_that_are_open(added, tmp_path) -> None:
    with RunWriter(tmp_path / "run", "a test", {}) as run:
        door = open_door(run)
        assert door.draw("unclip", [NAME], [1])[0].decision == "block"
        assert main(["consent", "add", "Emil Okafor", "--consents"]) == 0
        with pytest.raises(UserError, match="registry of people was changed"):
            door.draw("unclip", ["Emil Okafor"], [1])
        again = open_door(run)
        assert main(["consent", "revoke", "Emil Okafor"]) == 0
        with pytest.raises(UserError, match="registry of people was changed"):
            again.draw("unclip", ["Emil Okafor"], [1])


def test_nothing_is_drawn_with_a_registry_that_cant_be_read(added, tmp_path, capsys) -> None:
    (index,) = (tmp_path / "home").rglob("registry.json")
    index.write_bytes(index.read_bytes()[:-20])
    from toolkit.studies.checkup import checkup

    (row,) = [one for one in checkup() if one.name == "registry"]
    assert row.ok == "no" and "can't be read" in row.found
    assert main(["generate", "a doctor", "--out", str(tmp_path / "run")]) == 2
    assert "the registry in" in capsys.readouterr().err and not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="can't be read"):
        load_checkpoint_guard()


def test_nothing_is_drawn_with_people_of_another_guard(added: Added) -> None:
    one = people().named(NAME)
    (model,) = one.templates
    for wrong in (
        replace(one, evidence={**one.evidence, "guard": "0" * 64}),
        replace(one, templates={"0" * 64: one.templates[model]}),
    ):
        vault().put(wrong)
        with pytest.raises(UserError, match="with another CLIP or guard, so nothing can be"):
            load_guard(load_clip())
    vault().put(one)
    load_guard(load_clip())


def test_nothing_is_drawn_with_a_ledger_of_consent_that_was_changed(added, tmp_path) -> None:
    entries = tmp_path / "home" / "ledger" / "entries.jsonl"
    whole = entries.read_bytes()
    for spoiled in (whole.replace(b"consent", b"nothing"), b"", whole[: len(whole) // 2]):
        entries.write_bytes(spoiled)
        with pytest.raises(UserError, match="ledger of consent"):
            people()
    entries.write_bytes(whole)
    assert len(people().people) == 1
    shutil.rmtree(entries.parent)
    with pytest.raises(UserError, match="lacks entries of people"):
        load_guard(load_clip())


def test_consent_counts_for_its_purpose_until_it_is_revoked(
    added, tmp_path, capsys, monkeypatch
) -> None:
    """An old copy of the registry does not undo a revocation: the ledger knows of it."""
    monkeypatch.setattr("toolkit.studies.enrol.SITTERS", 12)
    files = ["--images", *added.files[:1]]
    assert main(["consent", "delete", NAME, "--receipt", str(tmp_path / "r.json")]) == 0
    words = ["consent", "add", "Emil Okafor", "--consents", "--purpose", "satire", *files]
    assert main(words) == 0
    clip, picture = load_clip(), render_all([added.person])

    def lets(purpose: str | None) -> bool:
        guard = load_guard(clip, purpose=purpose)
        vectors = np.zeros((1, 192))
        (row,) = guard.look("unclip", "prompt", 1, ["Emil Okafor"], lambda: vectors)
        named = all(one.verdict == "pass" for one in row if one.check == "name_in_prompt")
        assert named == (not flagged(guard, picture)[0])
        return named

    assert lets("Satire") and not lets("advertising") and not lets(None)  # not stated: not for it
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "home" / "registry", copy)
    assert main(["consent", "revoke", "Emil Okafor"]) == 0
    assert not lets(None) and not lets("satire")
    shutil.rmtree(tmp_path / "home" / "registry")
    shutil.copytree(copy, tmp_path / "home" / "registry")
    with pytest.raises(UserError, match="older than its ledger: Emil Okafor"):
        load_guard(clip)
    assert main(["consent", "revoke", "Emil Okafor"]) == 0
    assert not lets(None)
    capsys.readouterr()
    assert main(["consent", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["people"]
    assert row["standing"] == "has revoked consent" and row["pictures"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([NAME, "--withheld"], "is in the registry already"),
        (["  nora LIND ", "--withheld"], "is in the registry already"),
        (["?!", "--withheld"], "has no letter"),
        (["A B", "--withheld", "--expires", "2030-01-01"], "for no purpose and no time"),
        (["A B", "--consents", "--expires", "next week"], "is no day"),
        (["A B", "--consents", "--expires", "2020-01-01"], "is over"),
        (["A B", "--consents", "--proof", "nowhere.pdf"], "the proof nowhere.pdf can't be read"),
        (["A B", "--consents", "--images", "nowhere.png"], "nowhere.png can't be read"),
        (["A B", "--consents", "--images", __file__], "can't be read as a picture"),
        (["A B", "--consents", "--images", *["x.png"] * 51], "at most 50"),
    ],
)  # fmt: skip
def test_bad_additions_are_one_sentence_and_change_nothing(added, tmp_path, capsys, words, said):
    files = {path: path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()}
    assert main(["consent", "add", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err
    for path, data in files.items():
        assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["delete", "Nemo", "--receipt", "r.json"], "nobody in the registry is named 'Nemo'"),
        (["delete", NAME, "--receipt", __file__], "exists; name a new file"),
        (["delete", NAME, "--receipt", "no/such/folder/r.json"], "there is no folder"),
        (["revoke", NAME], "has not consented, so nothing can be revoked"),
        (["show", "Nemo"], "nobody in the registry"),
        (["receipt", "Nemo"], "nobody in the registry"),
    ],
)
def test_bad_requests_are_one_sentence(added, capsys, words, said) -> None:
    assert main(["consent", *words]) == 2
    assert said in capsys.readouterr().err
    assert main(["consent", "show", NAME, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["pictures"] == GIVEN and 0.9 < shown["evidence"]["rates"]["found"] <= 1
