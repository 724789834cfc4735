"""Vectors in, directions and evidence out. Knows arrays, not models or images."""

from probes.agreement import Agreement, Match, agreement, chance_cosine, match
from probes.association import Association, association_test
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
from probes.disentanglement import DCI, dci, mig, r_squared, sap
from probes.effect import SteeringEffect, exact_interval, steering_effect
from probes.erasure import LeaceEraser, LeaceNormals
from probes.evidence import Dose, Evidence, Leak
from probes.geometry import anisotropy, intrinsic_dimension, modality_gap, subspace_angles
from probes.hygiene import ProbeReport, probe_report
from probes.ica import ICADirections
from probes.ideal_words import IdealWords
from probes.linear import LinearDirections
from probes.manifold import Manifold
from probes.means import MeanDifference
from probes.moments import Moments
from probes.naming import Decomposition, Lexicon, Naming, decompose, lexicon, name
from probes.nulls import Nulls, measure_nulls, random_directions, shuffled_directions
from probes.paired import Estimate, JudgeError, holm
from probes.pca import PCADirections
from probes.prove import prove, purify
from probes.sae import SparseAutoencoder
from probes.text_difference import TextDifference

__all__ = [
    "DCI", "Agreement", "Association", "CAVDirections", "ContrastivePairs", "DamagedDirection",
    "Decomposition", "Direction", "Dose", "Estimate", "Evidence", "ICADirections", "IdealWords",
    "JudgeError", "LeaceEraser", "LeaceNormals", "Leak", "Lexicon", "LinearDirections", "Manifold",
    "Match", "MeanDifference", "Moments", "Naming", "Nulls", "PCADirections", "ProbeReport",
    "Sensitivity", "Space", "SparseAutoencoder", "SteeringEffect", "TextDifference", "WrongSpace",
    "agreement", "anisotropy", "association_test", "chance_cosine", "dci", "decompose",
    "exact_interval", "holm", "intrinsic_dimension", "lexicon", "match", "measure_nulls", "mig",
    "modality_gap", "name", "orthogonalise", "probe_report", "prove", "purify", "r_squared",
    "random_direction", "random_directions", "sap", "shuffled_directions", "steering_effect",
    "subspace_angles",
]  # fmt: skip
