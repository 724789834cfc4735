"""The published configurations of real checkpoints, and what is known of their weights.

Configurations are those of the published config.json files, values that equal the library's
defaults left out. Counts were checked against the sizes of the published float32 files, 4 bytes a
number, where those are known: the U-Nets, the autoencoder, the priors, Karlo's and Kandinsky's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Published:
    """A part of a checkpoint: class, configuration, parameters, tensors, shapes of some."""

    name: str
    class_name: str
    config: dict[str, Any]
    parameters: int
    tensors: int | None = None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


CROSS_DOWN = ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
CROSS_UP = ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3
SD1 = {
    "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768, "down_block_types": CROSS_DOWN, "up_block_types": CROSS_UP,
    "layers_per_block": 2, "sample_size": 64,
}  # fmt: skip
SD2 = SD1 | {
    "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "sample_size": 96,
    "use_linear_projection": True, "upcast_attention": True,
}  # fmt: skip
XL = {
    "addition_embed_type": "text_time", "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": 256, "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280], "cross_attention_dim": 2048,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 2, "projection_class_embeddings_input_dim": 2816, "sample_size": 128,
    "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
}  # fmt: skip
SIMPLE = {
    "layers_per_block": 3, "sample_size": 64, "attention_head_dim": 64,
    "down_block_types": ["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * 3,
    "up_block_types": ["SimpleCrossAttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn", "resnet_time_scale_shift": "scale_shift",
}  # fmt: skip
KARLO = SIMPLE | {
    "in_channels": 3, "out_channels": 6, "block_out_channels": [320, 640, 960, 1280],
    "cross_attention_dim": 1536, "class_embed_type": "identity",
}  # fmt: skip
KANDINSKY = SIMPLE | {
    "in_channels": 4, "out_channels": 8, "block_out_channels": [384, 768, 1152, 1536],
    "cross_attention_dim": 768, "encoder_hid_dim": 1280, "encoder_hid_dim_type": "image_proj",
    "addition_embed_type": "image", "addition_embed_type_num_heads": 64,
}  # fmt: skip
SUPER_RES = {
    "sample_size": 256, "in_channels": 6, "out_channels": 3, "layers_per_block": 3,
    "block_out_channels": [320, 640, 960, 1280], "add_attention": False,
    "down_block_types": ["ResnetDownsampleBlock2D"] * 4,
    "up_block_types": ["ResnetUpsampleBlock2D"] * 4,
}  # fmt: skip
VAE = {
    "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4, "latent_channels": 4, "layers_per_block": 2,
}  # fmt: skip
MOVQ = {
    "block_out_channels": [128, 256, 256, 512], "latent_channels": 4, "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"],
    "up_block_types": ["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3,
    "norm_type": "spatial", "num_vq_embeddings": 16384, "vq_embed_dim": 4,
}  # fmt: skip
PRIOR = {
    "num_attention_heads": 32, "attention_head_dim": 64, "num_layers": 20, "embedding_dim": 768,
    "num_embeddings": 77, "additional_embeddings": 4,
}  # fmt: skip


def tower(hidden: int, inter: int, layers: int, heads: int, projected: int, act: str, **more):
    """A CLIP tower's configuration."""
    return {
        "hidden_size": hidden, "intermediate_size": inter, "num_hidden_layers": layers,
        "num_attention_heads": heads, "projection_dim": projected, "hidden_act": act, **more,
    }  # fmt: skip


L_TEXT = tower(768, 3072, 12, 12, 768, "quick_gelu")
IMAGE = {"image_size": 224, "patch_size": 14}
UNET, TEXT, PROJECTED = "UNet2DConditionModel", "CLIPTextModel", "CLIPTextModelWithProjection"
VISION = "CLIPVisionModelWithProjection"

