"""A folder of pictures becomes vectors: any size, any open_clip model, the same bytes resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.cli import main
from toolkit.clip import load_clip
from toolkit.embeddings import open_store
from toolkit.errors import UserError
from toolkit.studies.embed import embed_folder, load_model
from toolkit.world import render_all, sample

PEOPLE = sample("test", 40, 3)
PICTURES = render_all(PEOPLE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty portraits, half of them a folder below."""
    made = tmp_path / "people"
    (made / "more").mkdir(parents=True)
    for index, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(made / ("more" if index % 2 else "") / f"{index:02d}.png")
    (made / "notes.txt").write_text("no picture")
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An open_clip architecture of 32 px that cuts out the middle, and a file of its weights."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp("tiny")
    config = {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 32, "patch_size": 16, "layers": 1, "width": 32, "head_width": 16
        },
        "text_cfg": {
            "context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1
        },
    }  # fmt: skip
    (place / "tiny-of-the-tests.json").write_text(json.dumps(config))
    open_clip.add_model_config(place / "tiny-of-the-tests.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-of-the-tests")
    save_file(model.state_dict(), place / "weights.safetensors")
    yield "tiny-of-the-tests", place / "weights.safetensors"


@pytest.mark.usefixtures("weights")
def test_portraits_of_the_models_size_are_taken_as_they_are(folder: Path, tmp_path: Path) -> None:
    store = embed_folder(folder, tmp_path / "s", shard=16)
    clip = load_clip()
    assert store.ids == sorted(store.ids)
    assert (len(store), store.dim, store.space.model) == (40, clip.dim, clip.hash)
    index = [int(Path(name).stem) for name in store.ids]
    assert sorted(index) == list(range(40))
    expected = clip.encode_image(PICTURES[index])
    np.testing.assert_allclose(store.vectors(), expected, atol=2.0**-11)
    assert (store.vectors() @ expected.T).argmax(1).tolist() == list(range(40))


@pytest.mark.usefixtures("weights")
def test_sizes_modes_and_orientations_differ_freely(tmp_path: Path) -> None:
    made = tmp_path / "people"
    made.mkdir()
    upright = Image.fromarray(PICTURES[0])
    upright.save(made / "a.png")
    upright.resize((512, 512), Image.Resampling.BICUBIC).save(made / "b.webp", lossless=True)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter to see it upright
    turned.save(made / "c.png", exif=exif)
    turned.save(made / "d.png")
    upright.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(made / "e.gif")
    store = embed_folder(made, tmp_path / "s")
    near = store.vectors() @ store.vectors()[0]
    assert near[[1, 4]].min() > 0.97
    assert near[2] == pytest.approx(1, abs=1e-3)
    assert near[3] < 0.9
    assert store.table["width"].tolist() == [64, 512, 64, 64, 64]


