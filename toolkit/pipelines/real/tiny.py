"""Each known kind of checkpoint, small and with random weights, in the library's own layout.

For tests and benchmarks: the same files, names and code paths as the published ones, in seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from toolkit.pipelines.real.layout import INDEX, KINDS
from toolkit.pipelines.real.parts import model_class

WIDTH, LENGTH, SIDE, PIXELS = 32, 16, 8, 16
# What the library prepares pictures with; we do that ourselves, and its pipelines ask for it.
PROCESSORS = {
    "StableUnCLIPImg2ImgPipeline": "feature_extractor",
    "KandinskyV22PriorPipeline": "image_processor",
}
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_LATENT = _BETAS | {"steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False}


def write_tiny(
    folder: Path, kind: str, seed: int = 0, version: str = "1", side: int = SIDE
) -> Path:
    """Write a whole folder of the kind; its pictures are 2 `side` pixels high and wide.

    `version` "2" of Stable Diffusion predicts v, as 2.1 does.
    """
    torch.manual_seed(seed)
    index: dict[str, Any] = {"_class_name": kind, "_diffusers_version": "0.38.0"}
    for part, class_name in KINDS[kind].items():
        made = _make(kind, part, class_name, version, side)
        made.save_pretrained(folder / part)
        library = "transformers" if class_name.startswith("CLIP") else "diffusers"
        if class_name in ("UnCLIPTextProjModel", "StableUnCLIPImageNormalizer"):
            library = "unclip" if class_name.startswith("UnCLIP") else "stable_diffusion"
        index[part] = [library, type(made).__name__]
    if part := PROCESSORS.get(kind):
        processor = _processor()
        processor.save_pretrained(folder / part)
        index[part] = ["transformers", type(processor).__name__]
    if kind == "StableDiffusionPipeline":
        index |= {
            "safety_checker": [None, None], "feature_extractor": [None, None],
            "requires_safety_checker": False,
        }  # fmt: skip
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return folder


def _make(kind: str, part: str, class_name: str, version: str, side: int) -> Any:
    if class_name == "Scheduler":
        return _scheduler(kind, part, version)
    if class_name == "CLIPTokenizer":
        return _tokenizer()
    if class_name.startswith("CLIP"):
        return _tower(class_name, part)
    model = model_class(class_name)(**_config(kind, part, side))
    with torch.no_grad():
        for weight in model.parameters():  # what starts at zero or one would hide a mistake
            if not weight.any() or weight.unique().numel() == 1:
                weight.add_(0.05 * torch.randn_like(weight))
        if class_name == "PriorTransformer":
            model.clip_std.copy_(0.5 + torch.rand_like(model.clip_std))
    return model.eval()


def _tokenizer():
    """Single bytes and no merges: any text, one token a letter."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    names = [*letters, *(f"{letter}</w>" for letter in letters)]
    names += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={name: index for index, name in enumerate(names)}, merges=[],
        pad_token="<|endoftext|>", model_max_length=LENGTH,
    )  # fmt: skip


def _processor():
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": PIXELS}, crop_size=PIXELS)


def _tower(class_name: str, part: str):
    import transformers

    common = {
        "hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "projection_dim": WIDTH, "hidden_act": "gelu",
    }  # fmt: skip
    if "Vision" in class_name:
        config = transformers.CLIPVisionConfig(image_size=PIXELS, patch_size=8, **common)
    else:
        config = transformers.CLIPTextConfig(
            vocab_size=514, max_position_embeddings=LENGTH, bos_token_id=512, eos_token_id=513,
            pad_token_id=513, **common,
        )  # fmt: skip
    return getattr(transformers, class_name)(config).eval()


