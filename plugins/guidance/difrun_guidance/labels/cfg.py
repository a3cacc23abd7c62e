r"""Classifier-free guidance: extrapolate from the model of all classes through the model of one.

Conditions of numbers take the place of classes where the data have these.

    score = (1 − s) ∇ log p_t(x) + s ∇ log p_t(x | class) = ∇ log p_t(x | class) + (s − 1) ∇ log p_t(class | x)

Here s = 1 is off, and s = 0 is the model of all classes. Ho and Salimans write w = s − 1, so that their w = 0 is off.
x_T is drawn as s at T says: from the prior of all classes for s = 0, from that of the class for s ≥ 1, and between from
one whose mean and variance lie between theirs, in the proportion s. For s ≠ 1 no diffusion of any
distribution has this score at every t: it is a heuristic, whose samples lie where the class is certain. Discrete
processes combine their log-ratios in the same way. The predictions are combined by `difrun.guidance.Extrapolated`.

References:
    Ho and Salimans (2022), arXiv 2207.12598.
    Nisonoff et al. (2024), arXiv 2406.01572, eq. 4: discrete processes.
"""

import math
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model import ScoreModel
from difrun.process import GaussianProcess
from difrun_guidance.labels.any_class import AnyClass
from difrun_guidance.labels.by_label import ByLabel


def cfg(model: ScoreModel, *, scale: float = 2.0, low: float = 0.0, high: float = math.inf) -> ScoreModel:
    """Guide a conditional model by itself, without a classifier.

    The strength s is `scale` where low ≤ noise ≤ high, and 1 elsewhere. Where both parts count, the model is evaluated
    once on twice as many rows. Samples without a label get classes in the proportion of the data.

    Args:
        model: The model to guide.
        scale: The strength s. 1 returns `model` itself; 0 at all noise returns the model of all classes, for which
            labels have no effect.
        low: The lowest noise at which `scale` holds: σ/α, or the time t of a process that is not Gaussian.
        high: The highest such noise.

    Raises:
        DifrunError: If the model takes no classes or condition, was trained with that of every example, or fills gaps.

    References:
        Kynkäänniemi et al. (2024), arXiv 2404.07724: guidance in an interval of noise levels.
    """
    if not model.classes and model.condition_shape is None:
        raise DifrunError(
            "guidance 'cfg' needs a model that was trained on labels or a condition: data with these, a model that "
            "takes them, such as mlp, and --train.label-dropout 0.1."
        )
    if model.completes:
        raise DifrunError(
            "guidance 'cfg' strengthens the effect of a class or condition; a model that fills gaps keeps the columns "
            "that it is given as they are, so there is nothing to strengthen. Leave it out."
        )
    if not model.knows_any:
        raise DifrunError(
            "guidance 'cfg' needs predictions without a class, and this model was trained with the class of "
            "every example, or its condition: train with --train.label-dropout 0.1. If you name several guidances, "
            "name cfg first."
        )
    if scale == 1:
        return model
    if scale == 0 and low == 0 and high == math.inf:
        return AnyClass(model)

    def strength(at: Any) -> Any:
        noise = noise_at(model.process, at)
        if not isinstance(noise, Tensor):
            return scale if low <= noise <= high else 1.0
        return torch.where((noise >= low) & (noise <= high), scale, 1.0).to(noise.dtype)

    def guide(inner: ScoreModel, labels: Tensor) -> ScoreModel:
        return inner.process.extrapolate(inner, labels, strength)

    shares = model.shares or getattr(model, "proportions", ())
    at_start = strength(model.process.at(model.process.horizon))
    start = min(1.0, max(0.0, at_start))
    return ByLabel(model, guide, shares, model.classes, _between(model, start), start)


def _between(model: ScoreModel, s: float) -> tuple[Tensor, Tensor] | None:
    """Mean and variance of the data of each class, less 1 − s of what sets them apart from those of all classes."""
    if model.class_moments is None or s == 1:
        return model.class_moments
    means, variances = (
        s * per_class + (1 - s) * torch.as_tensor(overall).to(per_class)
        for per_class, overall in zip(model.class_moments, (model.mean, model.var), strict=True)
    )
    return means, variances


def noise_at(process: GaussianProcess, at: Any) -> Any:
    """The noise σ/α of a Gaussian process, infinite where nothing of the data is left; t of any other process."""
    if not isinstance(process, GaussianProcess):
        return at.t
    return math.inf if not isinstance(at.alpha, Tensor) and at.alpha == 0 else at.sigma / at.alpha
