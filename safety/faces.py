"""Faces of real pictures: found, aligned and embedded by YuNet and SFace through OpenCV.

YuNet (Wu et al. 2023) finds faces of about 10 to 300 pixels with five landmarks, SFace (Zhong et
al. 2021) embeds an aligned face of 112 pixels in 128 numbers. Their weights are OpenCV's model
zoo's, given by path: none are shipped, and *nothing here was ever run on them*. The tests run
OpenCV's own detector and recogniser on stand-in networks with those inputs and outputs, so what is
shown is the way of a face through the program, not how many faces are recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from safety.findings import Finding
from safety.likeness import recognised
from safety.registry import Registry

SIDES = (320, 1280)  # a picture's longer side when looked at: for large faces, and for small ones
SURE = 0.7  # a detector's score from which something is a face
THRESHOLD = 0.363  # cosine from which two faces are one person's, in OpenCV's own tutorial
OVERLAP = 0.3  # of two boxes, over their union, from which they are of one face
SIZE = 128
CALIBRATION = {
    "threshold": "OpenCV's for comparing two faces; false alarms were not measured, and they add "
    "up with every person in the registry"
}


class BadFaces(ValueError):
    """A model of faces that can't be used."""


def installed() -> bool:
    """Whether OpenCV is there."""
    return find_spec("cv2") is not None


def models_id(detector: str | Path, recogniser: str | Path) -> str:
    """The name of two files' space, by their SHA-256. Raises BadFaces for one that is missing."""
    digest = hashlib.sha256()
    for path in (detector, recogniser):
        try:
            digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
        except OSError as error:
            raise BadFaces(f"the model {path} can't be read ({error.strerror})") from None
    return f"faces:{digest.hexdigest()}"


class Faces:
    """Embeds every face of a picture: `faces(image)` is (faces, 128), each of unit length.

    `detector` and `recogniser` are a cv2.FaceDetectorYN and a cv2.FaceRecognizerSF, or anything
    with their methods; `id` names the space of the embeddings.
    """

    def __init__(self, detector: Any, recogniser: Any, id: str):
        self.detector, self.recogniser, self.id = detector, recogniser, id

    @classmethod
    def load(cls, detector: str | Path, recogniser: str | Path) -> Faces:
        """From two ONNX files. Raises BadFaces naming the one that is missing or another model."""
        if not installed():
            raise BadFaces("faces need OpenCV: pip install 'pellucid[faces]'")
        import cv2

        name = models_id(detector, recogniser)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        wrong, what = str(detector), "detector (YuNet)"
        try:
            finder = cv2.FaceDetectorYN.create(wrong, "", (64, 64), SURE)
            finder.detect(np.full((64, 64, 3), 128, np.uint8))
            wrong, what = str(recogniser), "recogniser (SFace)"
            reader = cv2.FaceRecognizerSF.create(wrong, "")
            made = cls(finder, reader, name)
            made.embed(np.full((112, 112, 3), 128, np.uint8))
        except (cv2.error, BadFaces, MemoryError) as error:
            said = " ".join(str(error).split())[-160:]
            raise BadFaces(f"{wrong} can't be used as a face {what}: {said}") from None
        return made

    def embed(self, crop: np.ndarray) -> np.ndarray:
        """(128,) of an aligned face (112, 112, 3), blue first. Raises BadFaces for no numbers."""
        vector = np.asarray(self.recogniser.feature(crop), np.float64).ravel()
        length = float(np.linalg.norm(vector))
        if vector.size != SIZE or not np.isfinite(length) or length == 0:
            raise BadFaces(
                f"it gives {vector.size} numbers for a face, expected {SIZE} usable ones"
            )
        return vector / length

    def __call__(self, image: np.ndarray) -> np.ndarray:
        image = np.ascontiguousarray(image[..., ::-1])  # OpenCV has blue first
        rows = self.found(image)
        if not len(rows):
            return np.zeros((0, SIZE))
        return np.stack([self.embed(self.recogniser.alignCrop(image, row)) for row in rows])

    def found(self, image: np.ndarray) -> np.ndarray:
        """(faces, 15) of a picture, blue first: box, five landmarks, score; each face once."""
        import cv2

        rows: list[np.ndarray] = [np.zeros((0, 15), np.float32)]
        seen: set[tuple[int, ...]] = set()
        for side in SIDES:
            scale = min(1.0, side / max(image.shape[:2]))
            size = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
            if size in seen:
                continue
            seen.add(size)
            small = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            self.detector.setInputSize(size)
            faces = self.detector.detect(small)[1]
            if faces is not None:
                faces = np.array(faces, np.float32)
                faces[:, :14] /= scale
                rows.append(faces)
        found = np.concatenate(rows)
        if not len(found):
            return found
        boxes = [[float(x) for x in row[:4]] for row in found]
        kept = cv2.dnn.NMSBoxes(boxes, found[:, 14].tolist(), 0.0, OVERLAP)
        return found[np.ravel(kept)]


@dataclass(frozen=True)
class FaceScores:
    """Pictures to (n, people) cosines: of all faces in a picture the nearest; -1 without a face."""

    registry: Registry
    faces: Any  # Faces, or any callable of one picture

    def __call__(self, images: np.ndarray) -> np.ndarray:
        people = [np.asarray(p.templates, np.float64).mean(0) for p in self.registry.people]
        known = np.array([face / np.linalg.norm(face) for face in people]).reshape(-1, SIZE)
        rows = np.full((len(images), len(known)), -1.0)
        for row, image in zip(rows, images, strict=True):
            faces = self.faces(image)
            if len(faces):
                row[:] = (faces @ known.T).max(0)
        return rows


@dataclass(frozen=True)
class FaceLikeness:
    """Flags pictures by cosines with everyone's face, worked out before by `FaceScores`.

    They are the columns of a guard's vectors from `first` on.
    """

    registry: Registry
    threshold: float = THRESHOLD
    first: int = 1
    calibration: dict[str, Any] = field(default_factory=lambda: dict(CALIBRATION))
    today: date | None = None
    purpose: str | None = None
    name: str = "face_likeness"
    stages: tuple[str, ...] = ("reference", "image")

    def __call__(
        self, stage: str, texts: Sequence[str] | None, vectors: np.ndarray
    ) -> list[list[Finding]]:
        if not self.registry.people:
            reason = "nobody in the registry was added by faces"
            return [[Finding(self.name, stage, -1.0, 0.0, "pass", reason)] for _ in vectors]
        margins = np.asarray(vectors, float)[:, self.first :] - self.threshold
        if margins.shape[1] != len(self.registry.people):
            raise ValueError(f"{margins.shape[1]} scores for {len(self.registry.people)} people")
        return [[recognised(self, stage, row)] for row in margins]
