"""Exact endpoints against the closed form of a Gaussian, distances and modes against enumerations."""

import numpy as np
import pytest
import torch

from difrun.analysis import endpoint
from difrun.analysis.reference import distance, modes, radius
from difrun.data import GaussianMixture, toy
from difrun.errors import DifrunError
from difrun.model import Counted, ExactMixture, NetworkModel
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP

COV = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
MEAN = torch.tensor([1.0, -0.5], dtype=torch.float64)


class Centred(ReferenceVP):
    centre = (0.5, -2.0)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE(), Centred()], ids=["vp", "ve", "centred"])
def test_the_endpoint_of_a_gaussian_is_that_of_the_closed_form(process):
    """x(t) = E[x_t] + V (α_t² Λ + σ_t²)^½ (α_T² Λ + σ_T²)^−½ Vᵀ (x_T − E[x_T]) for data N(m, V Λ Vᵀ)."""
    model = ExactMixture(GaussianMixture([1.0], MEAN[None], COV[None]), process)
    model.cov = None  # along principal axes there would be nothing to solve
    noise = process.prior(
        (200, 2), mean=model.mean, var=model.var, generator=Generator(3), dtype=torch.float64
    )
    size = radius(model.var)
    found = endpoint(model, noise, size)
    values, axes = torch.linalg.eigh(COV)
    start, end = process.at(process.horizon), process.at(process.t_min)
    centre = torch.as_tensor(process.centre, dtype=torch.float64)
    gain = ((end.alpha**2 * values + end.var) / (start.alpha**2 * values + start.var)).sqrt()
    mean = [centre + at.alpha * (MEAN - centre) for at in (start, end)]
    true = mean[1] + (noise - mean[0]) @ (axes * gain) @ axes.T
    assert size == pytest.approx(1.5**0.5)
    error = distance(found.x, true, size).rms
    # What is reported is the distance between 200 and 400 steps: above the true error, and small.
    assert error < found.error < 1e-7


def test_a_network_in_float32_is_solved_in_float32_and_says_so():
    """The reported error is then that of rounding."""
    network = torch.nn.Module()
    network.forward = lambda x, level: torch.zeros_like(x)  # data N(0, I): the flow is known
    model = NetworkModel(network, ReferenceVP(), (2,), mean=torch.zeros(2), var=torch.ones(2))
    noise = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    found = endpoint(model, noise, 2**0.5)
    assert found.x.dtype == torch.float32
    start, end = (ReferenceVP().at(t) for t in (ReferenceVP().horizon, ReferenceVP().t_min))
    true = noise * ((end.alpha**2 + end.var) / (start.alpha**2 + start.var)) ** 0.5
    assert distance(found.x, true, 2**0.5).rms < 1e-5
    assert found.error < 1e-5


def test_a_solution_that_is_not_finite_is_refused():
    distribution = GaussianMixture([1.0], MEAN[None], COV[None])

    class Broken(ExactMixture):
        def predict(self, x, at, kind):
            return super().predict(x, at, kind) * float("nan")

    noise = torch.zeros(4, 2, dtype=torch.float64)
    with pytest.raises(DifrunError, match=r"not finite|strictly decreas"):
        endpoint(Broken(distribution, ReferenceVP()), noise, 1.0)


def test_distances_are_root_mean_square_and_median_of_single_samples():
    truth = torch.zeros(4, 2)
    x = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 2.0], [0.0, 0.0]])
    found = distance(x, truth, 2.0)
    assert found.rms == pytest.approx(((25 + 1 + 4 + 0) / 4) ** 0.5 / 2)
    assert found.median == pytest.approx(0.5)  # torch takes the lower one of the middle two
    assert found.other_mode is None


def test_components_that_overlap_form_a_mode():
    """0 and 1 overlap (1.9 < 2 (0.5 + 0.5)), 1 and 2 overlap as well, so that 0 and 2 are one mode; 3 is another."""
    means = [[0.0, 0.0], [1.9, 0.0], [3.8, 0.0], [9.0, 0.0]]
    found = modes(GaussianMixture([0.25] * 4, means, [0.25] * 4))
    assert found is not None
    assert found.of(torch.tensor(means)).tolist() == [0, 0, 0, 1]
    truth = torch.tensor(means)
    moved = truth[[1, 2, 0, 0]]  # three of four stay in their mode
    assert distance(moved, truth, 1.0, found).other_mode == 0.25


@pytest.mark.parametrize(("name", "count"), [("gmm", 8), ("blobs", 2), ("rings", 2), ("spiral", None)])
def test_modes_of_the_datasets(name, count):
    """Eight Gaussians, two blobs and two half-circles are modes; a single curve has none."""
    data = getattr(toy, name)(seed=0, n=200)
    found = modes(data.distribution)
    assert (None if found is None else len(set(found.labels))) == count


def test_no_modes_without_a_density():
    assert modes(None) is None
    assert modes(GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.0, 0.0])) is None


def test_the_component_of_a_point_has_the_largest_posterior():
    """Against log w_k + log N(x; m_k, C_k), by SciPy."""
    from scipy import stats

    weights = [0.2, 0.5, 0.3]
    means = np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 0.5]])
    covs = np.array([[[1.0, 0.3], [0.3, 0.4]], [[0.2, 0.0], [0.0, 0.2]], [[0.5, -0.2], [-0.2, 0.3]]])
    points = np.random.default_rng(0).normal(size=(500, 2))
    joint = [
        np.log(w) + stats.multivariate_normal(m, c).logpdf(points)
        for w, m, c in zip(weights, means, covs, strict=True)
    ]
    found = GaussianMixture(weights, means, covs).component(torch.from_numpy(points))
    assert found.tolist() == np.argmax(joint, axis=0).tolist()


def test_affine_predictions_are_counted():
    """`affine_prediction` is one evaluation, also where a model overrides it."""

    class Own(ExactMixture):
        def affine_prediction(self, x, at, kind, a, b):
            return 7 * x

    process = ReferenceVP()
    counted = Counted(Own(GaussianMixture([1.0], MEAN[None], COV[None]), process))
    x = torch.ones(3, 2, dtype=torch.float64)
    assert counted.affine_prediction(x, process.at(0.5), "x0", 1.0, 1.0).equal(7 * x)
    counted.predict(x, process.at(0.5), "x0")
    assert counted.evaluations == 2
