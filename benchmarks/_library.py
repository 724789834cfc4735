"""Our trained folders as diffusers draws them: its networks and samplers, one prompt a call.

Stable Diffusion's folder runs in the library's own pipeline. Its UnCLIPPipeline can't run ours
(three channels, no text in the decoder), so the plainest loop over the library's networks and
samplers stands in, with every setting of ours: that the pictures are equal is measured beside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.text import clean


def stable_diffusion(folder: Path) -> Any:
    """The library's StableDiffusionPipeline in float32, silent."""
    from diffusers import StableDiffusionPipeline

    made = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    return made


class Unclip:
    """Text encoder, diffusion prior of two candidates, decoder and upsampler of one folder."""

    def __init__(self, folder: Path):
        from diffusers import DDIMScheduler, PriorTransformer, UNet2DConditionModel, UNet2DModel
        from transformers import CLIPTextModelWithProjection, CLIPTokenizer

        from toolkit.pipelines.real.parts import model_class

        def network(kind: Any, name: str) -> Any:
            return kind.from_pretrained(folder / name).float().eval()

        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text = network(CLIPTextModelWithProjection, "text_encoder")
        self.prior = network(PriorTransformer, "prior")
        self.decoder = network(UNet2DConditionModel, "decoder")
        self.text_proj = network(model_class("UnCLIPTextProjModel"), "text_proj")
        self.upsampler = network(UNet2DModel, "super_res_first")
        self.schedules = {
            name: DDIMScheduler.from_pretrained(folder / f"{name}_scheduler")
            for name in ("prior", "decoder", "super_res")
        }

    def _timesteps(self, name: str, steps: int):
        self.schedules[name].set_timesteps(steps)
        return self.schedules[name], self.schedules[name].timesteps

    @torch.no_grad()
    def imagine(self, prompt: str, seed: int) -> torch.Tensor:
        """(1, d) the image embedding: of two candidates the one nearer the text."""
        from toolkit.priors.candidates import best_of, starts
        from toolkit.priors.diffusion import GUIDANCE, STEPS

        length = self.prior.config.num_embeddings
        said = self.tokenizer(
            ["", clean(prompt)], padding="max_length", max_length=length, truncation=True,
            return_tensors="pt",
        )  # fmt: skip
        out = self.text(input_ids=said.input_ids)
        text = torch.nn.functional.normalize(out.text_embeds, dim=-1)
        given, states, mask = (
            t.repeat_interleave(2, 0)
            for t in (text, out.last_hidden_state, said.attention_mask.bool())
        )
        x = starts([seed], 2, text.shape[1])
        schedule, times = self._timesteps("prior", STEPS)
        for time in times:
            both = self.prior(torch.cat([x, x]), time, given, states, mask)
            base, clear = both.predicted_image_embedding.chunk(2)
            x = schedule.step(base + GUIDANCE * (clear - base), time, x).prev_sample
        return best_of(self.prior.post_process_latents(x), text[1:], 2)[0]

    @torch.no_grad()
    def decode(self, given: torch.Tensor, seed: int, steps: int, guidance: float) -> np.ndarray:
        """(1, 64, 64, 3) uint8 from one embedding (1, d), both halves in every step."""
        from toolkit.pipelines.batch import generators, noise
        from toolkit.pipelines.unclip import GUIDED, UPSAMPLER_STEPS

        sources = generators([seed])
        tokens, added = self.text_proj(
            image_embeddings=given, prompt_embeds=torch.zeros(2, given.shape[1]),
            text_encoder_hidden_states=torch.zeros(2, 1, given.shape[1]),
            do_classifier_free_guidance=True,
        )  # fmt: skip
        schedule, times = self._timesteps("decoder", steps)
        x = noise((3, 32, 32), sources)
        for time in times:
            out = self.decoder(torch.cat([x, x]), time, tokens, class_labels=added).sample
            without, wanted = out.chunk(2)
            if int(time) in GUIDED:
                wanted = without + guidance * (wanted - without)
            x = schedule.step(wanted, time, x).prev_sample
        seen = torch.nn.functional.interpolate(
            x.clamp(-1, 1), scale_factor=2, mode="bicubic", align_corners=False
        )
        schedule, times = self._timesteps("super_res", UPSAMPLER_STEPS)
        x = noise((3, 64, 64), sources)
        for time in times:
            out = self.upsampler(torch.cat([x, seen], 1), time).sample
            x = schedule.step(out, time, x).prev_sample
        return as_bytes(((x.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy())

    def __call__(self, prompt: str, seed: int, steps: int, guidance: float) -> np.ndarray:
        """(1, 64, 64, 3) uint8 for a prompt and a seed."""
        return self.decode(self.imagine(prompt, seed), seed, steps, guidance)


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1] as uint8, rounded as the library rounds."""
    return (np.asarray(images) * 255).round().astype(np.uint8)
