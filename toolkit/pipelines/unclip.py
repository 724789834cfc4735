"""DALL-E 2: text embedding, prior, image embedding, decoder, upsampler (Ramesh et al. 2022)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from probes import Space
from toolkit.clip import Clip, TextEncoding, file_hash
from toolkit.errors import UserError
from toolkit.pipelines.batch import (
    Batch,
    Edit,
    Guide,
    Trace,
    check_request,
    generators,
    noise,
)
from toolkit.pipelines.onednn import hasten, share_halves
from toolkit.priors import load_prior
from toolkit.training.data import to_pictures
from toolkit.training.decoder import project
from toolkit.training.upsampler import enlarge

DECODER_STEPS, DECODER_GUIDANCE, UPSAMPLER_STEPS = 14, 2.0, 3
GUIDED = range(200, 551)  # of 1000 noise levels
SPREAD = 0.4  # of pictures' values in [-1, 1], about


def fixed_point(
    residual: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, rounds: int, depth: int = 4
) -> torch.Tensor:
    """The x (n, ...) where residual(x) is zero, each row for itself.

    Anderson's acceleration (Walker & Ni 2011, section 2) over the last `depth` changes.
    """
    places: list[torch.Tensor] = []
    errors: list[torch.Tensor] = []
    for _ in range(rounds):
        error = residual(x)
        places, errors = [*places[-depth:], x.flatten(1)], [*errors[-depth:], error.flatten(1)]
        x = x + error
        if len(places) > 1:
            went = torch.stack([b - a for a, b in pairwise(places)], 2).double()
            fell = torch.stack([b - a for a, b in pairwise(errors)], 2).double()
            square = fell.mT @ fell
            spread = square.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-30)
            square = square + 1e-10 * spread[:, None, None] * torch.eye(square.shape[1])
            share = torch.linalg.solve(square, fell.mT @ errors[-1].double()[:, :, None])
            x = x - ((went + fell) @ share)[:, :, 0].view_as(x).to(x)
    return x


class UnClip:
    """The whole pipeline, one image a seed. Edits enter at the image embedding.

    `prior` is one of toolkit.priors.PRIORS. Raises UserError for an unknown one.
    """

    name, site = "unclip", "image_embedding"

    def __init__(self, folder: Path, clip: Clip, prior: str = "diffusion"):
        from diffusers import DDIMScheduler, UNet2DConditionModel, UNet2DModel
        from diffusers.pipelines.deprecated.unclip.text_proj import UnCLIPTextProjModel

        self.prior_name, self.prior = prior, load_prior(prior, folder, clip)
        try:
            self.decoder = UNet2DConditionModel.from_pretrained(folder / "decoder").float().eval()
            self.text_proj = (
                UnCLIPTextProjModel.from_pretrained(folder / "text_proj").float().eval()
            )
            self.upsampler = UNet2DModel.from_pretrained(folder / "super_res_first").float().eval()
            self.decoder_schedule = DDIMScheduler.from_pretrained(folder / "decoder_scheduler")
            # Clipping, and a last step that wipes out all noise, forget where a picture came from.
            self.reversible_schedule = DDIMScheduler.from_config(
                self.decoder_schedule.config, clip_sample=False, set_alpha_to_one=False
            )
            self.upsampler_schedule = DDIMScheduler.from_pretrained(folder / "super_res_scheduler")
        except Exception as error:
            raise UserError(
                f"the weights in {folder} can't be read ({error}); restore them"
            ) from error
        for network in (self.decoder, self.upsampler):  # convolutions run faster so on a CPU
            network.to(memory_format=torch.channels_last)
        for network in (self.decoder, self.upsampler, self.text_proj, clip.model):
            hasten(network)
        share_halves(self.decoder)
        self.folder, self.clip = folder, clip
        self.hash = file_hash(folder / "decoder" / "diffusion_pytorch_model.safetensors")
        self.space = Space(clip.hash, self.site)

    def with_prior(self, name: str) -> UnClip:
        """The same pipeline with another prior; networks are shared, not copied."""
        if name == self.prior_name:
            return self
        other = copy.copy(self)
        other.prior_name, other.prior = name, load_prior(name, self.folder, self.clip)
        return other

    def _edited(self, embeddings: torch.Tensor, edits: Sequence[Edit]) -> torch.Tensor:
        for edit in edits:
            edit.direction.require(self.space)
            moved = edit.direction.move(embeddings.numpy(), edit.strength)
            embeddings = torch.from_numpy(np.asarray(moved, np.float32))
        return embeddings

    @torch.no_grad()
    def imagine(self, text: TextEncoding, seeds: Sequence[int], trace: Trace | None = None):
        """The prior alone: (n, d) CLIP image embeddings for the texts."""
        return self.prior.sample(text, seeds, trace)

    @torch.no_grad()
    def decode(
        self,
        embeddings: np.ndarray | torch.Tensor,
        seeds: Sequence[int],
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = DECODER_STEPS,
        guidance: float = DECODER_GUIDANCE,
        upsampler_steps: int = UPSAMPLER_STEPS,
        eta: float = 0.0,
        reversible: bool = False,
        guide: Guide | None = None,
    ) -> np.ndarray:
        """(n, d) image embeddings to (n, 64, 64, 3) uint8 pictures; `start` (n, 3, 32, 32).

        `guide` changes the upsampler's last picture, by one of 32 pixels that is added to it.
        `eta` is DDIM's share of fresh noise at each step (Song et al. 2021, equation 16).
        `reversible` draws with steps that `invert` can undo.
        """
        sources = generators(seeds)
        small = noise((3, 32, 32), sources) if start is None else start.float()
        predict = self._predictor(embeddings, guidance)
        schedule = self.reversible_schedule if reversible else self.decoder_schedule
        small = self._small(schedule, predict, small, steps, trace, eta, sources)
        large = self._large(small, noise((3, 64, 64), sources), upsampler_steps)
        if guide is not None:
            # The upsampler would wash out what is changed before it. A guide's steps suit latents
            # of unit variance.
            large = large + SPREAD * enlarge(
                guide(lambda more: large + SPREAD * enlarge(more), torch.zeros_like(small))
            )
        return to_pictures(large)

    @torch.no_grad()
    def invert(
        self,
        small: torch.Tensor,
        embeddings: np.ndarray | torch.Tensor,
        *,
        steps: int = 50,
        guidance: float = 1.0,
        rounds: int = 8,
    ) -> torch.Tensor:
        """The noise x_T (n, 3, 32, 32) from which DDIM draws `small` (n, 3, 32, 32) in [-1, 1].

        With the embedding it is the bipartite latent of Ramesh et al. 2022, section 3. Each step
        is undone exactly, as the fixed point of DDIM's own step (as in Pan et al. 2023, AIDI), by
        `rounds` of Anderson's acceleration: a plain background pulls neighbouring noises so close
        together that simple repetition stops far from it. `decode(..., reversible=True)` with the
        same steps and guidance draws the picture again.
        """
        predict, schedule, x = (
            self._predictor(embeddings, guidance),
            self.reversible_schedule,
            small,
        )
        schedule.set_timesteps(steps)
        for time in reversed(schedule.timesteps):
            x = fixed_point(
                lambda y, after=x, time=time: after - schedule.step(predict(y, time), time, y)[0],
                x, rounds,
            )  # fmt: skip
        return x

    def _predictor(self, embeddings, guidance: float):
        """Classifier-free guided prediction for these embeddings (Ho & Salimans 2022).

        Only at middling noise: in the noisiest steps guidance narrows what is drawn, in the last
        ones it does nothing (Kynkaanniemi et al. 2024, limited interval).
        """
        given = torch.as_tensor(np.asarray(embeddings), dtype=torch.float32)
        nothing = self.text_proj.learned_classifier_free_guidance_embeddings.expand_as(given)
        tokens, added = project(self.text_proj, torch.cat([nothing, given]))

        def predict(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            if guidance == 1 or int(time) not in GUIDED:
                half = len(x)
                return self.decoder(x, time, tokens[half:], class_labels=added[half:]).sample
            both = self.decoder(torch.cat([x, x]), time, tokens, class_labels=added).sample
            without, wanted = both.chunk(2)
            return without + guidance * (wanted - without)

        return predict

    def _small(
        self, schedule, predict, x, steps: int, trace: Trace | None, eta: float, sources
    ) -> torch.Tensor:
        schedule.set_timesteps(steps)
        kept, foreseen = [], []
        for time in schedule.timesteps:
            fresh = noise((3, 32, 32), sources) if eta else None
            step = schedule.step(predict(x, time), time, x, eta=eta, variance_noise=fresh)
            x = step.prev_sample
            if trace is not None:
                kept.append(x.numpy().copy())
                foreseen.append(to_pictures(step.pred_original_sample))
        if trace is not None:
            trace.timesteps = [int(t) for t in schedule.timesteps]
            trace.latents, trace.predicted = np.stack(kept), np.stack(foreseen)
        return x.clamp(-1, 1)

    def _large(self, small: torch.Tensor, x: torch.Tensor, steps: int) -> torch.Tensor:
        seen = enlarge(small)
        self.upsampler_schedule.set_timesteps(steps)
        for time in self.upsampler_schedule.timesteps:
            out = self.upsampler(torch.cat([x, seen], 1), time).sample
            x = self.upsampler_schedule.step(out, time, x).prev_sample
        return x

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        edits: Sequence[Edit] = (),
        start: torch.Tensor | None = None,
        trace: Trace | None = None,
        *,
        steps: int = DECODER_STEPS,
        guidance: float = DECODER_GUIDANCE,
        guide: Guide | None = None,
    ) -> Batch:
        """Draw one picture a prompt: prior, edits on the image embedding, decoder, upsampler.

        `start` (n, 3, 32, 32) replaces the decoder's noise; `guide` as in `decode`. Raises
        UserError for a bad request and probes.WrongSpace for a direction of another model or site.
        """
        check_request(prompts, seeds)
        text = self.clip.encode(list(prompts))
        embeddings = self._edited(self.imagine(text, seeds, trace), edits)
        images = self.decode(
            embeddings, seeds, start, trace, steps=steps, guidance=guidance, guide=guide
        )
        return Batch(
            images,
            tuple(prompts),
            tuple(int(s) for s in seeds),
            self.name,
            text.embedding.numpy(),
            embeddings.numpy(),
        )
