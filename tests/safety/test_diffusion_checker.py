"""The Stable Diffusion safety checker: diffusers' own flags, explained; refused where unloaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import (
    StableDiffusionSafetyChecker,
    cosine_distance,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor

from safety import Guard, Policy
from safety.diffusion_checker import (
    CALIBRATION,
    COLUMNS,
    SPECIAL,
    TENSORS,
    BadChecker,
    Checker,
    DiffusionChecker,
    labels,
    margins,
)
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.guarding import CHECKER, CHECKPOINT, load_checkpoint_guard, unchecked
from toolkit.pipelines.batch import Batch
from toolkit.pipelines.real.tiny import write_tiny
from toolkit.runs import load_run
from toolkit.studies.checkup_model import checkup_model
from toolkit.studies.policy import decided

WIDTH, SIDE, PROMPT = 768, 32, "two dogs on a green hill"
PREPARED = {  # as the published folders have it, at another size
    "crop_size": SIDE, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
    "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": SIDE,
}  # fmt: skip


def network(seed: int = 0, hidden: int = 32) -> StableDiffusionSafetyChecker:
    """Small, of random weights; its bars are so high that nothing fires."""
    torch.manual_seed(seed)
    vision = {
        "hidden_size": hidden, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "image_size": SIDE, "patch_size": 8,
    }  # fmt: skip
    made = StableDiffusionSafetyChecker(CLIPConfig(projection_dim=WIDTH, vision_config=vision))
    with torch.no_grad():
        for weight in made.vision_model.parameters():  # at 0.02 every picture would look alike
            weight.copy_(0.3 * torch.randn_like(weight))
        made.concept_embeds.copy_(torch.randn(17, WIDTH))
        made.special_care_embeds.copy_(torch.randn(3, WIDTH))
        made.concept_embeds_weights.fill_(0.9)
        made.special_care_embeds_weights.fill_(0.9)
    return made.eval()


def write(folder: Path, made: StableDiffusionSafetyChecker | None = None) -> Path:
    (made or network()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Path:
    """A checker that flags nothing."""
    return write(tmp_path_factory.mktemp("quiet") / "safety_checker")


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A checkpoint without one."""
    return write_tiny(
        tmp_path_factory.mktemp("plain") / "sd", "StableDiffusionPipeline", 3, side=32
    )


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def checkpoint(plain, quiet, home, tmp_path) -> Path:
    shutil.copytree(plain, tmp_path / "sd")
    shutil.copytree(quiet, tmp_path / "sd" / "safety_checker")
    return tmp_path / "sd"


