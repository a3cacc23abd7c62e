r"""Classifier-free guidance: what the model says of a class, further away from what it says of all.

    score = (1 − s) ∇ log p_t(x) + s ∇ log p_t(x | class) = ∇ log p_t(x | class) + (s − 1) ∇ log p_t(class | x)

Ho and Salimans (2022, arXiv 2207.12598) write w = s − 1, so that their w = 0 is off; here s = 1 is. For s ≠ 1 no
diffusion of any distribution has this score at every t: it is a heuristic, whose samples lie where the class is
certain. Discrete processes combine their log-ratios in the same way (Nisonoff et al., 2024, arXiv 2406.01572, eq. 4).
"""

import math
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model import ScoreModel
from difrun.process import GaussianProcess
from difrun_guidance.labels.by_label import ByLabel


def cfg(model: ScoreModel, *, scale: float = 2.0, low: float = 0.0, high: float = math.inf) -> ScoreModel:
    """The component `cfg`: s = `scale` where low ≤ noise ≤ high, else 1 (Kynkäänniemi et al., 2024, arXiv 2404.07724).

    The noise is σ/α; of a process that is not Gaussian, the time t. scale 1 gives `model` itself. One evaluation of
    twice as many rows where both parts count. Where nobody says which class, they are drawn in the proportion of the
    data. Raises DifrunError for a model that knows no classes, or was trained with the label of every example.
    """
    if not model.classes:
        raise DifrunError(
            "guidance 'cfg' needs a model that was trained on labels: labelled data, a model that takes them, such as "
            "mlp, and --train.label-dropout 0.1."
        )
    if not model.knows_any:
        raise DifrunError(
            "guidance 'cfg' needs what the model says without a class, and this one was always told it: train with "
            "--train.label-dropout 0.1. Of several guidances name cfg first."
        )
    if scale == 1:
        return model

    def strength(at: Any) -> Any:
        noise = noise_at(model.process, at)
        if not isinstance(noise, Tensor):
            return scale if low <= noise <= high else 1.0
        return torch.where((noise >= low) & (noise <= high), scale, 1.0).to(noise.dtype)

    def make(inner: ScoreModel, labels: Tensor) -> ScoreModel:
        return inner.process.extrapolate(inner, labels, strength)

    shares = model.shares or getattr(model, "proportions", ())
    return ByLabel(model, make, shares, model.classes, model.class_moments)


def noise_at(process: Any, at: Any) -> Any:
    """σ/α of a Gaussian process, infinite where nothing of the data is left; t of any other."""
    if not isinstance(process, GaussianProcess):
        return at.t
    return math.inf if not isinstance(at.alpha, Tensor) and at.alpha == 0 else at.sigma / at.alpha
