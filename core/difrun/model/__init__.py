"""Score models, which predict E[x_0 | x_t]."""

from difrun.model.base import ScoreModel
from difrun.model.condition_embedding import ConditionEmbedding
from difrun.model.conditional import ConditionalModel
from difrun.model.eval_mode import evaluating, in_eval_mode, networks_of
from difrun.model.exact import ExactEmpirical, ExactMixture
from difrun.model.exact_conditional import ExactConditional
from difrun.model.labels import (
    as_condition,
    condition_as_data,
    for_rows,
    labels_as_in_data,
    proportional_labels,
    unknown_like,
)
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
    "ConditionEmbedding",
    "ConditionalModel",
    "Counted",
    "ExactConditional",
    "ExactEmpirical",
    "ExactMixture",
    "LevelEmbedding",
    "ModelWrapper",
    "NetworkModel",
    "ScoreModel",
    "TrainableModel",
    "as_condition",
    "coefficients",
    "condition_as_data",
    "conversion",
    "data_angle",
    "evaluating",
    "for_rows",
    "in_eval_mode",
    "innermost",
    "labels_as_in_data",
    "networks_of",
    "proportional_labels",
    "total_std",
    "total_var",
    "unknown_like",
]
