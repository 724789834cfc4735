"""The same networks, drawn faster on a CPU: products by oneDNN, and common halves once.

torch sends a float32 `linear` to MKL, which is two to three times slower than oneDNN on many
processors; convolutions go to oneDNN anyway. Nothing is rounded: a layer's numbers agree with
torch's own to float32's last digits. Where gradients flow, off the CPU and where torch was built
without oneDNN, layers do what they always did.
"""

from __future__ import annotations

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import DownBlock2D
from torch import nn
from torch.nn import functional


def _taken(x: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


class Linear(nn.Linear):
    """`nn.Linear` by oneDNN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _taken(x, self.weight):
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class Gated(GEGLU):
    """A gated GELU (Shazeer 2020) as two products, the gate's GELU and the product fused in."""

    def forward(self, hidden_states: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        weight, bias = self.proj.weight, self.proj.bias
        if bias is None or not _taken(hidden_states, weight):
            return super().forward(hidden_states, *args, **kwargs)
        half = len(weight) // 2
        product = torch.ops.mkldnn._linear_pointwise
        gate = product(hidden_states, weight[half:], bias[half:], "gelu", [], "none")
        return product.binary(hidden_states, gate, weight[:half], bias[:half], "mul")


def _doubled(x: torch.Tensor) -> bool:
    """Whether the second half of a batch repeats the first, as under guidance."""
    half = len(x) // 2
    return 2 * half == len(x) > 0 and torch.equal(x[:half], x[half:])


def _both(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, x])  # which keeps the order of its channels in memory


class OnceConv(nn.Conv2d):
    """The first convolution, once where both halves of a guided batch are the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() or not _doubled(x):
            return super().forward(x)
        return _both(super().forward(x[: len(x) // 2]))


class OnceDown(DownBlock2D):
    """A block that sees no words, once where both halves of a guided batch are the same."""

    def forward(self, hidden_states: torch.Tensor, temb: torch.Tensor | None = None, *args, **more):
        same = not torch.is_grad_enabled() and not args and not more
        if not same or not _doubled(hidden_states) or (temb is not None and not _doubled(temb)):
            return super().forward(hidden_states, temb, *args, **more)
        half = len(hidden_states) // 2
        out, kept = super().forward(hidden_states[:half], None if temb is None else temb[:half])
        return _both(out), tuple(_both(x) for x in kept)


class Residual(ResnetBlock2D):
    """A residual block (He et al. 2016) that changes its own arrays in place: less memory moved."""

    def _plain(self, x: torch.Tensor) -> bool:
        return (
            _taken(x, self.conv1.weight)
            and len(x) < 64  # past it the library works around a fault of torch's upsampling
            and not self.training
            and isinstance(self.nonlinearity, nn.SiLU)
            and self.time_embedding_norm in ("default", "scale_shift")
        )

    def forward(self, input_tensor: torch.Tensor, temb: torch.Tensor, *args, **kwargs):
        if args or kwargs or not self._plain(input_tensor):
            return super().forward(input_tensor, temb, *args, **kwargs)
        x, beside = functional.silu(self.norm1(input_tensor), inplace=True), input_tensor
        for resize in (self.upsample, self.downsample):
            if resize is not None:
                x, beside = resize(x), resize(beside)
        x = self.conv1(x)
        if self.time_emb_proj is not None:
            temb = temb if self.skip_time_act else self.nonlinearity(temb)
            temb = self.time_emb_proj(temb)[:, :, None, None]
        if temb is not None and self.time_embedding_norm == "default":
            x += temb
        x = self.norm2(x)
        if self.time_embedding_norm == "scale_shift":
            scale, shift = temb.chunk(2, dim=1)
            x = torch.addcmul(shift, x, 1 + scale)
        x = self.conv2(functional.silu(x, inplace=True))
        x += beside if self.conv_shortcut is None else self.conv_shortcut(beside)
        return x if self.output_scale_factor == 1 else x / self.output_scale_factor


def counted(x: torch.Size, *_, out_shape: torch.Size, **__) -> int:
    """Operations of a product for torch's FlopCounterMode, as it counts those of `addmm`."""
    return 2 * out_shape.numel() * x[-1]


FLOPS = {torch.ops.mkldnn._linear_pointwise: counted}
FASTER: dict[type, type] = {nn.Linear: Linear, GEGLU: Gated, ResnetBlock2D: Residual}


def hasten(network: nn.Module) -> None:
    """Let a network's layers take the faster ways above; its parameters and names stay."""
    for layer in network.modules():
        layer.__class__ = FASTER.get(type(layer), type(layer))


def share_halves(unet: nn.Module) -> None:
    """Let a U-Net's layers before its first words be worked out once for both guided halves."""
    for name, once in (("conv_in", OnceConv), ("down_blocks.0", OnceDown)):
        layer = unet.get_submodule(name)
        if type(layer) is once.__mro__[1]:
            layer.__class__ = once
