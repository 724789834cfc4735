"""A named direction in one space, and the arithmetic of going along it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


class WrongSpace(ValueError):
    """A direction was put to use in a space that it was not found in."""


class DamagedDirection(ValueError):
    """A direction's file can't be read or does not match its checksum."""


def _files(path: str | Path) -> tuple[Path, Path]:
    """The arrays and their JSON twin, whichever of them, or neither's ending, was named."""
    stem = str(path).removesuffix(".safetensors").removesuffix(".json")
    return Path(f"{stem}.safetensors"), Path(f"{stem}.json")


@dataclass(frozen=True)
class Space:
    """Where vectors live: the model's hash, and the site inside it (say, "image_embedding")."""

    model: str
    site: str

    def __str__(self) -> str:
        return f"{self.site} of model {self.model[:12]}"


@dataclass(frozen=True)
class Direction:
    """A unit vector (d,), the mean (d,) of real vectors and their spread along it.

    `sigma` is the standard deviation of real vectors projected on the direction: the unit of
    every strength, so that "+2" means the same wherever it is used.
    """

    vector: np.ndarray
    mean: np.ndarray
    sigma: float
    space: Space
    name: str
    method: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vector = np.asarray(self.vector, np.float64)
        length = float(np.linalg.norm(vector))
        if vector.ndim != 1 or not np.isfinite(length) or length == 0:
            raise ValueError(f"the direction {self.name!r} needs a finite vector that is not zero")
        if np.shape(self.mean) != vector.shape:
            raise ValueError(
                f"the direction {self.name!r} has {vector.shape[0]} dimensions and its mean "
                f"{np.shape(self.mean)}; give both the same"
            )
        if not np.isfinite(self.mean).all():
            raise ValueError(f"the mean of the direction {self.name!r} has NaN or infinite numbers")
        if not 0 <= self.sigma < np.inf:
            raise ValueError(
                f"the direction {self.name!r} has sigma {self.sigma}; it must be 0 or more"
            )
        object.__setattr__(self, "vector", (vector / length).astype(np.float32))
        object.__setattr__(self, "mean", np.asarray(self.mean, np.float32))
        object.__setattr__(self, "sigma", float(self.sigma))

    def require(self, space: Space) -> None:
        """Raise WrongSpace, in one sentence, unless `space` is where this direction was found."""
        if space != self.space:
            raise WrongSpace(
                f"the direction {self.name!r} belongs to the {self.space}, not to the {space}; "
                "discover it again there"
            )

    def _fitting(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        d = len(self.vector)
        if not x.ndim or x.shape[-1] != d:
            raise ValueError(
                f"vectors of the shape {x.shape} don't fit the direction {self.name!r} of {d} "
                "dimensions; take both from one model"
            )
        whole = np.isfinite(x).all(-1).ravel()
        if not whole.all():
            raise ValueError(f"row {int(np.argmin(whole))} of the vectors holds NaN or infinity")
        return x

    def project(self, x: np.ndarray) -> np.ndarray:
        """(..., d) vectors to (...) positions along the direction, from the mean, in x's units."""
        return (self._fitting(x) - self.mean) @ self.vector

    def move(self, x: np.ndarray, strength: float) -> np.ndarray:
        """(..., d) vectors moved by `strength` sigmas: x + strength * sigma * vector.

        Raises ValueError, as `project` does, for vectors of another width or a row that is not
        finite, and for a strength that is none.
        """
        if not np.isfinite(strength):
            raise ValueError(f"a strength of {strength} moves nowhere; give a finite number")
        return self._fitting(x) + np.float32(strength * self.sigma) * self.vector

    def save(self, path: str | Path) -> Path:
        """Write `path` (.safetensors) and its JSON twin; both complete or neither new."""
        from safetensors.numpy import save as pack

        arrays, twin = _files(path)
        arrays.parent.mkdir(parents=True, exist_ok=True)
        data = pack({"vector": self.vector, "mean": self.mean})
        facts = {
            "format": "pellucid-direction/1",
            "name": self.name,
            "method": self.method,
            "sigma": self.sigma,
            "space": {"model": self.space.model, "site": self.space.site},
            "evidence": self.evidence,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        text = json.dumps(facts, indent=2, allow_nan=False).encode() + b"\n"
        for target, content in ((arrays, data), (twin, text)):
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            temporary.write_bytes(content)
            os.replace(temporary, target)
        return arrays

    @classmethod
    def load(cls, path: str | Path) -> Direction:
        """Read what `save` wrote. Raises DamagedDirection naming the file that is wrong."""
        from safetensors.numpy import load as unpack

        arrays, twin = _files(path)
        for file in (arrays, twin):
            if not file.is_file():
                raise DamagedDirection(f"there is no direction file {file}; name one that exists")
        try:
            facts = json.loads(twin.read_text())
            data = arrays.read_bytes()
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                raise DamagedDirection(
                    f"{arrays} does not match the checksum in {twin.name}; discover it again"
                )
            found = unpack(data)
            space = Space(facts["space"]["model"], facts["space"]["site"])
            return cls(
                found["vector"], found["mean"], facts["sigma"], space,
                facts["name"], facts["method"], facts["evidence"],
            )  # fmt: skip
        except DamagedDirection:
            raise
        except Exception as error:
            raise DamagedDirection(
                f"the direction in {twin} can't be read ({error}); discover it again"
            ) from error


def random_direction(like: Direction, seed: int) -> Direction:
    """A random direction whose one sigma goes as far as one sigma of `like`: the fair null."""
    rng = np.random.default_rng(seed)
    vector = rng.standard_normal(like.vector.shape[0])
    return Direction(
        vector, like.mean, like.sigma, like.space, f"random {seed}", f"random, norm of {like.name}"
    )


def orthogonalise(direction: Direction, others: list[Direction], x: np.ndarray) -> Direction:
    """The direction less its part along the others, by generalised least squares (Aitken 1935).

    Orthogonal where the real vectors `x` (n, d) are round, not as the space has its axes: along
    the result the others' linear readings (Fisher's discriminants: inverse covariance times
    direction) stand still. Give the vectors that the directions were found on. Plain Gram-Schmidt
    would also take away what two directions share because their labels went together, which is a
    part of each. Raises ValueError when nothing is left.
    """
    from sklearn.covariance import ledoit_wolf

    for other in others:
        other.require(direction.space)
    x = np.asarray(x, np.float64)
    columns = np.stack([direction.vector, *(o.vector for o in others)], 1).astype(np.float64)
    round_ = np.linalg.solve(np.linalg.cholesky(ledoit_wolf(x)[0]), columns)  # (d, 1 + k)
    share = np.linalg.lstsq(round_[:, 1:], round_[:, 0], rcond=1e-6)[0]
    left = np.linalg.norm(round_[:, 0] - round_[:, 1:] @ share)
    if left < 1e-4 * np.linalg.norm(round_[:, 0]):
        raise ValueError(f"the direction {direction.name!r} lies in the span of the others")
    rest = columns[:, 0] - columns[:, 1:] @ share
    unit = rest / np.linalg.norm(rest)
    evidence = direction.evidence | {"orthogonal_to": [o.name for o in others]}
    return Direction(
        unit, direction.mean, float(np.std(x @ unit)), direction.space,
        direction.name, f"{direction.method}, orthogonalised", evidence,
    )  # fmt: skip
