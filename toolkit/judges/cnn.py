"""The CNN judge: reads the factors of a picture, says *unclear* when it can't, is calibrated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from toolkit.errors import UserError
from toolkit.world.factors import FACTORS

if TYPE_CHECKING:
    from toolkit.judges.judgement import Judgement

FOLDER = Path(__file__).parent.parent / "weights" / "judge"


def _block(inside: int, outside: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
        nn.GroupNorm(8, outside),
        nn.SiLU(),
        nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
        nn.GroupNorm(8, outside),
        nn.SiLU(),
    )


class FactorNet(nn.Module):
    """(n, 3, 64, 64) in [-1, 1] to one row of logits a factor: its levels, then *unclear*."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 96, 160)):
        super().__init__()
        chain = (3, *widths)
        self.body = nn.Sequential(*[_block(a, b, 2) for a, b in zip(chain, widths, strict=False)])
        # Where a thing is tells what it is: keep the 4 x 4 places apart, do not average them.
        self.heads = nn.ModuleDict(
            {name: nn.Linear(widths[-1] * 16, len(levels) + 1) for name, levels in FACTORS.items()}
        )

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.body(x).flatten(1)  # (n, 4 * 4 * width)
        return {name: head(features) for name, head in self.heads.items()}


class CnnJudge:
    """Attribute judge that shares nothing with CLIP or the generators."""

    def __init__(self, net: FactorNet, temperature: dict[str, float], threshold: float):
        self.net, self.temperature, self.threshold = net.eval(), temperature, threshold

    @classmethod
    def load(cls, folder: Path = FOLDER) -> CnnJudge:
        """Read `judge.safetensors` and `judge.json`. Raises UserError when they can't be read."""
        from safetensors.torch import load_file

        try:
            facts = json.loads((folder / "judge.json").read_text())
            net = FactorNet(tuple(facts["widths"]))
            net.load_state_dict(
                {k: v.float() for k, v in load_file(folder / "judge.safetensors").items()}
            )
            return cls(net, facts["temperature"], facts["threshold"])
        except Exception as error:
            raise UserError(
                f"the judge in {folder} can't be read ({error}); restore its files"
            ) from error

    @torch.no_grad()
    def probabilities(self, images: np.ndarray, batch: int = 128) -> dict[str, np.ndarray]:
        """(n, levels + 1) calibrated probabilities a factor; the last column is *unclear*."""
        rows: dict[str, list[np.ndarray]] = {name: [] for name in FACTORS}
        for start in range(0, len(images), batch):
            part = np.ascontiguousarray(images[start : start + batch])
            x = torch.from_numpy(part).permute(0, 3, 1, 2).float() / 127.5 - 1
            if x.shape[-2:] != (64, 64):
                x = nn.functional.interpolate(x, (64, 64), mode="bicubic", antialias=True)
            for name, logits in self.net(x).items():
                rows[name].append((logits / self.temperature[name]).softmax(1).numpy())
        return {name: np.concatenate(parts) for name, parts in rows.items()}

    def judge(self, images: np.ndarray) -> Judgement:
        """Levels and confidences of uint8 (n, h, w, 3) pictures; *unclear* under the threshold."""
        from toolkit.judges.judgement import Judgement

        levels, confidence = {}, {}
        for name, chances in self.probabilities(images).items():
            names = np.array([*FACTORS[name], "unclear"])
            best = chances.argmax(1)
            confidence[name] = chances.max(1)
            levels[name] = np.where(confidence[name] < self.threshold, "unclear", names[best])
        return Judgement(levels, confidence)
