"""Score models: whatever can say E[x_0 | x_t]."""

from difrun.model.base import ScoreModel, std_of
from difrun.model.exact import ExactEmpirical, ExactMixture
from difrun.model.labels import check_labels, for_rows, spread, typical
from difrun.model.mlp import MLP, LevelEmbedding
from difrun.model.network import NetworkModel
from difrun.model.predictions import KINDS, PARAMETERISATIONS, conversion, is_zero, mix, row
from difrun.model.wrappers import Centred, Counted

__all__ = [
    "KINDS",
    "MLP",
    "PARAMETERISATIONS",
    "Centred",
    "Counted",
    "ExactEmpirical",
    "ExactMixture",
    "LevelEmbedding",
    "NetworkModel",
    "ScoreModel",
    "check_labels",
    "conversion",
    "for_rows",
    "is_zero",
    "mix",
    "row",
    "spread",
    "std_of",
    "typical",
]
