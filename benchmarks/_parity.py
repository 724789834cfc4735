"""Library parity: our loops against diffusers' own, with the same weights and noise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks._library import Unclip, as_bytes
from benchmarks.rows import Row

PROMPTS = ("a smiling chef", "two dogs on a green hill", "an old doctor", "a red house")
TARGET = "at most 1 of 255"
STEPS, GUIDANCE = 6, 2.0
# Case, pipeline class, and which version of Stable Diffusion.
CASES = (
    ("stable diffusion 1", "StableDiffusionPipeline", "1"),
    ("stable diffusion 2", "StableDiffusionPipeline", "2"),
    ("stable diffusion xl", "StableDiffusionXLPipeline", "1"),
    ("stable unclip", "StableUnCLIPPipeline", "1"),
    ("stable unclip, image to image", "StableUnCLIPImg2ImgPipeline", "1"),
    ("karlo", "UnCLIPPipeline", "1"),
    ("kandinsky 2.2", "KandinskyV22Pipeline", "1"),
)


class Sized(Protocol):
    """What the other parts are told: how many items."""

    @property
    def prompts(self) -> int: ...


def tiny(folder: Path, kind: str, seed: int, version: str = "1") -> Path:
    """The folder of a small random checkpoint; of Kandinsky, its decoder's, the prior beside it."""
    from toolkit.pipelines.real.tiny import write_tiny

    if kind == "KandinskyV22Pipeline":
        write_tiny(folder / "k-prior", "KandinskyV22PriorPipeline", seed + 1)
        return write_tiny(folder / "k-decoder", kind, seed)
    return write_tiny(folder / f"{kind}-{version}", kind, seed, version)


