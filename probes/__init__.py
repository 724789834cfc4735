"""Vectors in, directions and evidence out. Knows arrays, not models or images."""

from probes.agreement import Agreement, Match, agreement, chance_cosine, match
from probes.cav import CAVDirections, Sensitivity
from probes.contrastive import ContrastivePairs
from probes.direction import (
    DamagedDirection,
    Direction,
    Space,
    WrongSpace,
    orthogonalise,
    random_direction,
)
from probes.effect import SteeringEffect, exact_interval, steering_effect
from probes.erasure import LeaceEraser, LeaceNormals
from probes.ica import ICADirections
from probes.ideal_words import IdealWords
from probes.linear import LinearDirections
from probes.means import MeanDifference
from probes.pca import PCADirections
from probes.text_difference import TextDifference

__all__ = [
    "Agreement", "CAVDirections", "ContrastivePairs", "DamagedDirection", "Direction",
    "ICADirections", "IdealWords", "LeaceEraser", "LeaceNormals", "LinearDirections", "Match",
    "MeanDifference", "PCADirections", "Sensitivity", "Space", "SteeringEffect", "TextDifference",
    "WrongSpace", "agreement", "chance_cosine", "exact_interval", "match", "orthogonalise",
    "random_direction", "steering_effect",
]  # fmt: skip
