"""Names, erasures and associations on the shipped CLIP and on vectors whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probes import LeaceEraser, MeanDifference, Space, lexicon, name
from toolkit.cli import main
from toolkit.clip import Clip, load_clip
from toolkit.embeddings import open_store, write_store
from toolkit.errors import UserError
from toolkit.studies.associate import associate_world, leanings, parse_pair, summary
from toolkit.studies.discover import labels
from toolkit.studies.erase import erase, verdict
from toolkit.studies.vocabulary import Phrase, embed, embed_states, read_vocabulary, vocabulary
from toolkit.world import FACTORS, render, render_all, sample

WORDS = (
    "glasses", "a beard", "curly hair", "bald", "red background", "blue background", "white wall",
    "green wall", "doctor", "chef", "farmer", "pale skin", "ebony skin",
)  # fmt: skip


@pytest.fixture(scope="module")
def clip(weights: Path) -> Clip:
    return load_clip()


@pytest.fixture(scope="module")
def pictures(clip: Clip) -> np.ndarray:
    """(240, d) embeddings of test portraits."""
    return clip.encode_image(render_all(sample("test", 240, 9)))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("\n".join(WORDS) + "\n\nglasses\n")
    return file


def test_the_vocabulary_is_large_and_names_real_levels() -> None:
    found = vocabulary()
    assert len(found) >= 1000
    assert len({phrase.text for phrase in found}) == len(found)
    single: dict[tuple[str, str], int] = {}
    for phrase in found:
        assert all(level in FACTORS[factor] for factor, level in phrase.named), phrase
        assert all(phrase.text in sentence for sentence in phrase.sentences)
        if len(phrase.named) == 1:
            single[phrase.named[0]] = single.get(phrase.named[0], 0) + 1
    # Every level can be named in several ways, so that no name hangs on one manner of speech.
    assert all(single[factor, lv] >= 2 for factor, levels in FACTORS.items() for lv in levels)
    assert sum(len(phrase.named) == 2 for phrase in found) >= 500


def test_phrases_say_what_they_name() -> None:
    """The reader of prompts, which knows nothing of this list, finds the same two levels."""
    from toolkit.studies.asked import asked_levels

    pairs = [phrase for phrase in vocabulary() if len(phrase.named) == 2]
    wrong = [p.text for p in pairs if asked_levels(p.text) != dict(p.named)]
    assert wrong == []


def test_an_embedding_does_not_depend_on_its_neighbours(clip: Clip) -> None:
    some = vocabulary()[::70]
    together = embed(clip, some)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.allclose(embed(clip, some[:1])[0], together[0], atol=1e-5)
    assert np.allclose(embed(clip, some[::-1])[::-1], together, atol=1e-5)
    assert np.allclose(embed_states(clip, some[::-1])[::-1], embed_states(clip, some), atol=1e-4)
    with pytest.raises(UserError, match="empty"):
        embed(clip, [])


def test_levels_get_their_names_and_random_directions_none(
    clip: Clip, pictures: np.ndarray
) -> None:
    people = sample("probe", 300, 4)
    vectors = clip.encode_image(render_all(people))
    phrases = [p for p in vocabulary() if len(p.named) == 1 and p.frame == "tag"]
    ready = lexicon([p.text for p in phrases], embed(clip, phrases), pictures)
    named = {p.text: p.named[0] for p in phrases}
    fitted = MeanDifference().fit(
        vectors, {factor: labels(people, factor) for factor in ("background", "attire", "skin")}
    )
    right, wrong = 0, []
    for label, direction in fitted.directions_.items():
        found = name(direction.vector, ready)
        if found.name:
            hit = "=".join(named[found.name]) == label
            right += hit
            wrong += [] if hit else [found]
    assert right >= 0.5 * len(fitted.directions_)
    assert len(wrong) <= 1, wrong
    rng = np.random.default_rng(0)
    given = [name(rng.standard_normal(clip.dim), ready).name for _ in range(20)]
    assert given.count(None) >= 19


def test_a_command_names_a_direction_and_tells_a_picture(
    clip: Clip, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    people = sample("probe", 240, 4)
    vectors = clip.encode_image(render_all(people))
    space = Space(clip.hash, "image_embedding")
    fitted = MeanDifference(space).fit(vectors, {"glasses": labels(people, "glasses")})
    fitted.directions_["glasses"].save(tmp_path / "found/glasses.image_embedding.safetensors")
    Image.fromarray(render(people[0])).save(tmp_path / "face.png")
    asked = ["name", "glasses", str(tmp_path / "face.png"), "--directions", str(tmp_path / "found"),
             "--vocabulary", str(words), "--images", "120"]  # fmt: skip
    assert main([*asked, "--json"]) == 0
    told = capsys.readouterr()
    direction, picture = json.loads(told.out)
    assert f"{len(WORDS)} words" in told.err
    assert direction["candidate"] == "glasses"
    assert direction["words"][0]["word"] == "glasses"
    assert 0 < picture["told"] <= 1
    assert all(one["word"] in WORDS and one["weight"] > 0 for one in picture["words"])
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert text.startswith("glasses: ")
    assert "% told (cosine)" in text


def blind(n: int = 600, seed: int = 0) -> tuple[np.ndarray, dict[str, list]]:
    """Vectors with a label, one that goes along with it, one apart, and one too rare to be read."""
    rng = np.random.default_rng(seed)
    hat = rng.integers(2, size=n)
    brim = np.where(rng.random(n) < 0.9, hat, 1 - hat)
    pipe = rng.integers(3, size=n)
    vectors = 0.5 * rng.standard_normal((n, 8))
    vectors[:, 0] += 3 * hat
    vectors[np.arange(n), 1 + pipe] += 3
    shown = [None if i % 10 == 0 else ("no", "yes")[one] for i, one in enumerate(hat)]
    return vectors, {
        "hat": shown,
        "brim": [("narrow", "wide")[one] for one in brim],
        "pipe": [("clay", "briar", "corn")[one] for one in pipe],
        "rare": ["x"] * (n - 3) + ["y"] * 3,
    }


def test_erasing_blinds_the_label_and_what_hangs_on_it_alone() -> None:
    vectors, columns = blind()
    said: list[str] = []
    found = erase(vectors, columns, "hat", say=said.append)
    table = {(one.factor, one.reader): one for one in found.readings}
    assert [one.factor for one in found.readings][:2] == ["hat", "hat"]
    hat, brim, pipe = (table[factor, "linear"] for factor in ("hat", "brim", "pipe"))
    assert hat.before > 0.95
    assert hat.after == pytest.approx(0.5, abs=0.1)
    assert (hat.chance, pipe.chance) == (0.5, pytest.approx(1 / 3))
    assert brim.before > 0.85
    assert brim.after == pytest.approx(0.5, abs=0.1)
    assert brim.high < 0
    assert pipe.after > 0.95
    assert pipe.low <= 0 <= pipe.high
    assert (found.rank, said) == (1, ["rare is left out: it has too few rows of some level to be "
                                      "read"])  # fmt: skip
    lines = verdict(found, "hat")
    assert any(line.startswith("brim is read worse too") for line in lines)
    assert not any(line.startswith("pipe") for line in lines)


def test_what_is_not_linear_stays_and_is_said() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((800, 4))
    vectors[:, 0] *= 4
    # The label is a circle: no plane parts it, neighbours read it.
    inside = (vectors[:, 1] ** 2 + vectors[:, 2] ** 2 < 1.4).astype(int)
    vectors[:, 3] = inside + 0.3 * vectors[:, 3]
    found = erase(vectors, {"ring": [("out", "in")[one] for one in inside]}, "ring")
    linear, near = found.readings
    assert linear.after < 0.6
    assert near.after > 0.8
    assert any("still readable" in line for line in verdict(found, "ring"))


def test_a_store_is_erased_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors, columns = blind()
    ids = [f"{i}.png" for i in range(len(vectors))]
    table = pd.DataFrame(columns, index=pd.Index(ids, name="id"), dtype=object)
    space = Space("a" * 64, "image_embedding")
    store = write_store(tmp_path / "in", vectors, ids, space=space, model="mine", labels=table)
    out = str(tmp_path / "out")
    assert main(["erase", "hat", str(tmp_path / "in"), "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    again = open_store(out)
    assert (again.space, again.model, again.ids) == (space, "mine", ids)
    assert again.labels.equals(store.labels)
    # Only the erased dimension changed, and what was written is what the figures are of.
    change = again.vectors() - store.vectors()
    assert np.linalg.matrix_rank(change, tol=0.05) == 1
    assert told["rank"] == 1
    assert {one["factor"] for one in told["readings"]} == {"hat", "brim", "pipe"}
    assert main(["erase", "hat", str(tmp_path / "in"), "--out", out]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["erase", "hat", str(tmp_path / "in")]) == 0
    assert "dimensions and" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("factor", "rows", "sentence"),
    [
        ("scarf", 600, "there is no label 'scarf'; there are: hat, brim"),
        ("rare", 600, "needs two levels or more with 20 rows each"),
        ("hat", 60, "needs two levels|are too few"),
    ],
)
def test_what_can_not_be_erased_is_said(factor: str, rows: int, sentence: str) -> None:
    vectors, columns = blind()
    part = {name: values[:rows] for name, values in columns.items()}
    with pytest.raises(UserError, match=sentence):
        erase(np.tile(vectors[:rows], (1, 4)), part, factor)


def test_a_planted_leaning_is_found_and_its_erasure_seen() -> None:
    rng = np.random.default_rng(2)
    attribute = [rng.standard_normal((20, 16)) + 4 * np.eye(16)[i] for i in (0, 1)]
    jobs = {job: rng.standard_normal((15, 16)) + 3 * np.eye(16)[5] for job in "abcd"}
    jobs["b"] = jobs["b"] + 2 * np.eye(16)[0]
    before = leanings(jobs, *attribute, space="text", state="as it is", planted="b")
    table = {one.target: one for one in before}
    assert max(before, key=lambda one: one.effect).target == "b"
    assert table["b"].p_holm < 0.01
    assert table["b"].planted
    assert all(one.p_holm >= one.p for one in before)
    both = np.concatenate(attribute)
    eraser = LeaceEraser().fit(both, {"side": ["a"] * 20 + ["b"] * 20})
    after = leanings({job: eraser.transform(x) for job, x in jobs.items()},
                     *(eraser.transform(x) for x in attribute), space="text", state="erased",
                     planted="b")  # fmt: skip
    left = next(one for one in after if one.target == "b")
    assert abs(left.difference) < 0.3 * table["b"].difference
    (line,) = summary([*before, *after])
    assert "b leans most" in line
    assert "as planted; erased:" in line


def test_nothing_planted_nothing_said() -> None:
    rng = np.random.default_rng(3)
    sides = [rng.standard_normal((10, 8)) for _ in range(2)]
    jobs = {job: rng.standard_normal((12, 8)) for job in "abc"}
    rows = leanings(jobs, *sides, space="image", state="as it is")
    assert summary(rows) == ["image embeddings: no target leans that way beyond chance"]


def test_the_planted_skew_is_in_the_text_tower(clip: Clip) -> None:
    """In training 7 of 10 doctors are pale; captions without a skin lean so, however few."""
    rows = associate_world(clip, ("skin", "pale"), n=8, fitted=250)
    assert len(rows) == 2 * 2 * len(FACTORS["attire"])
    text = [one for one in rows if (one.space, one.state) == ("text", "as it is")]
    assert max(text, key=lambda one: one.effect).target == "doctor"
    assert [one.target for one in text if one.planted] == ["doctor"]
    gone = next(one for one in rows if (one.space, one.state, one.target)
                == ("text", "skin erased", "doctor"))  # fmt: skip
    doctor = next(one for one in text if one.target == "doctor")
    assert abs(gone.difference) < 0.6 * doctor.difference


def test_users_words_are_read(words: Path) -> None:
    found = read_vocabulary(words)
    assert [phrase.text for phrase in found] == list(WORDS)
    assert found[0] == Phrase("glasses", (), "given")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["name", "glasses", "--directions", "nowhere"], "there is no nowhere"),
        (["name", "glasses", "--site", "pixels"], "no site is named 'pixels'"),
        (["name", "lost.png"], "there is no picture lost.png"),
        (["name", "lost.png", "--opposite"], "no opposite"),
        (["name", "lost.safetensors"], "there is no direction file"),
        (["name", "x", "--words", "0"], "at least 1 word"),
        (["erase", "glasses", "nowhere"], "there is no store at nowhere"),
        (["associate", "height=tall"], "no attribute is named 'height'"),
        (["associate", "attire=chef"], "no attribute is named 'attire'"),
        (["associate", "skin=green"], "skin has no level 'green'"),
        (["associate", "--n", "3"], "at least 8"),
    ],
)
def test_a_mistake_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_files_that_do_not_fit_are_one_sentence(
    clip: Clip, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, one = tmp_path / "few", tmp_path / "one.txt"
    write_store(few, np.eye(10), [str(i) for i in range(10)], space=Space("a", "image_embedding"),
                model="portraits")  # fmt: skip
    other = tmp_path / "other"
    write_store(other, np.random.default_rng(0).standard_normal((50, clip.dim)),
                [str(i) for i in range(50)], space=Space("a", "image_embedding"),
                model="portraits")  # fmt: skip
    one.write_text("hat\nhat\n")
    from probes import Direction

    path = str(Direction(np.ones(clip.dim), np.zeros(clip.dim), 1.0, Space("b", "image_embedding"),
                         "odd", "by hand").save(tmp_path / "odd"))  # fmt: skip
    for extra, sentence in (
        (["--vocabulary", str(one)], "has 1 words"),
        (["--vocabulary", str(tmp_path / "none.txt")], "can't be read"),
        (["--store", str(few)], "holds 10 vectors; give at least 40"),
        (["--store", str(other)], "embed the pictures again"),
        (["--store", str(few), "--site", "text_states"], "leave out --store"),
        (["--vocabulary", str(words), "--images", "60"], "discover it again there"),
    ):
        assert main(["name", path, *extra]) == 2, extra
        told = capsys.readouterr()
        assert sentence in told.err, extra
        assert told.out == ""


def test_pairs_are_read() -> None:
    assert parse_pair("hair_style=long") == ("hair_style", "long")
