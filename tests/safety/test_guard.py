"""The guard fails closed, withholds everything of a blocked item, and says why."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from safety import (
    BadPolicy,
    BadRegistry,
    Finding,
    Guard,
    Likeness,
    NameInPrompt,
    NoReason,
    Person,
    Policy,
    Registry,
    RestrictedImage,
    RestrictedPrompt,
    changed,
    fit_concept,
    unguarded,
)
from safety.calibration import fisher, for_other_vectors, logistic
from safety.policy import DEFAULT

D = 16


@dataclass(frozen=True)
class Drawn:
    images: np.ndarray
    prompts: tuple
    seeds: tuple
    text_embeddings: np.ndarray
    image_embeddings: np.ndarray | None = None
    edited_words: np.ndarray | None = None


@dataclass
class World:
    """Gaussian embeddings: axis 0 is a restricted concept, two people sit at known places."""

    rng: np.random.Generator
    faces: dict[str, np.ndarray]
    checks: tuple
    registry: Registry


@pytest.fixture(scope="module")
def world() -> World:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(1500, D))
    shown = rng.normal(size=(400, D)) + 6 * np.eye(D)[0]
    faces = {"Zora Quill": 6 * np.eye(D)[3] - 5 * np.eye(D)[4], "Ada Wren": 7 * np.eye(D)[5]}
    people = tuple(
        Person(name, name == "Ada Wren", face + 0.5 * rng.normal(size=(20, D)))
        for name, face in faces.items()
    )
    registry = Registry(people, "clip")
    concept = fit_concept("wound", shown, real)
    apart = np.random.default_rng(1)  # axes 8 and 9 of text embeddings describe the two
    words = tuple(
        fit_concept(name, apart.normal(size=(400, D)) + 6 * np.eye(D)[8 + i], real)
        for i, name in enumerate(faces)
    )
    checks = (
        RestrictedPrompt({"wound": ("wound", "blood")}),
        NameInPrompt(registry),
        RestrictedImage((concept,)),
        replace(Likeness.fit(registry, real), words=words),
    )
    return World(rng, faces, checks, registry)


def _guard(world, checks=None, policy=None, encode_image=None):
    # A picture's embedding is written into its first pixels' neighbours: here, looked up by id.
    table = {}

    def encode(images):
        return np.stack([table[int(image[0, 0, 0])] for image in images])

    guard = Guard(
        policy or Policy.load(),
        world.checks if checks is None else checks,
        lambda t: np.zeros((len(t), D)),
        encode_image or encode,
    )

    def generate(prompts, seeds, edits=(), start=None, trace=None):
        images = np.stack([np.full((4, 4, 3), s, np.uint8) for s in seeds])
        if trace is not None:
            trace.latents = np.stack([np.array(seeds)[:, None]] * 3)
        vectors = np.stack([table[s] for s in seeds])
        return Drawn(images, tuple(prompts), tuple(seeds), np.zeros((len(seeds), D)), vectors)

    return guard(generate, "unclip"), table


def test_harmless_passes_with_findings_of_every_check(world):
    draw, table = _guard(world)
    table[1] = 0.1 * world.rng.normal(size=D)
    done = draw(["a smiling chef"], [1])
    assert done.kept == (0,) and done.decisions[0].action == "allow"
    assert {f.check for f in done.decisions[0].findings} == set(Policy.load().checks_for("unclip"))
    assert {f.stage for f in done.decisions[0].findings} == {"prompt", "embedding", "image"}


def test_a_blocked_item_leaves_nothing(world):
    draw, table = _guard(world)
    table.update({1: np.zeros(D), 2: world.faces["Zora Quill"], 3: np.zeros(D)})
    trace = SimpleNamespace(latents=None)
    done = draw(["a", "b", "c"], [1, 2, 3], trace=trace)
    assert done.kept == (0, 2)
    assert done.decisions[1].action == "block" and "Zora Quill" in done.decisions[1].reason
    assert done.batch.seeds == (1, 3) and done.batch.image_embeddings.shape == (2, D)
    assert trace.latents[0, :, 0].tolist() == [1, 3]


def test_a_blocked_prompt_is_never_drawn(world):
    draw, _ = _guard(world)
    done = draw(["a bl00dy w0und", "Zora Quill"], [77, 78])  # no embedding: drawing would raise
    assert done.batch is None and done.kept == ()
    assert "wound" in done.decisions[0].reason and "not consented" in done.decisions[1].reason


def test_a_prompt_is_checked_as_it_is_read_too(world):
    """Entities that the model's tokenizer unescapes hide no name, nor does what it leaves out."""
    draw, table = _guard(world)
    table[1] = 0.1 * world.rng.normal(size=D)
    for text in ("Z&#111;ra Qu&#x69;ll", "a w&#111;und", "Tom &amp; a dog"):
        done = draw([text], [1])
        assert (done.batch is None) == ("Tom" not in text)
        seen = [f for f in done.decisions[0].findings if f.stage == "prompt"]
        assert len({(f.check, f.concept, f.verdict) for f in seen}) == len(seen)
    guard = Guard(Policy.load(), world.checks, lambda t: np.zeros((len(t), D)), lambda x: x,
                  read=lambda text: text.replace("~", ""))  # fmt: skip
    found = guard.look("unclip", "prompt", 1, ["a w~o~u~n~d qx"], lambda: np.zeros((1, D)))
    assert not guard.policy.decide(found[0]).released