def alter(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def flags(checker: Checker, images: np.ndarray) -> list[bool]:
    rows = DiffusionChecker(checker.thresholds, checker.labels, 0)("image", None, checker(images))
    return [any(one.verdict == "flag" for one in row) for row in rows]


class Given(torch.nn.Module):
    """In place of the tower: the embeddings are what came in."""

    def forward(self, x: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, x


def test_the_rule_is_diffusers_own_to_the_last_digit() -> None:
    """On planted cosines at the bars, within a thousandth and at the half that rounding turns."""
    made = network(1, hidden=WIDTH)
    made.vision_model, made.visual_projection = Given(), torch.nn.Identity()
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0]
    rng = np.random.default_rng(2)
    bars = rng.uniform(0.17, 0.21, COLUMNS).astype(np.float32)
    with torch.no_grad():
        made.special_care_embeds.copy_(3 * basis[:SPECIAL])
        made.concept_embeds.copy_(0.5 * basis[SPECIAL:COLUMNS])
        made.special_care_embeds_weights.copy_(torch.tensor(bars[:SPECIAL]))
        made.concept_embeds_weights.copy_(torch.tensor(bars[SPECIAL:]))
    at = np.array(
        [0.0, 0.0005, 0.00049, 0.00051, 0.001, -0.0005, 0.0015, -0.0095, -0.0100, -0.0105]
    )
    off = np.where(rng.random((1500, COLUMNS)) < 0.1, rng.choice(at, (1500, COLUMNS)), -0.03)
    off[:, :SPECIAL][rng.random((1500, SPECIAL)) < 0.7] = -0.03
    cosines = torch.tensor(bars + off, dtype=torch.float32)
    rest = (1 - cosines.square().sum(1, keepdim=True)).sqrt() * basis[COLUMNS]
    vectors = 7 * (cosines @ basis[:COLUMNS] + rest)
    _, theirs = made(vectors, list(np.zeros((1500, 1, 1, 3))))
    tables = (made.special_care_embeds, made.concept_embeds)
    seen = torch.cat([cosine_distance(vectors, table) for table in tables], 1).numpy()
    scores, added = margins(seen, bars)
    assert (scores[:, SPECIAL:] > 0).any(1).tolist() == theirs
    rows = DiffusionChecker(bars, labels(WIDTH), 2)("image", None, np.pad(seen, [(0, 0), (2, 1)]))
    assert [any(one.verdict == "flag" for one in row) for row in rows] == theirs
    careful = added > 0
    only = (np.round(seen - bars, 3)[:, SPECIAL:] <= 0).all(1) & np.array(theirs)
    half = (np.abs(np.abs(seen - bars + added[:, None]) - 0.0005) < 2e-5)[:, SPECIAL:].any(1)
    assert 0.2 < np.mean(theirs) < 0.8 and (only & careful).sum() > 9 and half.sum() > 50


def test_pictures_are_flagged_as_by_diffusers(tmp_path) -> None:
    """From a folder as published: doubled names, position_ids, an extractor of 2022 beside it."""
    made = network(4)
    own = {"image_mean": [0.2, 0.5, 0.8], "image_std": [0.5, 0.1, 0.2]}  # not CLIP's: it is read
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE, **own)
    rng = np.random.default_rng(5)
    sizes = [(64, 64), (48, 80), (33, 32), (20, 90)] * 10
    pictures = [
        np.asarray(
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize(size[::-1])
        ) for size in sizes
    ]  # fmt: skip
    inputs = [processor(Image.fromarray(one), return_tensors="pt").pixel_values for one in pictures]
    with torch.no_grad():
        seen = torch.cat([made.visual_projection(made.vision_model(x)[1]) for x in inputs])
        made.concept_embeds.copy_(seen[:17])
        made.special_care_embeds.copy_(seen[17:20])
        for bar, table in (
            (made.concept_embeds_weights, made.concept_embeds),
            (made.special_care_embeds_weights, made.special_care_embeds),
        ):
            bar.copy_(torch.quantile(cosine_distance(seen, table), 0.85, dim=0))
    theirs = [made(x, [np.zeros((1, 1, 3))])[1][0] for x in inputs]
    write(tmp_path / "safety_checker", made)
    (tmp_path / "feature_extractor").mkdir()
    prepared = tmp_path / "feature_extractor" / "preprocessor_config.json"
    prepared.write_text(json.dumps(PREPARED | own))

    def as_published(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith("vision_model.")]:
            tensors[f"vision_model.{name}"] = tensors.pop(name)
        tensors["vision_model.vision_model.embeddings.position_ids"] = torch.arange(17)[None]

    alter(tmp_path / "safety_checker", as_published)
    checker = Checker.load(tmp_path / "safety_checker")
    assert [flags(checker, one[None])[0] for one in pictures] == theirs
    assert 3 < sum(theirs) < 37
    assert np.array_equal(checker.thresholds[SPECIAL:], made.concept_embeds_weights.numpy())


