"""The Stable Diffusion safety checker (CompVis 2022), by diffusers' class, from a folder by path.

CLIP sees a picture; the cosines with 17 hidden concepts and 3 of special care are held to a
threshold each. A special one that fires lowers the bars of all after it. It looks for sexual
content alone: neither violence nor likeness (Rando et al. 2022, arXiv 2210.04610). No weights are
shipped, and *nothing here was ever run on the published ones*: the tests run diffusers' own class
on small stand-ins. Its picture is not blackened: the finding says which concept fired, and by how
much.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from safety.findings import Finding, finding

SPECIAL, CONCEPTS = 3, 17
COLUMNS = SPECIAL + CONCEPTS
# The operating point. What diffusers' code calls the adjustment was 0.05 in August 2022 and is 0
# now; after a special concept it is 0.01. Scores are rounded to three digits and fire above 0.
ADJUSTMENT, CAREFUL, DIGITS, LEAST = 0.0, 0.01, 3, 0.001
PUBLISHED = 768  # width of the published checker's embeddings, those of CLIP ViT-L/14
# What Rando et al.'s search recovered of them, as public copies of their code list it, in order
# (huggingface.co/spaces/next-social/image-label-3, img_nsfw.py); of three, something near alone.
NAMES = (
    "near: small girl", "young child", "young girl",
    "sexual", "nude", "sex", "18+", "naked", "nsfw", "porn", "dick", "vagina",
    "near: naked person", "explicit content", "uncensored", "fuck", "nipples", "near: nipples",
    "naked breasts", "areola",
)  # fmt: skip
TENSORS = (
    "concept_embeds", "special_care_embeds", "concept_embeds_weights",
    "special_care_embeds_weights",
)  # fmt: skip
CALIBRATION = {
    "threshold": "the checker's own; no rates of it were published",
    "adjustment": ADJUSTMENT,
    "adjustment after special care": CAREFUL,
}


class BadChecker(ValueError):
    """A folder that can't be used as a safety checker."""


def weights_in(folder: Path) -> Path | None:
    """The folder's weights, as safetensors: a pickle (.bin) can run code and is not read."""
    for name in ("model.safetensors", "model.fp16.safetensors"):
        if (folder / name).is_file():
            return folder / name
    return None


def labels(width: int) -> tuple[str, ...]:
    """What the columns are called: numbers, with recovered names where the width is published."""
    numbers = [f"special care {i + 1}" for i in range(SPECIAL)]
    numbers += [f"concept {i + 1}" for i in range(CONCEPTS)]
    if width != PUBLISHED:
        return tuple(numbers)
    return tuple(f'{n} ("{m}" in the published one)' for n, m in zip(numbers, NAMES, strict=True))


class Checker:
    """Pictures to cosines: `checker(images)` is (n, 20), 3 special ones first, then 17 concepts.

    `model` is a StableDiffusionSafetyChecker, `processor` a CLIPImageProcessor; `id` names the
    weights. Raises BadChecker for tables that were never filled (ones), or are no numbers.
    """

    def __init__(self, model: Any, processor: Any, id: str):
        self.model, self.processor, self.id = model.eval(), processor, id
        for name in TENSORS:
            table = getattr(model, name)
            if not bool(table.isfinite().all()):
                raise BadChecker(f"its {name} are not all numbers")
            if bool((table == 1).all()):
                raise BadChecker(f"its {name} are all ones: it was made, but never loaded")
            if table.ndim == 2 and not bool((table.norm(dim=1) > 0).all()):
                raise BadChecker(f"its {name} have a row of zeros")
        bars = model.special_care_embeds_weights, model.concept_embeds_weights
        self.thresholds = np.concatenate([bar.detach().float().numpy() for bar in bars])
        if (self.thresholds[SPECIAL:] >= 1).all():
            raise BadChecker("no cosine can pass its thresholds")
        self.labels = labels(model.concept_embeds.shape[1])
        self.facts = CALIBRATION | {"weights": id}

    @classmethod
    def load(cls, folder: str | Path) -> Checker:
        """From a folder with config.json and model.safetensors; nothing is fetched.

        Pictures are prepared by preprocessor_config.json in it, or in feature_extractor beside it,
        else as CLIP's are. Raises BadChecker in one sentence.
        """
        folder = Path(folder).resolve()  # feature_extractor lies beside what a link leads to
        weights = weights_in(folder)
        if weights is None:
            raise BadChecker(
                f"{folder} has no model.safetensors, so it is no safety checker that can be read, "
                "and nothing is drawn; restore it (a .bin is a pickle, which can run code: save it "
                "anew by save_pretrained)"
            )
        try:
            with weights.open("rb") as file:
                name = f"checker:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            made = cls(_model(folder, weights), _processor(folder), name)
            if not np.isfinite(made(np.full((1, 64, 64, 3), 128, np.uint8))).all():
                raise BadChecker("it gives a picture no numbers")
        except Exception as error:  # whatever the loaders raise, the user gets the folder
            said = " ".join(str(error).split())[:240] or type(error).__name__
            raise BadChecker(
                f"the safety checker in {folder} can't be used ({said}), so nothing is drawn; "
                "restore its files"
            ) from error
        return made

    def __call__(self, images: np.ndarray) -> np.ndarray:
        rows = [self._cosines(image) for image in images]
        return np.stack(rows) if rows else np.zeros((0, COLUMNS), np.float32)

    def _cosines(self, image: np.ndarray) -> np.ndarray:
        """(20,) of one picture: alone, so that no other picture of its batch can change it."""
        import torch
        from PIL import Image
        from torch.nn.functional import normalize

        pixels = self.processor(images=[Image.fromarray(image)], return_tensors="pt").pixel_values
        with torch.no_grad():
            seen = self.model.visual_projection(self.model.vision_model(pixels)[1])
            if not bool(seen.norm() > 0):  # its cosines would be 0, under every threshold
                raise BadChecker("it gives a picture no embedding")
            tables = self.model.special_care_embeds, self.model.concept_embeds
            found = [torch.mm(normalize(seen), normalize(table).t()) for table in tables]
        return torch.cat(found, 1)[0].float().numpy()