PUBLISHED = (
    Published(
        "stable diffusion 1.5 unet", UNET, SD1, 859_520_964, 686,
        {
            "conv_in.weight": (320, 4, 3, 3), "time_embedding.linear_1.weight": (1280, 320),
            "down_blocks.0.attentions.0.proj_in.weight": (320, 320, 1, 1),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        },
    ),
    Published(
        "stable diffusion 2.1 unet", UNET, SD2, 865_910_724, 686,
        {
            "down_blocks.0.attentions.0.proj_in.weight": (320, 320),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
        },
    ),
    Published(
        "stable diffusion xl unet", UNET, XL, 2_567_463_684, 1680,
        {
            "add_embedding.linear_1.weight": (1280, 2816),
            "add_embedding.linear_2.weight": (1280, 1280),
        },
    ),
    Published(
        "stable unclip h unet", UNET,
        SD2 | {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048},
        870_173_124, 690, {"class_embedding.linear_1.weight": (1280, 2048)},
    ),
    Published(
        "stable unclip l unet", UNET,
        SD2 | {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 1536},
        869_517_764, 690, {"class_embedding.linear_1.weight": (1280, 1536)},
    ),
    Published(
        "karlo decoder", UNET, KARLO, 885_439_686, 716,
        {"conv_in.weight": (320, 3, 3, 3), "conv_out.weight": (6, 320, 3, 3)},
    ),
    Published(
        "kandinsky 2.2 unet", UNET, KANDINSKY, 1_253_057_288, 724,
        {
            "encoder_hid_proj.image_embeds.weight": (32 * 768, 1280),
            "encoder_hid_proj.norm.weight": (768,), "add_embedding.image_proj.weight": (1536, 1280),
            "add_embedding.image_norm.weight": (1536,), "conv_in.weight": (384, 4, 3, 3),
            "conv_out.weight": (8, 384, 3, 3),
        },
    ),
    Published("karlo super resolution", "UNet2DModel", SUPER_RES, 691_579_523, 408),
    Published(
        "karlo text projection", "UnCLIPTextProjModel",
        {
            "clip_embeddings_dim": 768, "clip_extra_context_tokens": 4,
            "cross_attention_dim": 1536, "time_embed_dim": 1280,
        },
        7_878_400, 11,
        {
            "learned_classifier_free_guidance_embeddings": (768,),
            "embedding_proj.weight": (1280, 768),
            "clip_extra_context_tokens_proj.weight": (6144, 768),
            "encoder_hidden_states_proj.weight": (1536, 768),
            "text_encoder_hidden_states_norm.weight": (1536,),
        },
    ),
    Published(
        "karlo prior", "PriorTransformer", PRIOR, 1_022_030_080, 338,
        {
            "positional_embedding": (1, 81, 2048), "prd_embedding": (1, 1, 2048),
            "proj_in.weight": (2048, 768), "clip_mean": (1, 768), "clip_std": (1, 768),
            "proj_to_clip_embeddings.weight": (768, 2048),
        },
    ),
    Published(
        "kandinsky 2.2 prior", "PriorTransformer", PRIOR | {"embedding_dim": 1280},
        1_026_225_920, 338, {"clip_mean": (1, 1280), "proj_in.weight": (2048, 1280)},
    ),
    Published("autoencoder of 1.x, 2.x and xl", "AutoencoderKL", VAE, 83_653_863, 248),
    Published(
        "kandinsky 2.2 movq", "VQModel", MOVQ, 67_832_495, 431,
        {"quantize.embedding.weight": (16384, 4)},
    ),
    Published(
        "stable unclip h normalizer", "StableUnCLIPImageNormalizer", {"embedding_dim": 1024}, 2048
    ),
    Published("vit-l text, 1.x and xl", TEXT, L_TEXT, 123_060_480, 196),
    Published(
        "vit-h text, 23 layers, 2.x", TEXT, tower(1024, 4096, 23, 16, 512, "gelu"), 340_387_840, 372
    ),
    Published("vit-l text, karlo", PROJECTED, L_TEXT, 123_650_304, 197),
    Published(
        "vit-bigg text, xl and kandinsky", PROJECTED, tower(1280, 5120, 32, 20, 1280, "gelu"),
        694_659_840, 517, {"text_projection.weight": (1280, 1280)},
    ),
    Published(
        "vit-l vision", VISION, tower(1024, 4096, 24, 16, 768, "quick_gelu", **IMAGE),
        303_966_208, 392,
    ),
    Published(
        "vit-h vision", VISION, tower(1280, 5120, 32, 16, 1024, "gelu", **IMAGE), 632_076_800, 520
    ),
    Published(
        "vit-bigg vision", VISION, tower(1664, 8192, 48, 16, 1280, "gelu", **IMAGE),
        1_844_907_264, 776,
    ),
)  # fmt: skip

# open_clip's architectures for probing: image tower, text tower, and the two with the scale.
OPEN_CLIP = {
    "ViT-B-32": (87_849_216, 63_428_096, 151_277_313),
    "ViT-L-14": (303_966_208, 123_650_304, 427_616_513),
    "ViT-H-14": (632_076_800, 354_032_640, 986_109_441),
    "ViT-bigG-14": (1_844_907_264, 694_659_840, 2_539_567_105),
}