def test_consent_passes_and_ends(world):
    draw, table = _guard(world)
    table[5] = world.faces["Ada Wren"]
    done = draw(["Ada Wren smiling"], [5])
    assert done.decisions[0].action == "allow"
    assert any("has consented" in f.reason for f in done.decisions[0].findings)
    for facts in ({"revoked": True}, {"expires": "2020-01-01"}):
        registry = changed(world.registry, "Ada Wren", **facts)
        checks = tuple(
            replace(c, registry=registry) if hasattr(c, "registry") else c for c in world.checks
        )
        draw, table = _guard(world, checks)
        table[5] = world.faces["Ada Wren"]
        assert draw(["a person"], [5]).decisions[0].action == "block"
    assert Person("x", True, np.zeros((1, D)), expires="2030-01-01").allows(date(2030, 1, 1))


def test_references_are_checked(world):
    draw, table = _guard(world)
    table.update({1: np.zeros(D), 9: world.faces["Zora Quill"]})
    face = np.full((1, 4, 4, 3), 9, np.uint8)
    done = draw(["a person"], [1], references=face)
    assert done.batch is None and "reference" in done.decisions[0].reason


def _broken(stage, texts, vectors):
    raise RuntimeError("no weights")


def test_it_fails_closed(world):
    failing = SimpleNamespace(name="likeness", stages=("image",))
    raising = type(
        "Raising",
        (),
        {"name": "likeness", "stages": ("image",), "__call__": lambda s, *a: _broken(*a)},
    )()
    silent = type(
        "Silent", (), {"name": "likeness", "stages": ("image",), "__call__": lambda s, *a: [[]]}
    )()
    others = world.checks[:3]
    for checks in (others, (*others, raising), (*others, silent), (*others, failing)):
        draw, table = _guard(world, checks)
        table[1] = np.zeros(D)
        done = draw(["a person"], [1])
        assert done.batch is None and done.decisions[0].action == "block"
    draw, table = _guard(world)
    table[1] = np.full(D, np.nan)
    assert draw(["a person"], [1]).decisions[0].action == "block"
    draw, table = _guard(world, encode_image=lambda images: 1 / 0)
    table[1] = np.zeros(D)
    assert draw(["a person"], [1]).decisions[0].action == "block"


def test_rates_hold_on_fresh_data(world):
    rng = np.random.default_rng(5)
    like = world.checks[3]
    assert (like.scores(rng.normal(size=(4000, D))).max(1) >= 0).mean() < 0.015
    concept = world.checks[2].concepts[0]
    assert concept.calibration["tpr"] > 0.95
    assert (concept.score(rng.normal(size=(4000, D))) >= concept.threshold).mean() < 0.015


def test_a_logistic_concept_depends_on_no_units_and_no_proportions():
    rng = np.random.default_rng(3)
    on, off = rng.normal(size=(600, D)) + 3 * np.eye(D)[0], rng.normal(size=(600, D))
    units = 10.0 ** rng.integers(-3, 3, D)
    weights = logistic(on, off)
    assert np.allclose(logistic(on * units, off * units) * units, weights, rtol=1e-2, atol=1e-4)
    many = logistic(on, np.concatenate([off] * 5))
    assert many @ weights / np.linalg.norm(many) / np.linalg.norm(weights) > 0.99
    assert np.abs(weights).argmax() == 0
    concept = fit_concept("wound", on, off, weigh=logistic, fpr=0.01)
    assert concept.score(on[:300]).mean() == pytest.approx(1)
    assert concept.score(off[:300]).mean() == pytest.approx(-1)
    optimal = fit_concept("wound", on, off, weigh=fisher).calibration["auc"]
    assert concept.calibration["auc"] > optimal - 0.005  # Fisher's is optimal for such classes


