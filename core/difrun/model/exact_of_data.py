"""The components `exact` and `empirical`: exact models of what a dataset knows of its distribution."""

from typing import TYPE_CHECKING

from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.model.exact import ExactEmpirical, ExactMixture
from difrun.model.exact_conditional import ExactConditional

if TYPE_CHECKING:
    from difrun.process.gaussian import GaussianProcess


def exact_mixture(*, process: "GaussianProcess", dataset: Dataset) -> ExactMixture:
    """Make the component `exact`: the model of the dataset's own distribution, given its condition if it has one.

    Raises:
        DifrunError: If that distribution is not a Gaussian mixture.
    """
    if dataset.conditional is not None:
        return ExactConditional(dataset.conditional, process)
    if dataset.distribution is None:
        raise DifrunError(
            f"model 'exact' needs a dataset whose distribution is a Gaussian mixture; {dataset.name!r} is not. "
            "Use --model empirical for the exact model of its examples, or a network."
        )
    return ExactMixture(dataset.distribution, process, dataset.component_labels)


def exact_empirical(*, process: "GaussianProcess", dataset: Dataset) -> ExactEmpirical:
    """Make the component `empirical`: the exact model of the dataset's training examples."""
    return ExactEmpirical(dataset.train, process, dataset.labels)
