"""What every real checkpoint shares: words, guidance, the sampler's loop, edits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from probes import Space
from toolkit.errors import UserError
from toolkit.pipelines.batch import Edit, Trace
from toolkit.text import clean

Predict = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Tell = Callable[[int, int], None]
PREVIEW = 256  # pixels of a foreseen picture in a trace


@dataclass(frozen=True)
class Words:
    """Prompts as a text tower reads them.

    `mask` (n, L) bool: start, words and first end token; `attended` (n, L) bool: the tokenizer's
    own mask; `pooled` (n, d): projected where the tower projects; `states` (n, L, d) after the
    final norm; `penultimate` (n, L, d) before the last layer, without it.
    """

    mask: torch.Tensor
    attended: torch.Tensor
    pooled: torch.Tensor
    states: torch.Tensor
    penultimate: torch.Tensor


def read_words(tokenizer, encoder, prompts: Sequence[str]) -> Words:
    """The prompts through a transformers CLIP text tower."""
    texts = tokenizer(
        [clean(prompt) for prompt in prompts], padding="max_length", truncation=True,
        max_length=tokenizer.model_max_length, return_tensors="pt",
    )  # fmt: skip
    ids = texts.input_ids
    first = (ids == tokenizer.eos_token_id).int().argmax(1)
    out = encoder(ids.to(encoder.device), output_hidden_states=True)
    pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
    return Words(
        (torch.arange(ids.shape[1]) <= first[:, None]).to(ids.device),
        texts.attention_mask.bool(),
        pooled,
        out.last_hidden_state,
        out.hidden_states[-2],
    )


def over_words(states: torch.Tensor, words: Words) -> np.ndarray:
    """(n, d) mean of the states (n, L, d) over start, words and end; paddings left out."""
    weights = words.mask.to(states)[..., None]
    return ((states * weights).sum(1) / weights.sum(1)).cpu().numpy()


def sort_edits(
    name: str, spaces: Mapping[str, Space], edits: Sequence[Edit]
) -> dict[str, list[Edit]]:
    """Edits by the site where they enter, every site of the pipeline named.

    Raises UserError for a site that this architecture lacks, probes.WrongSpace for a direction of
    another model.
    """
    sorted_: dict[str, list[Edit]] = {site: [] for site in spaces}
    for edit in edits:
        site = edit.direction.space.site
        if site not in spaces:
            raise UserError(
                f"{name} can be edited at {' and '.join(spaces)}, and the direction "
                f"{edit.direction.name!r} is for {site}, which it lacks; find one at a site that "
                "it has"
            )
        edit.direction.require(spaces[site])
        sorted_[site].append(edit)
    return sorted_


def edit_states(states: torch.Tensor, words: Words, edits: Sequence[Edit]) -> torch.Tensor:
    """(n, L, d) states moved along directions at every word; paddings stay as they are."""
    for edit in edits:
        step = edit.strength * edit.direction.sigma * np.asarray(edit.direction.vector)
        _fits(edit, states.shape[-1])
        states = states + words.mask.to(states.device)[..., None] * torch.from_numpy(step).to(
            states
        )
    return states


def edit_embeddings(embeddings: torch.Tensor, edits: Sequence[Edit]) -> torch.Tensor:
    """(n, d) image embeddings moved along directions."""
    for edit in edits:
        _fits(edit, embeddings.shape[-1])
        moved = edit.direction.move(embeddings.cpu().numpy(), edit.strength)
        embeddings = torch.from_numpy(np.asarray(moved, np.float32)).to(embeddings.device)
    return embeddings


def _fits(edit: Edit, width: int) -> None:
    if len(edit.direction.vector) != width:
        raise UserError(
            f"the direction {edit.direction.name!r} has {len(edit.direction.vector)} dimensions "
            f"and the model {width}; find it in this model"
        )


def guided(predict: Predict, scale: float, channels: int | None = None) -> Predict:
    """Classifier-free guidance (Ho & Salimans 2022) over a prediction for [nothing, wanted].

    `predict` takes a doubled batch where scale > 1, else a single one. With `channels` the rest of
    a prediction is its variance, which is the wanted one's own.
    """

    def both(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        if scale <= 1:
            return predict(x, time)
        without, wanted = predict(torch.cat([x, x]), time).chunk(2)
        if channels is None:
            return without + scale * (wanted - without)
        mean = without[:, :channels] + scale * (wanted[:, :channels] - without[:, :channels])
        return torch.cat([mean, wanted[:, channels:]], 1)

    return both


def denoise(
    predict: Predict,
    schedule: Any,
    x: torch.Tensor,
    steps: int,
    sources: Sequence[torch.Generator],
    keep: Callable[[int, torch.Tensor, torch.Tensor], None] | None = None,
    tell: Tell | None = None,
) -> torch.Tensor:
    """Noise (n, ...) to a clean sample with any of diffusers' schedulers.

    Fresh noise comes from one generator a row. `keep(step, x, foreseen)` sees each step's sample
    and the clean sample foreseen there; `tell(step, of)` hears how far it is. Raises UserError for
    a number of steps the scheduler can't do.
    """
    fewest = 2 if type(schedule).__name__ == "UnCLIPScheduler" else 1
    if steps < fewest:
        raise UserError(f"{steps} steps were asked for; this sampler takes at least {fewest}")
    schedule.set_timesteps(steps, device=x.device)
    x, times = x * float(schedule.init_noise_sigma), schedule.timesteps
    takes = inspect.signature(schedule.step).parameters
    for index, time in enumerate(times):
        out = predict(schedule.scale_model_input(x, time), time)
        extra: dict[str, Any] = {"generator": list(sources)} if "generator" in takes else {}
        if "prev_timestep" in takes:
            extra["prev_timestep"] = times[index + 1] if index + 1 < len(times) else None
        step = schedule.step(out, time, x, **extra)
        if keep is not None:
            clean_ = getattr(step, "pred_original_sample", None)
            clean_ = _foreseen(schedule, out, time, x) if clean_ is None else clean_
            keep(index, step.prev_sample, clean_)
        x = step.prev_sample
        if tell is not None:
            tell(index + 1, len(times))
    return x


def _foreseen(schedule, out: torch.Tensor, time: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The clean sample that a prediction speaks of, for samplers that do not tell (PNDM)."""
    share = schedule.alphas_cumprod[int(time)].to(x)
    signal, spread = share.sqrt(), (1 - share).sqrt()
    kind = schedule.config.prediction_type
    if kind == "sample":
        return out
    return signal * x - spread * out if kind == "v_prediction" else (x - spread * out) / signal


