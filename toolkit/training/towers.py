"""open_clip's towers in the transformers layout that diffusers pipelines load."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import torch

RENAMED = (
    ("attn.out_proj", "self_attn.out_proj"),
    ("mlp.c_fc", "mlp.fc1"),
    ("mlp.c_proj", "mlp.fc2"),
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
)


def _layers(state: dict[str, torch.Tensor], source: str, target: str) -> dict[str, torch.Tensor]:
    """The residual blocks, with the fused query-key-value product cut in three."""
    out: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if not key.startswith(source):
            continue
        index, rest = key.removeprefix(source).split(".", 1)
        prefix = f"{target}encoder.layers.{index}."
        if rest.startswith("attn.in_proj_"):
            kind = rest.removeprefix("attn.in_proj_")
            for name, part in zip("qkv", value.chunk(3), strict=True):
                out[f"{prefix}self_attn.{name}_proj.{kind}"] = part.contiguous()
            continue
        for old, new in RENAMED:
            rest = rest.replace(old, new)
        out[prefix + rest] = value
    return out


def _text_state(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return _layers(state, "transformer.resblocks.", prefix) | {
        f"{prefix}embeddings.token_embedding.weight": state["token_embedding.weight"],
        f"{prefix}embeddings.position_embedding.weight": state["positional_embedding"],
        f"{prefix}final_layer_norm.weight": state["ln_final.weight"],
        f"{prefix}final_layer_norm.bias": state["ln_final.bias"],
    }


def _load(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith("position_ids")]
    assert not missing and not unexpected, (missing, unexpected)
    return model.eval()


def _prefix(model: torch.nn.Module, name: str) -> str:
    """transformers 5 has flat CLIPTextModel keys and prefixed ones elsewhere: look, don't guess."""
    return name if any(key.startswith(name) for key in model.state_dict()) else ""


def text_config(config: dict, projection: bool):
    """The transformers configuration of an open_clip text tower."""
    from transformers import CLIPTextConfig

    text = config["text_cfg"]
    last = text["vocab_size"] - 1
    return CLIPTextConfig(
        vocab_size=text["vocab_size"],
        hidden_size=text["width"],
        intermediate_size=4 * text["width"],
        projection_dim=config["embed_dim"],
        num_hidden_layers=text["layers"],
        num_attention_heads=text["heads"],
        max_position_embeddings=text["context_length"],
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        bos_token_id=last - 1,
        eos_token_id=last,
        pad_token_id=last,
    )


def text_model(config: dict, state: dict[str, torch.Tensor], projection: bool = False):
    """CLIPTextModel, or with `projection` CLIPTextModelWithProjection, of the same weights."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    kind = CLIPTextModelWithProjection if projection else CLIPTextModel
    model = kind(text_config(config, projection))
    converted = _text_state(state, _prefix(model, "text_model."))
    if projection:
        converted["text_projection.weight"] = state["text_projection"].T.contiguous()
    return _load(model, converted)


def tokenizer(clip_folder: Path, context_length: int):
    """The CLIPTokenizer of the same merges, padded with the end token ("!" would break text)."""
    from open_clip.tokenizer import bytes_to_unicode
    from transformers import CLIPTokenizer

    lines = gzip.decompress((clip_folder / "bpe.txt.gz").read_bytes()).decode().split("\n")[1:]
    merges = [tuple(line.split()) for line in lines]
    symbols = list(bytes_to_unicode().values())
    words = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={word: index for index, word in enumerate(words)},
        merges=merges,
        pad_token="<|endoftext|>",
        model_max_length=context_length,
    )


def read_clip(clip_folder: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Model configuration and fp32 weights of a folder in open_clip's layout."""
    from safetensors.torch import load_file

    config = json.loads((clip_folder / "open_clip_config.json").read_text())["model_cfg"]
    state = load_file(clip_folder / "open_clip_model.safetensors")
    return config, {key: value.float() for key, value in state.items()}


def write_text_side(clip_folder: Path, folder: Path, projection: bool) -> None:
    """Write `text_encoder/` and `tokenizer/` of a pipeline folder (fp16)."""
    config, state = read_clip(clip_folder)
    text_model(config, state, projection).half().save_pretrained(folder / "text_encoder")
    tokenizer(clip_folder, config["text_cfg"]["context_length"]).save_pretrained(
        folder / "tokenizer"
    )
