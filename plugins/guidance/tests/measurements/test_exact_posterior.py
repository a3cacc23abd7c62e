"""The exact posterior of a mixture: Bayes' rule, classes, and what is refused."""

import attrs
import numpy as np
import pytest
import torch

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.guidance import Context
from difrun.model import ExactMixture
from difrun.testing import ReferenceVP
from difrun_guidance.measurements.exact_posterior import Exact, posterior

from ..labels.overlapping import exact, labelled
from .problems import context, images, normal, problem


def test_posterior_of_a_mixture_is_bayes_rule():
    """log p(x | y) = log p(x) + log N(y; A x, σ_y²) + a constant: the same at every x."""
    distribution, options = problem(3, 4, 2, 0.4, seed=11)
    found = posterior(distribution, options["matrix"], options["y"], 0.4)
    x = normal(50, 3, seed=1)
    likelihood = -0.5 * ((options["y"] - x @ options["matrix"].T) / 0.4).square().sum(1)
    constant = found.log_prob(x) - distribution.log_prob(x) - likelihood
    assert constant.std().item() < 1e-10 * constant.abs().max().item()
    isotropic = GaussianMixture(distribution.weights, distribution.means, [0.1, 0.2, 0.3, 0.4])
    full = GaussianMixture(
        distribution.weights, distribution.means, isotropic.covs[:, None, None] * torch.eye(3).double()
    )
    a, b = (posterior(p, options["matrix"], options["y"], 0.4) for p in (isotropic, full))
    torch.testing.assert_close(a.covs, b.covs)
    torch.testing.assert_close(a.weights, b.weights)


def test_exact_needs_a_distribution():
    model, of = images()
    with pytest.raises(
        DifrunError, match="'exact' needs a dataset whose distribution is a Gaussian mixture; 'toy' is not"
    ):
        Exact(model, context=of)
    with pytest.raises(DifrunError, match="there is no dataset"):
        Exact(model, y=np.ones(6))


def test_the_exact_posterior_of_a_class_is_that_of_its_distribution():
    """--label beside `exact`: p(x_0 | y, class) of every row, from the components of the class alone, to 1e-12; −1 is
    p(x_0 | y). A class that y rules out is refused."""
    distribution, options = problem(3, 4, 2, 0.4, seed=11)
    owner = torch.tensor([0, 1, 1, 0])
    of, process = context(distribution=distribution), ReferenceVP()
    marks = {"labels": torch.arange(100) % 2, "held_out_labels": torch.arange(20) % 2, "classes": ("a", "b")}
    data = attrs.evolve(of.dataset, component_labels=owner, **marks)
    model, at, x = ExactMixture(distribution, process), process.at(0.8), normal(6, 3, seed=1)
    method = Exact(model, context=Context(data), **options)
    assert (method.classes, method.shares, method.labels) == (2, (), None)
    labels = torch.tensor([0, 1, -1, 1, 0, -1])
    conditioned = method.condition_on(labels)
    for row, label in enumerate(labels.tolist()):
        part = distribution if label < 0 else distribution.part(owner == label)
        alone = Exact(ExactMixture(part, process), context=context(distribution=part), **options)
        torch.testing.assert_close(
            conditioned.predict(x, at, "score")[row],
            alone.predict(x, at, "score")[row],
            rtol=1e-12,
            atol=1e-12,
        )
        for found, wanted in zip(conditioned.moments(), (alone.mean, alone.var), strict=True):
            torch.testing.assert_close(found[row], wanted.to(found), rtol=1e-5, atol=1e-6)
    assert torch.equal(conditioned.rows(slice(1, 3)).labels, labels[1:3])
    far = GaussianMixture([0.5, 0.5], [[0.0] * 3, [1000.0] * 3], [0.1, 0.1])
    known = attrs.evolve(data, distribution=far, component_labels=torch.tensor([0, 1]))
    ruled = Exact(ExactMixture(far, process), context=Context(known), seen="left", y=np.zeros(2), sigma_y=0.1)
    with pytest.raises(DifrunError, match="no example of class 'b' would be measured as y"):
        ruled.condition_on(torch.tensor([0, 1]))


def test_a_class_that_the_measurement_rules_out_is_refused():
    distribution = GaussianMixture([0.5, 0.5], [[-50.0, 0.0], [50.0, 0.0]], [0.01, 0.01])
    data = attrs.evolve(labelled(200), distribution=distribution, component_labels=torch.tensor([0, 1]))
    guided = Exact(exact(ReferenceVP()), context=Context(data), y=[50.0], sigma_y=0.1)
    assert (
        guided.condition_on(torch.tensor([1]))
        .predict(torch.ones(1, 2).double(), guided.process.at(0.1), "x0")
        .isfinite()
        .all()
    )
    with pytest.raises(DifrunError, match="no example of class 'A' would be measured as y"):
        guided.condition_on(torch.tensor([0, 1]))
