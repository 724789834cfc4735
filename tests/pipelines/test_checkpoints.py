"""Each kind of real checkpoint, small: loaded through our door, drawn, traced, edited.

The oracle is the library's own pipeline on the same folder with the same noise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks._parity import CASES, difference, library, tiny
from probes import Direction, Space, WrongSpace
from toolkit.errors import UserError
from toolkit.pipelines import Edit, Trace
from toolkit.pipelines.batch import generators
from toolkit.pipelines.checkpoints import load_checkpoint
from toolkit.pipelines.real.tiny import WIDTH, write_tiny

PROMPTS, SEEDS = ("a smiling chef", "two dogs on a green hill"), (11, 7)
HOW: dict[str, Any] = {"steps": 4, "guidance": 2.0}
I2I = "StableUnCLIPImg2ImgPipeline"
KINDS = {case: (kind, version) for case, kind, version in CASES if kind != I2I}
SITES = {
    "StableDiffusionPipeline": {"text_states": WIDTH},
    "StableDiffusionXLPipeline": {"text_states": 2 * WIDTH},
    "StableUnCLIPPipeline": {"image_embedding": WIDTH, "text_states": WIDTH},
    "UnCLIPPipeline": {"image_embedding": WIDTH},
    "KandinskyV22Pipeline": {"image_embedding": WIDTH},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(case: str) -> Path:
        if case not in made:
            kind, version = KINDS.get(case, (I2I, "1"))
            made[case] = tiny(tmp_path_factory.mktemp("tiny"), kind, 5, version)
        return made[case]

    return get


@pytest.fixture(scope="module")
def loaded(folder) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def get(case: str) -> Any:
        if case not in made:
            made[case] = load_checkpoint(str(folder(case)))
        return made[case]

    return get


def direction(space: Space, width: int, seed: int = 0) -> Direction:
    vector = np.random.default_rng(seed).standard_normal(width)
    unit = vector / np.linalg.norm(vector)
    return Direction(unit, np.zeros(width), 1.5, space, "warmth", "made up", {})


@pytest.mark.parametrize("case", KINDS)
def test_pictures_are_the_librarys_own_and_alone_as_in_a_batch(folder, loaded, case):
    model = loaded(case)
    ours = model.generate(PROMPTS, SEEDS, **HOW)
    assert difference(ours.images, library(folder(case), model.kind, PROMPTS, SEEDS, **HOW)) <= 1
    alone = model.generate(PROMPTS[1:], SEEDS[1:], **HOW)
    assert difference(ours.images[1:], alone.images) <= 1
    assert difference(ours.images[:1], ours.images[1:]) > 8
    assert (ours.seeds, ours.prompts) == (SEEDS, PROMPTS)


@pytest.mark.parametrize("case", KINDS)
def test_a_trace_holds_every_step_or_as_many_as_wanted(loaded, case):
    model = loaded(case)
    whole, few = Trace(), Trace(most=2)
    image = model.generate(PROMPTS, SEEDS, trace=whole, **HOW).images
    model.generate(PROMPTS, SEEDS, trace=few, **HOW)
    name = "decoder_scheduler" if model.kind == "UnCLIPPipeline" else "scheduler"
    times = getattr(model.parts, name).timesteps
    assert whole.timesteps == [int(time) for time in times]
    assert whole.latents is not None and whole.predicted is not None
    assert few.timesteps[-1] == whole.timesteps[-1] and len(few.timesteps) == 2
    where = [whole.timesteps.index(time) for time in few.timesteps]
    np.testing.assert_array_equal(few.latents, whole.latents[where])
    np.testing.assert_array_equal(few.predicted, whole.predicted[where])
    if model.kind != "UnCLIPPipeline":  # Karlo enlarges what its decoder leaves
        show = model.decode if hasattr(model, "states") else model._picture
        assert difference(show(torch.tensor(whole.latents[-1])), image) <= 1
    assert (whole.prior is not None) == ("image_embedding" in model.spaces)


@pytest.mark.parametrize("case", KINDS)
def test_image_embeddings_move_by_the_edit_exactly(loaded, case):
    model = loaded(case)
    if "image_embedding" not in model.spaces:
        assert model.generate(PROMPTS, SEEDS, **HOW).image_embeddings is None
        return
    way = direction(model.spaces["image_embedding"], WIDTH)
    still, moved = (
        model.generate(PROMPTS, SEEDS, edits, **HOW) for edits in ((), (Edit(way, 4.0),))
    )
    step = moved.image_embeddings - still.image_embeddings
    np.testing.assert_allclose(step, np.tile(4 * 1.5 * way.vector, (2, 1)), atol=1e-5)
    assert difference(still.images, moved.images) > 8
    there_and_back = (Edit(way, 4.0), Edit(way, -4.0))
    back = model.generate(PROMPTS, SEEDS, there_and_back, **HOW)
    assert difference(back.images, still.images) <= 1


@pytest.mark.parametrize("case", ["stable diffusion 1", "stable diffusion xl"])
def test_edited_text_states_draw_what_the_library_draws_of_them(folder, loaded, case):
    from diffusers import DiffusionPipeline

    model = loaded(case)
    width = SITES[model.kind]["text_states"]
    way = direction(model.space, width)
    ours = model.generate(PROMPTS, SEEDS, (Edit(way, 3.0),), **HOW).images
    pipe: Any = DiffusionPipeline.from_pretrained(folder(case), dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    texts = pipe.tokenizer(
        list(PROMPTS), padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    words = texts.attention_mask.bool()[..., None]  # (n, L, 1)
    with torch.no_grad():
        found = pipe.encode_prompt(list(PROMPTS), device="cpu", num_images_per_prompt=1,
                                   do_classifier_free_guidance=True)  # fmt: skip
    names = ["prompt_embeds", "negative_prompt_embeds"]
    names += ["pooled_prompt_embeds", "negative_pooled_prompt_embeds"] if model.xl else []
    given = dict(zip(names, found, strict=True))
    moved = given["prompt_embeds"] + words * torch.from_numpy(3.0 * 1.5 * way.vector)
    theirs = pipe(
        height=model.pixels, width=model.pixels, num_inference_steps=HOW["steps"],
        guidance_scale=HOW["guidance"], generator=generators(SEEDS), output_type="np",
        **given | {"prompt_embeds": moved.float()},
    ).images  # fmt: skip
    assert difference(ours, (theirs * 255).round().astype(np.uint8)) <= 1
    assert difference(ours, model.generate(PROMPTS, SEEDS, **HOW).images) > 8


def test_stable_unclip_takes_edits_at_both_sites(loaded):
    model = loaded("stable unclip")
    ways = [direction(model.spaces[site], WIDTH) for site in ("image_embedding", "text_states")]
    still = model.generate(PROMPTS, SEEDS, **HOW)
    words = model.generate(PROMPTS, SEEDS, (Edit(ways[1], 3.0),), **HOW)
    np.testing.assert_array_equal(words.image_embeddings, still.image_embeddings)
    assert difference(words.images, still.images) > 8
    both = model.generate(PROMPTS, SEEDS, [Edit(way, 3.0) for way in ways], **HOW)
    assert difference(both.images, words.images) > 8


@pytest.mark.parametrize("case", KINDS)
def test_edits_of_another_site_or_model_are_refused(loaded, case):
    model = loaded(case)
    assert model.spaces.keys() == SITES[model.kind].keys()
    site, width = next(iter(SITES[model.kind].items()))
    stranger = direction(Space("another model", site), width)
    with pytest.raises(WrongSpace):
        model.generate(PROMPTS, SEEDS, (Edit(stranger, 1.0),), **HOW)
    nowhere = direction(replace(model.spaces[site], site="elsewhere"), width)
    with pytest.raises(UserError, match=r"can be edited at .* is for elsewhere, which it lacks"):
        model.generate(PROMPTS, SEEDS, (Edit(nowhere, 1.0),), **HOW)
    narrow = direction(model.spaces[site], width - 1)
    with pytest.raises(UserError, match=f"{width - 1} dimensions and the model {width}"):
        model.generate(PROMPTS, SEEDS, (Edit(narrow, 1.0),), **HOW)


def test_image_to_image_decodes_embeddings_of_pictures_and_refuses_words_alone(folder, loaded):
    model = loaded(I2I)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 3), np.uint8)
    given = model.encode_image(pictures)
    theirs = library(folder(I2I), I2I, PROMPTS, SEEDS, given, **HOW)
    assert difference(model.decode(given, PROMPTS, SEEDS, **HOW), theirs) <= 1
    varied = model.variations(pictures, PROMPTS, SEEDS, **HOW)
    assert difference(varied.images, theirs) <= 1
    np.testing.assert_array_equal(varied.image_embeddings, given)
    with pytest.raises(UserError, match="without a prior, so that words alone give no picture"):
        model.generate(PROMPTS, SEEDS, **HOW)


def test_published_layouts_of_files_load_the_same_numbers(folder, tmp_path):
    """Old names in text towers, half precision in variant files, shards."""
    plain: Any = load_checkpoint(str(folder("stable diffusion 1")))
    copy = Path(shutil.copytree(folder("stable diffusion 1"), tmp_path / "copy"))
    file = copy / "text_encoder" / "model.safetensors"
    old = {f"text_model.{n}": value for n, value in load_file(file).items()}
    old["text_model.embeddings.position_ids"] = torch.arange(16)[None]
    save_file(old, file, {"format": "pt"})
    plain.parts.vae.save_pretrained(copy / "vae", max_shard_size="50KB")
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    half = load_file(copy / "unet" / "diffusion_pytorch_model.safetensors")
    half = {name: value.half() for name, value in half.items()}
    save_file(half, copy / "unet" / "diffusion_pytorch_model.fp16.safetensors", {"format": "pt"})
    (copy / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    made: Any = load_checkpoint(str(copy))
    assert len(list((copy / "vae").glob("*.safetensors"))) > 1
    for part, near in (("text_encoder", 0), ("vae", 0), ("unet", 1e-3)):
        theirs = getattr(made.parts, part).state_dict()
        for name, value in getattr(plain.parts, part).state_dict().items():
            assert theirs[name].dtype == torch.float32
            torch.testing.assert_close(theirs[name], value, atol=near, rtol=near)


def _index(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    change(index)
    (folder / "model_index.json").write_text(json.dumps(index))


def _drop_a_tensor(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["conv_in.weight"]
    save_file(tensors, file, {"format": "pt"})


def _cut(folder: Path) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-64])


def _pickle(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()


def _wider(folder: Path) -> None:
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cross_attention_dim": 48}))


BAD = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "has no model_index.json"),
    "broken index": (lambda f: (f / "model_index.json").write_text("{"), "can't be read"),
    "a list": (lambda f: (f / "model_index.json").write_text("[]"), "can't be read"),
    "unknown class": (
        lambda f: _index(f, lambda i: i.update(_class_name="FluxPipeline")),
        "is of kind 'FluxPipeline'; those that work here: StableDiffusionPipeline",
    ),
    "unknown sampler": (
        lambda f: _index(f, lambda i: i.update(scheduler=["diffusers", "os.system"])),
        "no scheduler of the installed diffusers",
    ),
    "no tokenizer": (
        lambda f: (f / "tokenizer" / "tokenizer.json").unlink(),
        "has no tokenizer/",
    ),
    "no weights": (
        lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(),
        "has no unet/diffusion_pytorch_model.safetensors",
    ),
    "a pickle": (_pickle, "only as a pickle"),
    "cut short": (_cut, r"vae can't be loaded"),
    "a tensor lacks": (_drop_a_tensor, "lack conv_in.weight"),
    "another width": (_wider, "unet can't be loaded"),
    "no part": (lambda f: shutil.rmtree(f / "vae"), "has no vae/config.json and 1 more"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_folder_that_cant_be_trusted_ends_in_one_sentence(folder, tmp_path, bad):
    spoil, said = BAD[bad]
    copy = Path(shutil.copytree(folder("stable diffusion 1"), tmp_path / "copy"))
    spoil(copy)
    with pytest.raises(UserError, match=said) as caught:
        load_checkpoint(str(copy))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "no such/folder/here", ""])
def test_a_name_that_is_neither_folder_nor_id(name):
    with pytest.raises(UserError, match="no hub id; --model takes a folder"):
        load_checkpoint(name)


def test_kandinskys_halves_are_found_from_either_and_not_mixed_up(folder, tmp_path):
    decoder = folder("kandinsky 2.2")
    prior = decoder.parent / "k-prior"
    one, other = (load_checkpoint(str(half)) for half in (decoder, prior))
    assert one.hash == other.hash
    shutil.copytree(prior, tmp_path / "x-prior")
    with pytest.raises(UserError, match="x-decoder"):
        load_checkpoint(str(tmp_path / "x-prior"))
    shutil.copytree(prior, tmp_path / "x-decoder")
    with pytest.raises(UserError, match=r"KandinskyV22PriorPipeline where .* was expected"):
        load_checkpoint(str(tmp_path / "x-prior"))
    write_tiny(tmp_path / "half", "KandinskyV22Pipeline")
    with pytest.raises(UserError, match="rename the two folders so"):
        load_checkpoint(str(tmp_path / "half"))
