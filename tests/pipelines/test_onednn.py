"""Faster layers give the numbers of the library's own, and step aside where they must."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import PriorTransformer, UNet2DConditionModel
from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from toolkit.clip import TextEncoding
from toolkit.pipelines import onednn
from toolkit.priors.shorten import shortened


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_agrees_with_double_precision(bias: bool) -> None:
    plain = nn.Linear(300, 70, bias=bias)
    quick = copy.deepcopy(plain)
    onednn.hasten(quick)
    assert type(quick) is onednn.Linear
    x = torch.randn(5, 9, 600)[..., ::2]
    with torch.no_grad():
        exact = plain.double()(x.double())
        assert (quick(x) - exact).abs().max() < 1e-5


def test_gradients_flow_as_ever() -> None:
    layer = nn.Linear(4, 3)
    onednn.hasten(layer)
    layer(torch.ones(2, 4)).sum().backward()
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, torch.full((3, 4), 2.0))


@torch.no_grad()
def test_operations_are_counted_as_ever() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    totals = []
    for hasten in (lambda layer: None, onednn.hasten):
        network = nn.Sequential(nn.Linear(6, 24), GEGLU(24, 10))
        hasten(network)
        with FlopCounterMode(display=False, custom_mapping=onednn.FLOPS) as counter:
            network(torch.randn(3, 5, 6))
        totals.append(counter.get_total_flops())
    assert totals == [2 * 15 * (6 * 24 + 24 * 20)] * 2


@pytest.mark.parametrize("bias", [True, False])
def test_a_gated_gelu_agrees(bias: bool) -> None:
    plain = GEGLU(24, 40, bias=bias)
    quick = copy.deepcopy(plain)
    onednn.hasten(quick)
    x = torch.randn(3, 5, 24)
    with torch.no_grad():
        assert (quick(x) - plain(x)).abs().max() < 1e-5


@pytest.mark.parametrize("time", ["default", "scale_shift"])
@pytest.mark.parametrize("resize", [{}, {"up": True}, {"down": True}])
@torch.no_grad()
def test_a_residual_block_agrees_and_leaves_what_it_was_given(time: str, resize: dict) -> None:
    plain = ResnetBlock2D(
        in_channels=8, out_channels=12, temb_channels=6, groups=4, time_embedding_norm=time,
        output_scale_factor=2.0, **resize,
    ).eval()  # fmt: skip
    quick = copy.deepcopy(plain)
    onednn.hasten(quick)
    x, t = torch.randn(3, 8, 6, 6), torch.randn(3, 6)
    given = x.clone(), t.clone()
    assert (quick(x, t) - plain(x, t)).abs().max() < 1e-5
    assert torch.equal(x, given[0]) and torch.equal(t, given[1])


def _unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=12,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=8,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("doubled", [True, False])
@torch.no_grad()
def test_halves_that_are_the_same_are_worked_out_once(doubled: bool) -> None:
    plain, quick = _unet(), _unet()
    onednn.hasten(quick)
    onednn.share_halves(quick)
    x, words = torch.randn(2, 4, 8, 8), torch.randn(4, 5, 12)
    both = torch.cat([x, x]) if doubled else torch.randn(4, 4, 8, 8)
    seen = []
    quick.get_submodule("down_blocks.0.resnets.0").register_forward_hook(
        lambda m, a, out: seen.append(len(out))
    )
    apart = quick(both, 3, words).sample - plain(both, 3, words).sample
    assert apart.abs().max() < 1e-5
    assert seen == [2 if doubled else 4]
    assert list(quick.state_dict()) == list(plain.state_dict())


@torch.no_grad()
def test_a_prior_without_padding_says_the_same() -> None:
    torch.manual_seed(0)
    model = PriorTransformer(
        num_attention_heads=2, attention_head_dim=8, num_layers=2, embedding_dim=12,
        num_embeddings=10, additional_embeddings=4,
    ).eval()  # fmt: skip
    model.positional_embedding.normal_()
    assert model.prd_embedding is not None
    model.prd_embedding.normal_()
    mask = torch.arange(10) < torch.tensor([[4], [7]])
    text = TextEncoding(("a", "b"), mask.long(), mask, torch.randn(2, 10, 12), torch.randn(2, 12))
    x = torch.randn(2, 12)
    long = model(x, 5, text.embedding, text.states, text.mask).predicted_image_embedding
    short, states, cut = shortened(model, text)
    assert states.shape == (2, 7, 12)
    found = short(x, 5, text.embedding, states, cut).predicted_image_embedding
    assert (found - long).abs().max() < 1e-5
    assert model.positional_embedding.shape[1] == 14