def library(
    folder: Path,
    kind: str,
    prompts: Sequence[str],
    seeds: Sequence[int],
    embeddings: np.ndarray | None = None,
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> np.ndarray:
    """(n, h, w, 3) uint8 as the library's own pipeline draws them from a folder.

    `embeddings` are the image embeddings of image-to-image Stable unCLIP.
    """
    import torch
    from diffusers import DiffusionPipeline

    from toolkit.pipelines.batch import generators

    sources, texts = generators(seeds), list(prompts)
    common: dict[str, Any] = {"guidance_scale": guidance, "output_type": "np"}
    if kind == "UnCLIPPipeline":
        pipe: Any = _karlo(folder)
        _quiet(pipe)
        out = pipe(
            texts, generator=sources, decoder_num_inference_steps=steps, output_type="np",
            decoder_guidance_scale=guidance,
        )  # fmt: skip
        return as_bytes(out.images)
    pipe = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    _quiet(pipe)
    if kind == "KandinskyV22Pipeline":
        prior: Any = DiffusionPipeline.from_pretrained(
            folder.parent / "k-prior", dtype=torch.float32
        )
        _quiet(prior)
        given = prior(texts, generator=sources, guidance_scale=4.0)
        side = pipe.unet.config.sample_size * pipe.movq_scale_factor
        out = pipe(
            given.image_embeds, given.negative_image_embeds, height=side, width=side,
            num_inference_steps=steps, generator=sources, **common,
        )  # fmt: skip
        return as_bytes(out.images)
    if kind == "StableUnCLIPImg2ImgPipeline":
        common["image_embeds"] = torch.from_numpy(embeddings)
    side = pipe.unet.config.sample_size * pipe.vae_scale_factor
    out = pipe(
        prompt=texts, height=side, width=side, num_inference_steps=steps, generator=sources,
        **common,
    )  # fmt: skip
    return as_bytes(out.images)


def _karlo(folder: Path):
    """diffusers no longer loads Karlo's folder whole; its pipeline still takes the parts."""
    import diffusers
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    from toolkit.pipelines.real.parts import model_class

    models = {"prior": "PriorTransformer", "decoder": "UNet2DConditionModel"}
    models |= {"super_res_first": "UNet2DModel", "super_res_last": "UNet2DModel"}
    models |= {"text_proj": "UnCLIPTextProjModel"}
    parts = {n: model_class(c).from_pretrained(folder / n) for n, c in models.items()}
    for name in ("prior_scheduler", "decoder_scheduler", "super_res_scheduler"):
        parts[name] = diffusers.UnCLIPScheduler.from_pretrained(folder / name)
    parts["text_encoder"] = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder")
    parts["tokenizer"] = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return diffusers.UnCLIPPipeline(**parts)


def _quiet(pipe: Any) -> None:
    pipe.set_progress_bar_config(disable=True)


def difference(ours: np.ndarray, theirs: np.ndarray) -> int:
    """The largest difference of any colour value, of 255."""
    return int(np.abs(ours.astype(int) - theirs.astype(int)).max())


def parity(seed: int, size: Sized) -> Iterator[tuple[list[Row], list[dict]]]:
    """`library_parity`: every kind of checkpoint, then the two shipped pipelines."""
    n = min(len(PROMPTS), max(2, size.prompts // 30))
    prompts, seeds = PROMPTS[:n], [seed + index for index in range(n)]
    for case, ours, theirs in (*_kinds(prompts, seeds), *_shipped(prompts, seeds)):
        apart = [difference(ours[i], theirs[i]) for i in range(n)]
        yield (
            [Row("library_parity", case, "pellucid", max(apart), TARGET, n)],
            [
                {
                    "figure": "library_parity", "case": case, "item": i, "prompt": prompts[i],
                    "seed": seeds[i], "largest": apart[i],
                    "clipped": float(np.isin(theirs[i], (0, 255)).mean()),
                }
                for i in range(n)
            ],
        )  # fmt: skip


def _kinds(prompts, seeds) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    from toolkit.pipelines.checkpoints import load_checkpoint

    settings = {"steps": STEPS, "guidance": GUIDANCE}
    for case, kind, version in CASES:
        with tempfile.TemporaryDirectory() as where:
            folder = tiny(Path(where), kind, seeds[0], version)
            model: Any = load_checkpoint(str(folder))
            given = None
            if kind == "StableUnCLIPImg2ImgPipeline":
                rng = np.random.default_rng(seeds[0])
                given = rng.normal(size=(len(prompts), 32)).astype(np.float32)
                ours = model.decode(given, prompts, seeds, **settings)
            else:
                ours = model.generate(prompts, seeds, **settings).images
            yield case, ours, library(folder, kind, prompts, seeds, given)


def _shipped(prompts, seeds) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Our trained pipelines: Stable Diffusion as the library draws it, and unCLIP's decoder."""
    import torch
    from diffusers import DiffusionPipeline

    from toolkit.pipelines import load_pipeline
    from toolkit.pipelines.batch import generators
    from toolkit.text import clean

    sd = load_pipeline("stable-diffusion")
    pipe: Any = DiffusionPipeline.from_pretrained(sd.folder, dtype=torch.float32)
    _quiet(pipe)
    out = pipe(
        prompt=[clean(prompt) for prompt in prompts], height=64, width=64, num_inference_steps=20,
        guidance_scale=3.0, guidance_rescale=0.5, generator=generators(seeds), output_type="np",
    )  # fmt: skip
    yield (
        "shipped stable diffusion",
        sd.generate(prompts, seeds, steps=20, guidance=3.0, rescale=0.5).images,
        as_bytes(out.images),
    )
    unclip = load_pipeline("unclip")
    given = unclip.imagine(unclip.clip.encode(list(prompts)), seeds)
    ours = unclip.decode(given, seeds, steps=20, guidance=2.0)
    plain = Unclip(unclip.folder)
    theirs = [plain.decode(given[i : i + 1], s, 20, 2.0) for i, s in enumerate(seeds)]
    yield "shipped unclip decoder", ours, np.concatenate(theirs)
