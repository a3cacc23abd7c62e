"""Data: examples, their moments, and what is known of their distribution."""

from difrun.data.casts import CastCache, cast_like, wide
from difrun.data.condition import Condition
from difrun.data.conditional_mixture import ConditionalMixture
from difrun.data.dataset import Dataset
from difrun.data.from_python import as_dataset
from difrun.data.mixture import GaussianMixture
from difrun.data.origin import Origin
from difrun.data.scaling import Scaling
from difrun.data.scene import Drawing, Scene, pictured

__all__ = [
    "CastCache",
    "Condition",
    "ConditionalMixture",
    "Dataset",
    "Drawing",
    "GaussianMixture",
    "Origin",
    "Scaling",
    "Scene",
    "as_dataset",
    "cast_like",
    "pictured",
    "wide",
]
