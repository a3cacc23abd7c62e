"""Score models, which predict E[x_0 | x_t]."""

from difrun.model.base import ScoreModel
from difrun.model.conditional import ConditionalModel
from difrun.model.eval_mode import evaluating, in_eval_mode, networks_of
from difrun.model.exact import ExactEmpirical, ExactMixture
from difrun.model.labels import condition_on_class_shares, for_rows, proportional_labels
from difrun.model.mlp import MLP, LevelEmbedding
from difrun.model.network import NetworkModel
from difrun.model.predictions import (
    PARAMETERISATIONS,
    PREDICTIONS,
    coefficients,
    conversion,
    data_angle,
    total_std,
    total_var,
)
from difrun.model.trainable import TrainableModel
from difrun.model.wrappers import Centred, Counted, ModelWrapper, innermost

__all__ = [
    "MLP",
    "PARAMETERISATIONS",
    "PREDICTIONS",
    "Centred",
    "ConditionalModel",
    "Counted",
    "ExactEmpirical",
    "ExactMixture",
    "LevelEmbedding",
    "ModelWrapper",
    "NetworkModel",
    "ScoreModel",
    "TrainableModel",
    "coefficients",
    "condition_on_class_shares",
    "conversion",
    "data_angle",
    "evaluating",
    "for_rows",
    "in_eval_mode",
    "innermost",
    "networks_of",
    "proportional_labels",
    "total_std",
    "total_var",
]