@pytest.mark.usefixtures("weights")
def test_a_stopped_command_goes_on_to_the_same_bytes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    def stop(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            raise KeyboardInterrupt

    embed_folder(folder, tmp_path / "straight", shard=16)
    with pytest.raises(KeyboardInterrupt):
        embed_folder(folder, tmp_path / "s", shard=16, say=stop)
    assert not (tmp_path / "s").exists()
    assert (tmp_path / "s.partial").is_dir()
    assert said[1].startswith("16 pictures are kept in ")
    assert main(["embed", str(folder), "--out", str(tmp_path / "s"), "--shard", "16"]) == 0
    assert "going on after 16 of 40 pictures" in capsys.readouterr().err
    assert not (tmp_path / "s.partial").exists()
    for file in (tmp_path / "straight").iterdir():
        assert file.read_bytes() == (tmp_path / "s" / file.name).read_bytes(), file.name


@pytest.mark.usefixtures("weights")
def test_a_picture_changed_meanwhile_is_embedded_anew(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def stop(text: str) -> None:
        said.append(text)
        if text == "32 of 40 pictures":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_folder(folder, tmp_path / "s", shard=16, say=stop)
    second = sorted(p for p in folder.rglob("*.png"))[20]
    Image.fromarray(PICTURES[0]).save(second)
    store = embed_folder(folder, tmp_path / "s", shard=16, say=said.append)
    assert said[3] == "going on after 16 of 40 pictures"
    same = store.find(["00.png", second.relative_to(folder).as_posix()])
    np.testing.assert_allclose(same[0], same[1], atol=1e-3)


@pytest.mark.usefixtures("weights")
def test_a_picture_that_cannot_be_read_is_named_and_nothing_is_left(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = folder / "more" / "01.png"
    whole = broken.read_bytes()
    argv = ["embed", str(folder), "--out", str(tmp_path / "s"), "--shard", "64"]
    for data in (whole[: len(whole) // 2], b"no picture at all", b""):
        broken.write_bytes(data)
        assert main(argv) == 2
        told = capsys.readouterr().err
        assert f"the picture {broken}" in told
        assert told.count("\n") == 1
        assert [p.name for p in tmp_path.iterdir()] == ["people"]
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(broken)
    with pytest.raises(UserError, match="more than 8 bits"):
        embed_folder(folder, tmp_path / "s")
    broken.write_bytes(whole)
    assert main(argv) == 0


@pytest.mark.usefixtures("weights")
def test_labels_come_along(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{i:02d}.png,{p.glasses},{p.attire}" for i, p in enumerate(PEOPLE)]
    file = tmp_path / "labels.csv"
    file.write_text("file_name,glasses,attire\n" + "\n".join(lines) + "\n")
    argv = ["embed", str(folder), "--out", str(tmp_path / "s"), "--labels", str(file), "--json"]
    assert main(argv) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["vectors"], facts["labels"]) == (40, ["glasses", "attire"])
    store = open_store(tmp_path / "s")
    for name, attire in store.labels["attire"].items():
        assert str(attire) == PEOPLE[int(Path(str(name)).stem)].attire
    file.write_text("file_name,glasses\n" + "00.png,yes\n")
    argv[3] = str(tmp_path / "other")
    assert main(argv) == 2
    assert "(39 of 40 are missing)" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_any_model_of_open_clip(folder: Path, tmp_path: Path, tiny: tuple[str, Path]) -> None:
    """The same vectors as open_clip's own preprocessing and model, on a picture that it cuts."""
    import open_clip
    import torch

    wide = Image.fromarray(np.concatenate([PICTURES[4], PICTURES[5]], 1))
    wide.save(folder / "wide.png")
    name, file = tiny
    store = embed_folder(folder, tmp_path / "s", model=f"{name}:{file}")
    model, _, preprocess = open_clip.create_model_and_transforms(name, pretrained=str(file))
    with torch.no_grad():
        expected = model.eval().encode_image(
            torch.as_tensor(preprocess(wide))[None], normalize=True
        )
    assert store.dim == 24
    np.testing.assert_allclose(store.find(["wide.png"]), expected.numpy(), atol=2e-3)
    clip = load_model(f"{name}:{file}")
    assert store.space.model == clip.hash
    assert clip.encode_text(["a chef", "a king"]).shape == (2, 24)


def test_another_models_weights_are_another_space(tiny: tuple[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    name, file = tiny
    other = load_file(file)
    other["logit_scale"] += 1
    save_file(other, tmp_path / "other.safetensors")
    assert load_model(f"{name}:{file}").hash == load_model(f"{name}:{file}").hash
    assert (
        load_model(f"{name}:{file}").hash != load_model(f"{name}:{tmp_path}/other.safetensors").hash
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("no-such-folder", "no CLIP model in no-such-folder"),
        ("ViT-Z-9:laion", "open_clip has no architecture 'ViT-Z-9'"),
        ("ViT-B-32:nonsense", "ViT-B-32 has no weights 'nonsense'; .*laion2b_s34b_b79k"),
        ("ViT-B-32:gone.safetensors", "there is no file gone.safetensors"),
        ("hf-hub:nobody/of-the-tests", r"can't be loaded \(HF_HUB_OFFLINE=0 allows"),
    ],
)
def test_a_model_that_is_not_there(folder: Path, tmp_path: Path, model: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        embed_folder(folder, tmp_path / "s", model=model)
    assert not (tmp_path / "s.partial").exists()


def test_folders_that_do_not_work(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        embed_folder(tmp_path / "empty", tmp_path / "s")
    with pytest.raises(UserError, match="there is no folder"):
        embed_folder(tmp_path / "nothing", tmp_path / "s")
    with pytest.raises(UserError, match="lies inside of"):
        embed_folder(folder, folder / "s")
    (tmp_path / "s").mkdir()
    with pytest.raises(UserError, match="exists; choose another --out"):
        embed_folder(folder, tmp_path / "s")
    with pytest.raises(UserError, match="--shard is at least 1"):
        embed_folder(folder, tmp_path / "t", shard=0)
