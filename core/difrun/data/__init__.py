"""Data: examples, their moments, and what is known of their distribution."""

from difrun.data.casts import CastCache, cast_like, wide
from difrun.data.dataset import Dataset, Origin
from difrun.data.mixture import GaussianMixture
from difrun.data.scaling import Scaling
from difrun.data.scene import Drawing, Scene, pictured

__all__ = [
    "CastCache",
    "Dataset",
    "Drawing",
    "GaussianMixture",
    "Origin",
    "Scaling",
    "Scene",
    "cast_like",
    "pictured",
    "wide",
]