def sampled(
    predict: Predict,
    schedule: Any,
    x: torch.Tensor,
    steps: int,
    sources: Sequence[torch.Generator],
    picture: Callable[[torch.Tensor], np.ndarray],
    trace: Trace | None,
    tell: Tell | None = None,
) -> torch.Tensor:
    """`denoise` of a decoder; what it does on the way goes into the trace, if there is one.

    `picture` makes (n, h, w, 3) uint8 of a sample. What is foreseen is kept at most `PREVIEW`
    pixels wide: fifty pictures of full size would be more than most runs hold in all.
    """
    latents: list[np.ndarray] = []
    foreseen: list[np.ndarray] = []

    def keep(step: int, sample: torch.Tensor, clean_: torch.Tensor) -> None:
        assert trace is not None
        if step not in chosen_steps(len(schedule.timesteps), trace.most):
            return
        trace.timesteps.append(int(schedule.timesteps[step]))
        latents.append(sample.float().cpu().numpy().copy())
        foreseen.append(smaller(picture(clean_)))

    x = denoise(predict, schedule, x, steps, sources, None if trace is None else keep, tell)
    if trace is not None:
        trace.latents, trace.predicted = np.stack(latents), np.stack(foreseen)
    return x


def chosen_steps(count: int, most: int | None) -> set[int]:
    """At most `most` of `count` step numbers, spread evenly, the last among them; all for None."""
    if most is None or most >= count:
        return set(range(count))
    return {round((index + 1) * count / most) - 1 for index in range(most)}


def smaller(pictures: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) uint8, each block of pixels averaged until no side is over `PREVIEW`."""
    block = -(-max(pictures.shape[1:3]) // PREVIEW)
    if block == 1:
        return pictures
    n, h, w = pictures.shape[0], pictures.shape[1] // block, pictures.shape[2] // block
    cut = pictures[:, : h * block, : w * block].reshape(n, h, block, w, block, 3)
    return cut.mean((2, 4)).round().astype(np.uint8)