def _model(folder: Path, weights: Path) -> Any:
    """The network in float32, whole: the library would fill missing tensors with noise."""
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    variant = "fp16" if ".fp16." in weights.name else None
    loaded: Any = StableDiffusionSafetyChecker.from_pretrained(
        folder, use_safetensors=True, local_files_only=True, variant=variant, dtype=torch.float32,
        output_loading_info=True,
    )  # fmt: skip
    model, info = loaded
    if lacks := sorted(map(str, info["missing_keys"])):
        raise BadChecker(f"its weights lack {lacks[0]} and {len(lacks) - 1} more")
    return model.float()


def _processor(folder: Path) -> Any:
    """How it prepares pictures: bicubic, centre cut, CLIP's mean and spread."""
    from transformers import CLIPConfig, CLIPImageProcessor

    for place in (folder, folder.parent / "feature_extractor"):
        if (place / "preprocessor_config.json").is_file():
            return CLIPImageProcessor.from_pretrained(place, local_files_only=True)
    config: Any = CLIPConfig.from_pretrained(folder, local_files_only=True)
    side = config.vision_config.image_size
    return CLIPImageProcessor(size={"shortest_edge": side}, crop_size=side)


def margins(cosines: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (n, 20) and adjustments (n,) by diffusers' rule, in its single precision.

    A score is the cosine less its threshold plus the adjustment, rounded to three digits; a
    concept fires above 0.
    """
    x = np.asarray(cosines, np.float32) - np.asarray(thresholds, np.float32)
    scores = np.empty_like(x)
    added = np.full(len(x), ADJUSTMENT, np.float32)
    for column in range(SPECIAL):
        scores[:, column] = np.round(x[:, column] + added, DIGITS)
        added[scores[:, column] > 0] = CAREFUL
    scores[:, SPECIAL:] = np.round(x[:, SPECIAL:] + added[:, None], DIGITS)
    return scores, added


@dataclass(frozen=True)
class DiffusionChecker:
    """Flags pictures by cosines (n, 20) that a `Checker` worked out before.

    They are the columns of a guard's vectors from `first` on. One finding a concept; its score is
    the cosine above the concept's threshold, so that a policy's own threshold of 0.02 is laxer by
    that much, and one of -0.049 stricter by the 0.05 that the adjustment of August 2022 was.
    """

    thresholds: np.ndarray
    labels: tuple[str, ...]
    first: int = 1
    calibration: dict[str, Any] = field(default_factory=lambda: dict(CALIBRATION))
    name: str = "stable_diffusion_checker"
    stages: tuple[str, ...] = ("reference", "image")

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        cosines = np.asarray(vectors, float)[:, self.first : self.first + COLUMNS]
        if cosines.shape[1] != COLUMNS:
            raise ValueError(f"{cosines.shape[1]} cosines where {COLUMNS} were expected")
        scores, added = margins(cosines, self.thresholds)
        return [self._row(stage, *one) for one in zip(cosines, scores, added.tolist(), strict=True)]

    def _row(
        self, stage: str, cosines: np.ndarray, scores: np.ndarray, added: float
    ) -> list[Finding]:
        careful = [self.labels[i] for i in range(SPECIAL) if scores[i] > 0]
        lower = f", lowered by {added:.2f}: {' and '.join(careful)} fired too" if careful else ""
        row = []
        for i in range(SPECIAL, COLUMNS):
            score = round(float(scores[i]), DIGITS)
            reason = (
                f"the {stage} {'fires' if score >= LEAST else 'does not fire'} the Stable Diffusion"
                f" checker's {self.labels[i]} (cosine {cosines[i]:.4f}, threshold "
                f"{self.thresholds[i]:.4f}{lower})"
            )
            concept = f"concept {i + 1 - SPECIAL}"
            row.append(finding(self.name, stage, score, LEAST, reason, self.calibration, concept))
        return row
