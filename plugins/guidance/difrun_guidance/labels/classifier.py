r"""Classifier guidance: ∇ log p_t(x) + w ∇ log p_t(class | x_t), with a classifier of noised examples.

For w = 1 and the exact p_t(class | x_t) this is Bayes' theorem, exact at every t, also on discrete processes
(`ForwardProcess.condition`). For w ≠ 1 it is a heuristic, which does not sample p(x) p(class | x)^w. The classifier
must have seen noise: at noised examples the gradients of a classifier of clean examples mean nothing.

References:
    Song et al. (2021), arXiv 2011.13456, sec. 5.
    Dhariwal and Nichol (2021), arXiv 2105.05233, sec. 4.
"""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.guidance import Context, towards_class
from difrun.model import ExactMixture, ScoreModel, for_rows
from difrun.process import GaussianProcess
from difrun_guidance.labels.by_label import ByLabel
from difrun_guidance.labels.noisy_classifier import LogPosterior, load_or_train


def class_strength(noise: float, *, scale: float, exact: bool, **_: Any) -> float | None:
    """The factor of ∇ log p(class | x) for a model that knows classes: 1 of its own, and w of an exact classifier."""
    return 1 + scale if exact or scale == 0 else None


@towards_class(class_strength)
def classifier(
    model: ScoreModel,
    *,
    context: Context,
    target: str | None = None,
    scale: float = 1.0,
    exact: bool = False,
    steps: int = 2000,
    width: int = 128,
) -> ScoreModel:
    """Guide a model to a class by a classifier.

    A model that knows classes is also conditioned on the class.

    Args:
        model: The model to guide.
        context: The run that the model is used in.
        target: The class. None takes that of every sample (`ScoreModel.condition_on`); samples without one get
            classes in the proportion of the data.
        scale: The strength w. 0 returns `model` itself.
        exact: Whether to take the exact posterior of a mixture distribution. Otherwise a classifier is trained once on
            the data of the run (`difrun_guidance.labels.noisy_classifier`).
        steps: The training steps of the classifier.
        width: The width of its hidden layers.

    Raises:
        DifrunError: If the data have no labels or not that class, a target is given for a model that draws classes,
            the exact posterior is not known, or the classifier in the folder of the run is of another process or other
            data.
    """
    dataset = context.dataset
    number = _class_number(model, dataset, target, exact)
    if scale == 0:
        return model
    posterior: LogPosterior
    if exact:
        assert dataset.distribution is not None
        posterior = ExactMixture(dataset.distribution, model.process, dataset.component_labels).log_posterior
    else:
        posterior = load_or_train(model, context, steps=steps, width=width)

    def guide(inner: ScoreModel, labels: Tensor) -> ScoreModel:
        inner = inner.condition_on(labels) if inner.classes else inner
        return inner.process.condition(inner, LabelLogLikelihood(posterior, labels), scale)

    if number is None:
        return ByLabel(model, guide, dataset.shares, len(dataset.classes), dataset.class_moments)

    def of_target(x: Tensor, at: Any) -> Tensor:
        return posterior(x, at)[:, number]

    guided = model.process.condition(model, of_target, scale)
    if dataset.class_moments is not None:  # The prior of all classes would change the weights of modes.
        guided.mean, guided.var = (moment[number].to(model.mean) for moment in dataset.class_moments)
    return guided


def _class_number(model: ScoreModel, dataset: Dataset, target: str | None, exact: bool) -> int | None:
    """The number of the target. Raises DifrunError for impossible options, before a classifier is trained."""
    if dataset.labels is None:
        raise DifrunError(
            f"guidance 'classifier' needs labels, and the examples of dataset '{dataset.name}' have none "
            "(--dataset.label for those of a file)."
        )
    number = None if target is None else dataset.class_number(target)
    gaussian = isinstance(model.process, GaussianProcess)
    if exact and (dataset.distribution is None or dataset.component_labels is None or not gaussian):
        raise DifrunError(
            "--guidance.exact needs a Gaussian process, and a dataset whose distribution is a mixture with classes; "
            "leave it out, and a classifier is trained."
        )
    if number is not None and model.shares:
        raise DifrunError(
            "--guidance.target is for a model without classes. This one knows them: draw the class with --label, and "
            "the classifier uses the same class."
        )
    return number


@attrs.frozen(eq=False)
class LabelLogLikelihood:
    """The function log p_t(class | x_t) for the class of each row; constant for the label −1, any class.

    Attributes:
        posterior: The log posterior of all classes.
        labels: The class of each row, with shape (n,).
    """

    posterior: LogPosterior
    labels: Tensor

    def __call__(self, x: Tensor, at: Any) -> Tensor:
        """The log likelihood of each row, with shape (n,)."""
        labels = for_rows(self.labels, x)
        log_likelihood = self.posterior(x, at).gather(1, labels.clamp_min(0)[:, None])[:, 0]
        return torch.where(labels < 0, 0.0, log_likelihood)

    def rows(self, index: Tensor) -> "LabelLogLikelihood":
        """The function for a selection of the rows."""
        return LabelLogLikelihood(self.posterior, self.labels[index.to(self.labels.device)])
