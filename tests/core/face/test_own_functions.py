"""A plain function, wrapped, with the defaults of everything that is asked of a model."""

import pytest
import torch
from torch import nn

import difrun
from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun.sampler.tuning.pilot_grid import pilot
from difrun.testing import ReferenceVP

VP = ReferenceVP()
NARROW = ExactMixture(GaussianMixture([1.0], [[0.5, -1.0]], [0.04]), VP)
APART = ExactMixture(GaussianMixture([0.5, 0.5], [[-3.0, 0.0], [3.0, 0.0]], [0.01, 0.01]), VP)


def function_of(exact):
    return lambda x, t: exact.predict(x.double(), VP.at(t.double(), 2), "x0").to(x.dtype)


def wrapped(network):
    return difrun.wrap(network, VP, (2,), "x0", "t", check=False)


def test_a_wrapped_function_is_sampled_inverted_and_compared_with_defaults(tmp_path):
    """A Gaussian of mean m and deviation 0.2: four standard errors, and what the few steps leave."""
    model = difrun.wrap(
        function_of(NARROW), VP, (2,), "x0", "t", mean=NARROW.mean, var=NARROW.var, check=False
    )
    drawn = difrun.sample(model, 400)
    assert ((drawn.mean(0) - NARROW.mean).abs() < 4 * 0.2 / 20 + 0.01).all()
    found = difrun.invert(model, drawn)
    assert found.error.max() < 0.05
    data = NARROW.mixture.sample(300, torch.Generator().manual_seed(1)).numpy()
    rows = difrun.compare(model, steps=[3], n=50, dataset=data, out=tmp_path / "compared").rows
    assert [row.problem for row in rows if row.problem] == []


def test_the_pilot_grid_of_a_function_is_that_of_this_function():
    """Another function in the same model is not given the grid of the first; the first one keeps its own."""
    model = wrapped(function_of(NARROW))
    one = pilot(model, 5)
    assert pilot(model, 5) == one
    model.network = function_of(APART)
    assert pilot(model, 5) == pilot(wrapped(function_of(APART)), 5) != one


def test_the_pilot_grid_sees_the_weights_of_a_network_inside_a_function():
    layer = nn.Linear(2, 2)
    model = wrapped(lambda x, t: layer(x))
    one = pilot(model, 5)
    with torch.no_grad():
        layer.weight.mul_(3)
    assert pilot(model, 5) == pytest.approx(pilot(wrapped(lambda x, t: layer(x)), 5))
    assert pilot(model, 5) != one
