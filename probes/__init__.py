"""Vectors in, directions and evidence out. Knows arrays, not models or images."""

from probes.direction import (
    DamagedDirection,
    Direction,
    Space,
    WrongSpace,
    orthogonalise,
    random_direction,
)
from probes.effect import SteeringEffect, exact_interval, steering_effect
from probes.linear import LinearDirections
from probes.means import MeanDifference
from probes.pca import PCADirections

__all__ = [
    "DamagedDirection", "Direction", "LinearDirections", "MeanDifference", "PCADirections",
    "Space", "SteeringEffect", "WrongSpace", "exact_interval", "orthogonalise",
    "random_direction", "steering_effect",
]  # fmt: skip
