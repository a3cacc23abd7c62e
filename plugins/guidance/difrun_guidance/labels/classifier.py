r"""Classifier guidance: ∇ log p_t(x) + w ∇ log p_t(class | x_t), with a classifier of noised examples.

Song et al. (2021, arXiv 2011.13456, sec. 5), Dhariwal and Nichol (2021, arXiv 2105.05233, sec. 4). For w = 1 and the
exact p_t(class | x_t) that is Bayes' theorem, exact at every t, on processes of flips too (`ForwardProcess.condition`).
For w ≠ 1 it is a heuristic, which does not sample p(x) p(class | x)^w. The classifier must have seen noise: that of
clean examples has gradients at noised ones that mean nothing.
"""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.guidance import Context
from difrun.model import ExactMixture, ScoreModel, for_rows
from difrun.process import GaussianProcess
from difrun_guidance.labels.by_label import ByLabel
from difrun_guidance.labels.noisy_classifier import LogPosterior, learnt


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
    """The component `classifier`, w = `scale`; 0 gives `model` itself.

    target: the class; None takes that of every sample (`ScoreModel.condition_on`), drawn in the proportion of the
    data where nobody says which. exact: the posterior of a mixture distribution, in closed form; else a classifier
    is trained on the data of the run, once (`difrun_guidance.labels.noisy_classifier`). A model that knows classes
    is given them too. Raises DifrunError for data without labels, a class that there is not, a target of a model
    that draws classes, a distribution that is not known, and a classifier in the folder
    of the run that was made for another process or other data.
    """
    dataset = context.dataset
    if dataset.labels is None:
        raise DifrunError(
            f"guidance 'classifier' needs labels, and the examples of dataset '{dataset.name}' have none "
            "(--dataset.label for those of a file)."
        )
    number = None if target is None else dataset.class_number(target)
    if exact and (dataset.distribution is None or dataset.component_labels is None or not _gaussian(model)):
        raise DifrunError(
            "--guidance.exact needs a Gaussian process, and a dataset whose distribution is a mixture with classes; "
            "leave it out, and a classifier is trained."
        )
    if number is not None and model.shares:  # before a classifier is trained for nothing
        raise DifrunError(
            "--guidance.target is for a model without classes. This one knows them: draw the class with --label, and "
            "the classifier is asked for the same."
        )
    if scale == 0:
        return model
    posterior: LogPosterior
    if exact:
        assert dataset.distribution is not None
        posterior = ExactMixture(dataset.distribution, model.process, dataset.component_labels).log_posterior
    else:
        posterior = learnt(model, context, steps=steps, width=width)

    def make(inner: ScoreModel, labels: Tensor) -> ScoreModel:
        inner = inner.condition_on(labels) if inner.classes else inner
        return inner.process.condition(inner, OfLabels(posterior, labels), scale)

    if number is None:
        return ByLabel(model, make, dataset.shares, len(dataset.classes), dataset.class_moments)

    def of_target(x: Tensor, at: Any) -> Tensor:
        return posterior(x, at)[:, number]

    guided = model.process.condition(model, of_target, scale)
    if dataset.class_moments is not None:  # of the prior; that of all classes would move the weights of modes
        guided.mean, guided.var = (each[number].to(model.mean) for each in dataset.class_moments)
    return guided


@attrs.frozen(eq=False)
class OfLabels:
    """log p_t(class | x_t), (n,), for the class of each row, (n,); constant where that is −1, any."""

    posterior: LogPosterior
    labels: Tensor

    def __call__(self, x: Tensor, at: Any) -> Tensor:
        labels = for_rows(self.labels, x)
        found = self.posterior(x, at).gather(1, labels.clamp_min(0)[:, None])[:, 0]
        return torch.where(labels < 0, 0.0, found)

    def rows(self, index: Tensor) -> "OfLabels":
        return OfLabels(self.posterior, self.labels[index.to(self.labels.device)])


def _gaussian(model: ScoreModel) -> bool:
    return isinstance(model.process, GaussianProcess)