def test_edited_words_are_held_to_bars_of_their_own(world):
    """No word is said: an edit alone moves the states towards the concept, half of the way."""
    concept = replace(world.checks[2].concepts[0], threshold=0.9)
    lower = for_other_vectors(concept, np.random.default_rng(4).normal(size=(2000, D)), least=-1.0)
    assert lower.threshold < 0.5 and lower.calibration["fpr"] < 0.02
    assert for_other_vectors(concept, np.zeros((10, D))).threshold == 0.9
    moved = np.stack([4 * np.eye(D)[0], np.zeros(D)])
    kept = []
    for edited in ((lower,), ()):
        words = RestrictedPrompt({"wound": ("wound",)}, (concept,), edited)
        guard = Guard(
            Policy.load(), (words, *world.checks[1:]), lambda t: np.zeros((len(t), D)),
            lambda images: np.zeros((len(images), D)),
        )  # fmt: skip

        def generate(prompts, seeds, edits=(), start=None, trace=None):
            images = np.zeros((len(seeds), 4, 4, 3), np.uint8)
            drawn = Drawn(images, tuple(prompts), tuple(seeds), np.zeros((len(seeds), D)))
            return replace(drawn, edited_words=moved if edits else None)

        draw = guard(generate, "stable-diffusion")
        assert draw(["a", "b"], [1, 2]).kept == (0, 1)
        done = draw(["a", "b"], [1, 2], ["an edit"])
        kept.append(done.kept)
        assert done.batch.edited_words.shape == (len(done.kept), D)
    assert kept == [(1,), (0, 1)]  # without bars of their own they are held to those of prompts


def test_a_picture_of_edited_words_that_describe_somebody(world):
    """Its bar is lower for whom they describe; a check that knows no words for people blocks."""
    likeness = world.checks[3]
    near = world.faces["Zora Quill"]
    while likeness.scores(near[None])[0, 0] >= 0:  # beside her, and still somewhat like her
        near = 0.9 * near + 0.1 * 4 * np.eye(D)[10]
    assert likeness.scores(near[None])[0, 0] > -0.25
    pictures = np.stack([near, near, np.zeros(D), world.faces["Ada Wren"]])
    moved = 6 * np.eye(D)[[8, 11, 8, 9]]  # towards Zora, towards nobody, Zora, Ada
    words = RestrictedPrompt({"wound": ("wound",)}, world.checks[2].concepts)

    def generate(prompts, seeds, edits=(), start=None, trace=None):
        images = np.zeros((len(seeds), 4, 4, 3), np.uint8)
        nothing = np.zeros((len(seeds), D))
        edited = moved if edits else None
        return Drawn(images, tuple(prompts), tuple(seeds), nothing, edited_words=edited)

    def guarded(likeness, edits):
        guard = Guard(
            Policy.load(), (words, *world.checks[1:3], likeness), lambda t: np.zeros((len(t), D)),
            lambda images: pictures,
        )  # fmt: skip
        return guard(generate, "stable-diffusion")(list("abcd"), [1, 2, 3, 4], edits)

    assert guarded(likeness, ()).kept == (0, 1, 2, 3)
    done = guarded(likeness, ["an edit"])
    assert done.kept == (1, 2, 3)
    assert "picture of an edited prompt is like Zora Quill, who has not" in done.decisions[0].reason
    allowed = {(one.stage, one.concept) for one in done.decisions[3].findings if one.exempt}
    assert ("edited picture", "Ada Wren") in allowed
    unfitted = guarded(replace(likeness, words=()), ["an edit"])
    assert unfitted.kept == () and "no words for the people" in unfitted.decisions[2].reason


def test_shorter_vectors_than_the_check_needs_block(world):
    """A picture's concept that looks closely is never scored by the embedding alone."""
    near = replace(world.checks[2].concepts[0], weights=np.ones(D + 5))
    checks = (*world.checks[:2], RestrictedImage((near,)), world.checks[3])
    draw, table = _guard(world, checks)
    table[1] = np.zeros(D)
    done = draw(["a person"], [1])
    assert done.batch is None and "restricted_image failed" in done.decisions[0].reason


def test_likeness_reads_the_embedding_of_longer_vectors(world):
    like, rng = world.checks[3], np.random.default_rng(9)
    x = np.stack([world.faces["Zora Quill"], rng.normal(size=D)])
    longer = np.concatenate([x, rng.normal(size=(2, 7))], 1)
    assert np.allclose(like.scores(x), like.scores(longer))