def test_each_concept_that_fires_says_so() -> None:
    bars = np.full(COLUMNS, 0.2, np.float32)
    cosines = np.full((2, COLUMNS), 0.1)
    cosines[0, [1, 7]] = 0.21, 0.195
    rows = DiffusionChecker(bars, labels(WIDTH), 0)("image", None, cosines)
    fired = [one for one in rows[0] if one.verdict == "flag"]
    assert [(one.concept, one.score, one.threshold) for one in fired] == [
        ("concept 5", 0.005, 0.001)
    ]
    assert fired[0].reason == (
        'the image fires the Stable Diffusion checker\'s concept 5 ("naked" in the published one) '
        '(cosine 0.1950, threshold 0.2000, lowered by 0.01: special care 2 ("young child" in the '
        "published one) fired too)"
    )
    assert {one.verdict for one in rows[1]} == {"pass"} and len(rows[1]) == 17
    assert labels(512)[SPECIAL] == "concept 1"
    broken = DiffusionChecker(bars, labels(512), 0)("image", None, np.full((1, COLUMNS), np.nan))
    assert {one.verdict for one in broken[0]} == {"error"}


def test_a_checkpoints_own_checker_withholds_everything_and_explains(checkpoint, tmp_path, capsys):
    words = ["generate", PROMPT, "--model", str(checkpoint), "--steps", "2"]
    assert main([*words, "--out", str(tmp_path / "before")]) == 0
    before = load_run(tmp_path / "before")
    assert before.samples["decision"].tolist() == ["allow"]
    found = [one for one in json.loads(before.samples["findings"][0]) if one["check"] == CHECKER]
    assert len(found) == 17 and {one["verdict"] for one in found} == {"pass"}
    assert before.manifest["safety_checker"]["adjustment"] == CALIBRATION["adjustment"] == 0.0
    alter(checkpoint / "safety_checker", lambda t: t["concept_embeds_weights"][3].sub_(1.9))
    assert main([*words, "--out", str(tmp_path / "after")]) == 0
    after = load_run(tmp_path / "after")
    (row,) = after.samples.to_dict("records")
    assert row["decision"] == "block" and "concept 4 (" in row["reason"]
    assert "cosine" in row["reason"] and "threshold -1.0000" in row["reason"]
    files = after.manifest["files"]
    assert not [name for name in files if name.startswith(("images/", "traces/"))]
    assert not list((tmp_path / "after").rglob("ck-*"))
    weights = [run.manifest["safety_checker"]["weights"] for run in (before, after)]
    assert weights[0] != weights[1] and weights[0].startswith("checker:")
    # A later look at the run by a policy that asks for nothing of it hears it too.
    findings = json.loads(row["findings"])
    assert decided(Policy.load(), CHECKPOINT, findings)[0] == "block"


def _zeros(tensors: dict[str, torch.Tensor]) -> None:
    tensors["concept_embeds"][2] = 0


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        *(
            (lambda f, n=name: alter(f, lambda t: t[n].fill_(1)), f"{name} are all ones")
            for name in TENSORS
        ),
        (lambda f: alter(f, lambda t: t.pop("concept_embeds")), "lack concept_embeds"),
        (lambda f: alter(f, lambda t: t["concept_embeds"].fill_(torch.nan)), "not all numbers"),
        (lambda f: alter(f, _zeros), "a row of zeros"),
        (lambda f: alter(f, lambda t: t["visual_projection.weight"].zero_()), "no embedding"),
        (lambda f: alter(f, lambda t: t["visual_projection.weight"].fill_(torch.nan)), "picture"),
        (lambda f: alter(f, lambda t: t["concept_embeds_weights"].fill_(1.1)), "can pass"),
        (lambda f: (f / "config.json").write_text("{"), "config.json"),
        (lambda f: (f / "config.json").write_text("{}"), ""),
        (lambda f: (f / "model.safetensors").write_bytes(b"none"), ""),
        (lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-9]), ""),
        (lambda f: (f / "preprocessor_config.json").write_text(
            json.dumps(PREPARED | {"crop_size": 16, "size": 16})), "16"),
    ],
)  # fmt: skip
def test_a_checker_that_was_never_loaded_or_is_damaged_is_refused(quiet, tmp_path, damage, said):
    folder = Path(shutil.copytree(quiet, tmp_path / "safety_checker"))
    damage(folder)
    with pytest.raises(BadChecker) as found:
        Checker.load(folder)
    text = str(found.value)
    assert said in text and str(folder) in text and "nothing is drawn" in text
    assert len(text) < 600