def _config(kind: str, part: str, side: int) -> dict[str, Any]:
    """The library's own arguments, at the smallest sizes that keep every branch."""
    if part == "prior":
        return {
            "num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2,
            "embedding_dim": WIDTH, "num_embeddings": LENGTH, "additional_embeddings": 4,
        }  # fmt: skip
    if part == "vae":
        return {
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "block_out_channels": (16, 32), "norm_num_groups": 8, "latent_channels": 4,
            "sample_size": 2 * side, "scaling_factor": 0.13025 if "XL" in kind else 0.18215,
        }  # fmt: skip
    if part == "movq":
        return {
            "down_block_types": ("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
            "up_block_types": ("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
            "block_out_channels": (32, 64), "norm_num_groups": 8, "norm_type": "spatial",
            "latent_channels": 4, "num_vq_embeddings": 16, "vq_embed_dim": 4,
        }  # fmt: skip
    if part == "text_proj":
        return {"clip_embeddings_dim": WIDTH, "time_embed_dim": 128, "cross_attention_dim": WIDTH}
    if part == "image_normalizer":
        return {"embedding_dim": WIDTH}
    if part.startswith("super_res"):
        return {
            "sample_size": 2 * side, "in_channels": 6, "out_channels": 3,
            "down_block_types": ("ResnetDownsampleBlock2D",) * 2,
            "up_block_types": ("ResnetUpsampleBlock2D",) * 2,
            "block_out_channels": (16, 32), "norm_num_groups": 8, "layers_per_block": 1,
            "add_attention": False,
        }  # fmt: skip
    common = {
        "sample_size": side, "block_out_channels": (32, 64), "layers_per_block": 1,
        "norm_num_groups": 8,
    }  # fmt: skip
    if kind in ("UnCLIPPipeline", "KandinskyV22Pipeline"):
        pixels = kind == "UnCLIPPipeline"
        common |= {
            "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            "mid_block_type": "UNetMidBlock2DSimpleCrossAttn", "cross_attention_dim": WIDTH,
            "attention_head_dim": 16, "resnet_time_scale_shift": "scale_shift",
            "in_channels": 3 if pixels else 4, "out_channels": 6 if pixels else 8,
        }  # fmt: skip
        if pixels:
            return common | {"class_embed_type": "identity"}
        return common | {
            "encoder_hid_dim": WIDTH, "encoder_hid_dim_type": "image_proj",
            "addition_embed_type": "image",
        }  # fmt: skip
    common |= {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 2 * WIDTH if "XL" in kind else WIDTH,
        "attention_head_dim": (2, 4), "in_channels": 4, "out_channels": 4,
    }  # fmt: skip
    if "XL" in kind:
        return common | {
            "addition_embed_type": "text_time", "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + WIDTH, "use_linear_projection": True,
            "transformer_layers_per_block": (1, 2),
        }  # fmt: skip
    if kind.startswith("StableUnCLIP"):
        return common | {
            "class_embed_type": "projection", "use_linear_projection": True,
            "projection_class_embeddings_input_dim": 2 * WIDTH,
        }  # fmt: skip
    return common


def _scheduler(kind: str, part: str, version: str):
    """The sampler that the published folder of this kind has."""
    import diffusers

    if kind in ("UnCLIPPipeline", "KandinskyV22PriorPipeline"):
        role = part if kind == "UnCLIPPipeline" else "prior_scheduler"
        settings: dict[str, Any] = {
            "prior_scheduler": {"prediction_type": "sample", "clip_sample_range": 5.0},
            "decoder_scheduler": {"variance_type": "learned_range"},
        }.get(role, {})
        return diffusers.UnCLIPScheduler(**settings)
    if kind == "KandinskyV22Pipeline":
        return diffusers.DDPMScheduler(beta_start=0.00085, beta_end=0.012)
    if part == "prior_scheduler":
        return diffusers.DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample_range=5.0
        )
    if part == "image_noising_scheduler":
        return diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    if "XL" in kind:
        return diffusers.EulerDiscreteScheduler(
            timestep_spacing="leading", steps_offset=1, **_BETAS
        )
    if kind == "StableDiffusionPipeline" and version == "2":
        return diffusers.DDIMScheduler(prediction_type="v_prediction", **_LATENT)
    latent = {name: value for name, value in _LATENT.items() if name != "clip_sample"}
    v = {"prediction_type": "v_prediction"} if kind.startswith("StableUnCLIP") else {}
    return diffusers.PNDMScheduler(skip_prk_steps=True, **latent, **v)
