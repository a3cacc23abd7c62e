"""What the tests of measurements share: mixtures with a matrix and a y, and models of them."""

import math

import torch

from difrun.data import Dataset, GaussianMixture, Scaling
from difrun.guidance import Context
from difrun.model import ExactMixture
from difrun.process import GaussianProcess
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP


class OffCentre(GaussianProcess):
    """ReferenceVP that returns to μ = 1.5 in place of 0."""

    horizon, centre = 4.0, 1.5

    def log_alpha(self, t):
        return -t

    def variance(self, t):
        return -torch.expm1(-2 * t)


class EDM(ReferenceVE):
    """ReferenceVE on [0, 30]: the noise of the reference figures."""

    horizon = 30.0


PROCESSES = [ReferenceVP(), ReferenceVE(), ReferenceFlow(), OffCentre()]
NAMES = ["vp", "ve", "flow", "off-centre"]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def mixture(d, components, seed, spread=2.0):
    """Means N(0, spread²), covariances with axes at random and variances from 0.02 to 1, log-uniform."""
    axes = torch.linalg.qr(normal(components, d, d, seed=seed))[0]
    values = torch.rand(components, 1, d, generator=seeded(seed), dtype=torch.float64)
    values = torch.exp(values * math.log(50) + math.log(0.02))
    weights = torch.rand(components, generator=seeded(seed + 1), dtype=torch.float64) + 0.3
    covs = (axes * values) @ axes.mT
    means = spread * normal(components, d, seed=seed + 2)
    return GaussianMixture(weights / weights.sum(), means, 0.5 * (covs + covs.mT))


def problem(d, components, m, sigma_y, seed, spread=2.0):
    """(distribution, options of the measurement): y of a draw from the distribution through a matrix with rows of
    length about 1."""
    distribution = mixture(d, components, seed, spread)
    matrix = normal(m, d, seed=seed + 3) / d**0.5
    y = matrix @ distribution.sample(1, seeded(seed + 4))[0] + sigma_y * normal(m, seed=seed + 5)
    return distribution, {"operator": "matrix", "matrix": matrix, "y": y, "sigma_y": sigma_y}


def context(examples=None, distribution=None, scaling=None, seed=0):
    """The run of some examples (N, ...), or of a distribution."""
    if examples is None:
        examples = distribution.sample(100, seeded(9))
    data = Dataset(
        name="toy", train=examples, held_out=examples[:20] + 0.5, distribution=distribution, scaling=scaling
    )
    return Context(data, seed=seed)


def scaled(shape, seed=3):
    """A scaling with a shift and a scale for every number."""
    return Scaling(normal(*shape, seed=seed), normal(*shape, seed=seed + 1).abs() + 0.5)


ENOUGH = {"iterations": 3, "tolerance": 1e-15}


def places(process):
    """t_min, the middle and T."""
    return process.at(process.t_min), process.at(0.3 * process.horizon), process.at(process.horizon)


def noised(process, distribution, at, n=5):
    return process.diffuse(distribution.sample(n, seeded(1)), normal(n, distribution.dim, seed=2), at)


def jacobian(model, x, at):
    """∂x̂_0/∂x of every row, (n, d, d)."""
    rows = [
        torch.autograd.functional.jacobian(lambda row: model.predict(row[None], at, "x0")[0], row)
        for row in x
    ]
    return torch.stack(rows)


class Images(ExactMixture):
    """A mixture of 12 numbers as a model of examples of shape (1, 3, 4)."""

    def __init__(self, process):
        super().__init__(mixture(12, 3, seed=5), process)
        self.shape = (1, 3, 4)
        self.mean, self.var = self.mean.reshape(self.shape), self.var.reshape(self.shape)

    def _posterior(self, x, at, kind):
        return super()._posterior(x.reshape(len(x), 12), at, kind).reshape(x.shape)


def images():
    model = Images(ReferenceVP())
    return model, context(model.mixture.sample(60, seeded(1)).reshape(60, 1, 3, 4))