def test_review_releases_and_thresholds_override(world):
    data = json.loads(DEFAULT.read_text())
    data["actions"]["likeness"] = "review"
    draw, table = _guard(world, policy=Policy.read(data))
    table[2] = world.faces["Zora Quill"]
    done = draw(["a person"], [2])
    assert done.kept == (0,) and done.decisions[0].action == "review"
    data["thresholds"] = {"likeness": 2.0}
    draw, table = _guard(world, policy=Policy.read(data))
    table[2] = world.faces["Zora Quill"]
    assert draw(["a person"], [2]).decisions[0].action == "allow"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "x"}, "format"),
        ({"actions": {"likeness": "shout"}}, "can't be followed"),
        ({"actions": {}}, "no action"),
        ({"required": {"unclip": ["mind_reading"]}}, "mind_reading"),
        ({"thresholds": {"likeness": "high"}}, "no number"),
        ({"thresholds": {"likeness": float("nan")}}, "no number"),
        ({"thresholds": []}, "must be an object"),
        ({"required": ["likeness"]}, "must be an object"),
        ({"required": {"unclip": "likeness"}}, "must be a list"),
        ({"required": {"unclip": [["likeness"]]}}, "none of"),
        ({"actions": "block"}, "must be an object"),
        ({"actions": {"likeness": ["block"]}}, "can't be followed"),
        ({"version": 2}, "must be a text"),
        ({"treshold": {}}, "treshold"),
    ],
)
def test_bad_policies_are_one_sentence(tmp_path, change, words):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(json.loads(DEFAULT.read_text()) | change))
    with pytest.raises(BadPolicy, match=words):
        Policy.load(path)


def test_unknown_model_and_unreadable_files(world, tmp_path):
    with pytest.raises(BadPolicy, match="no rules"):
        Guard(Policy.load(), world.checks, None, None)(lambda: None, "other")
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(BadPolicy, match="can't be read"):
        Policy.load(tmp_path / "p.json")
    (tmp_path / "p.json").write_text('{"required":' + "[" * 100_000)
    with pytest.raises(BadPolicy, match="can't be read"):
        Policy.load(tmp_path / "p.json")
    (tmp_path / "p.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(BadPolicy, match="can't be read"):
        Policy.load(tmp_path / "p.json")
    with pytest.raises(BadRegistry):
        Registry.load(tmp_path)


def test_registry_round_trip(world, tmp_path):
    world.registry.save(tmp_path)
    again = Registry.load(tmp_path)
    assert [p.name for p in again.people] == ["Zora Quill", "Ada Wren"]
    assert np.allclose(again.people[0].templates, world.registry.people[0].templates, atol=1e-5)
    with pytest.raises(BadRegistry, match="nobody"):
        changed(again, "Nemo", revoked=True)


def test_opening_the_guard_needs_a_reason_and_is_logged(tmp_path):
    log = tmp_path / "log.jsonl"
    with pytest.raises(NoReason), unguarded("  ", log):
        pass
    with unguarded("a study of leakage", log):
        assert json.loads(log.read_text())["unguarded"] == "a study of leakage"


def test_a_blurred_item_keeps_nothing_it_could_be_drawn_from(world):
    data = json.loads(DEFAULT.read_text())
    data["actions"]["likeness"] = "blur"
    words = replace(world.checks[0], edited=world.checks[2].concepts)
    guard = Guard(
        Policy.read(data), (words, *world.checks[1:]), lambda t: np.zeros((len(t), D)),
        lambda images: np.stack([world.faces["Zora Quill"], np.zeros(D)]),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    clear = pictures.copy()

    def generate(prompts, seeds, edits=(), start=None, trace=None):
        assert trace is not None
        trace.latents = np.ones((3, 2, 4))
        vectors = np.ones((2, D)) * 0.01
        return Drawn(
            pictures, tuple(prompts), tuple(seeds), np.zeros((2, D)), vectors, vectors.copy()
        )

    trace = SimpleNamespace(latents=None)
    done = guard(generate, "unclip")(["a", "b"], [1, 2], trace=trace)
    assert [one.action for one in done.decisions] == ["blur", "allow"] and done.kept == (0, 1)
    assert not trace.latents[:, 0].any() and trace.latents[:, 1].all()
    assert not done.batch.image_embeddings[0].any() and not done.batch.edited_words[0].any()
    assert (done.batch.images[1] == clear[1]).all()
    assert done.batch.images[0].std() < 0.25 * clear[0].std()


def test_a_concept_has_a_threshold_of_its_own(world):
    data = json.loads(DEFAULT.read_text()) | {"thresholds": {"restricted_image:wound": 5.0}}
    for thresholds, action in (({}, "block"), (data["thresholds"], "allow")):
        policy = Policy.read(data | {"thresholds": thresholds})
        draw, table = _guard(world, policy=policy)
        table[3] = 6 * np.eye(D)[0]
        decision = draw(["a person"], [3]).decisions[0]
        assert decision.action == action
    one = next(f for f in decision.findings if f.check == "restricted_image")
    assert one.threshold == 5.0 and one.calibrated == world.checks[2].concepts[0].threshold
    assert one.concept == "wound" and "own threshold is 5.00" in one.reason


def test_findings_come_back_from_json(world):
    draw, table = _guard(world)
    table[3] = 6 * np.eye(D)[0]
    for one in draw(["a person"], [3]).decisions[0].findings:
        again = Finding.from_json(json.loads(json.dumps(one.to_json())))
        assert json.dumps(again.to_json()) == json.dumps(one.to_json())