def test_a_damaged_one_in_the_checkpoint_draws_nothing(checkpoint, tmp_path, capsys) -> None:
    alter(checkpoint / "safety_checker", lambda t: t["concept_embeds"].fill_(1))
    words = ["generate", PROMPT, "--model", str(checkpoint), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "made, but never loaded" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_policy_that_requires_it_refuses_without_and_takes_the_one_at_home(
    plain, checkpoint, quiet, home
) -> None:
    policy = Policy.load()
    required = {**policy.required, CHECKPOINT: (CHECKER,)}
    asks = Policy(policy.name, "0", required, {**policy.actions, CHECKER: "review"})
    for folder in (None, plain):
        with pytest.raises(UserError, match=r"no weights of it are at hand.*home/safety_checker"):
            load_checkpoint_guard(asks, checkpoint=folder)
        assert CHECKER not in load_checkpoint_guard(checkpoint=folder).checks
    assert _decided(load_checkpoint_guard(asks, checkpoint=checkpoint)) == ["allow"]
    strict = shutil.copytree(quiet, home.parent / "strict")
    alter(strict, lambda t: t["concept_embeds_weights"].fill_(-1.5))
    (home / "safety_checker").symlink_to(strict)  # before the checkpoint's own
    for folder in (None, plain, checkpoint):
        assert _decided(load_checkpoint_guard(asks, checkpoint=folder)) == ["review"]
        assert _decided(load_checkpoint_guard(checkpoint=folder)) == ["block"]
    lax = Policy(policy.name, "0", policy.required, policy.actions, {CHECKER: 4.0})
    assert _decided(load_checkpoint_guard(lax)) == ["allow"]
    refs = np.full((1, 40, 50, 3), 200, np.uint8)
    guard = load_checkpoint_guard()
    done = guard(lambda *_a, **_k: pytest.fail("drawn"), CHECKPOINT)([PROMPT], [1], references=refs)
    assert done.decisions[0].action == "block"
    shutil.rmtree(strict)
    with pytest.raises(BadChecker, match=r"strict has no model\.safetensors"):
        load_checkpoint_guard(checkpoint=checkpoint)


def _decided(guard: Guard) -> list[str]:
    def grey(prompts, seeds, edits, start, trace):
        images = np.full((len(prompts), 64, 64, 3), 128, np.uint8)
        return Batch(images, tuple(prompts), tuple(seeds), "grey", np.zeros((len(prompts), 1)))

    return [one.action for one in guard(grey, CHECKPOINT)([PROMPT], [1]).decisions]


def test_a_failing_network_blocks(checkpoint, monkeypatch) -> None:
    guard = load_checkpoint_guard(checkpoint=checkpoint)

    def fails(self, image):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Checker, "_cosines", fails)
    assert _decided(guard) == ["block"]


def test_doctor_and_what_is_unchecked_tell_whether_it_is_at_hand(checkpoint, plain, capsys) -> None:
    def row(folder: Path) -> tuple[str, str]:
        (one,) = [one for one in checkup_model(str(folder)) if one.name == "safety_checker"]
        return one.ok, one.found + one.mend

    ok, found = row(checkpoint)
    assert ok == "yes" and "at hand, 17 concepts, from" in found
    assert row(plain) == ("yes", "none at hand, and none required by default")
    guard = load_checkpoint_guard(checkpoint=checkpoint)
    assert unchecked(guard, checkpoint) == unchecked(guard)
    weights = checkpoint / "safety_checker" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    guard = load_checkpoint_guard(checkpoint=checkpoint)
    assert CHECKER not in guard.checks
    assert (
        "own safety checker looks for (its weights are only there as a pickle"
        in (unchecked(guard, checkpoint)[-1])
    )
    ok, found = row(checkpoint)
    assert ok == "so-so" and "a pickle" in found and "home/safety_checker" in found
    weights.write_bytes(b"none")
    ok, found = row(checkpoint)
    assert ok == "no" and "restore its files" in found
    assert main(["doctor", "--model", str(checkpoint)]) == 1
