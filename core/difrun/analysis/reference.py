r"""Endpoints of the probability flow: a reference that shows the error of a solver alone.

A deterministic sampler approximates the map from noise x_T to x_0 that the probability flow of its model defines. A
fine solution with the same model from the same noise gives this map. The distance to it is the error of the solver,
without the error of the model, whose score is learnt.
"""

import attrs
import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from difrun.data.mixture import GaussianMixture
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode
from difrun.sampler.adams import Adams
from difrun.sampler.integration import Watch, integrate
from difrun.sampler.tuning.pilot_grid import pilot

FINE_STEPS = 200
"""Steps of the coarser solution; the one that is returned takes twice as many."""

OVERLAP = 2.0
"""Two components overlap if their means are closer than this times the sum of their largest standard deviations."""


@attrs.frozen(eq=False)
class Endpoint:
    """The end of the probability flow for given noise.

    Attributes:
        x: The endpoints, (n, *shape).
        error: The distance of a solution with half the steps from x, as `Distance.rms`. As `adams` has order 5 there, x
            itself is closer to the true endpoint than that, unless `error` is due to rounding.
    """

    x: Tensor
    error: float


@attrs.frozen
class Distance:
    """The distance of samples from their endpoints, over the radius of the data (`radius`).

    Attributes:
        rms: The root mean square over samples.
        median: The median over samples.
        other_mode: The share of samples that are in another mode of the data than their endpoints; None if the data
            have no modes.
    """

    rms: float
    median: float
    other_mode: float | None


@in_eval_mode
def endpoint(model: ScoreModel, noise: Tensor, radius: float, watch: Watch | None = None) -> Endpoint:
    """Solve the probability flow of a model from given noise, with `adams` on the pilot grid in 400 steps.

    Args:
        model: The model. The solution has the dtype of its moments (on MPS that of the noise).
        noise: Noise at T, (n, *shape).
        radius: The unit of distances.
        watch: Called after every step.

    Raises:
        DifrunError: If the solution is not finite.
    """
    dtype = torch.as_tensor(model.mean).dtype
    x = noise.to(dtype) if noise.device.type != "mps" else noise
    coarse, fine = (
        integrate(Adams(), model, x, pilot(model, steps), watch=watch)
        for steps in (FINE_STEPS, 2 * FINE_STEPS)
    )
    if not bool(fine.isfinite().all()):
        raise DifrunError("the fine solution of the probability flow is not finite: there is no reference")
    return Endpoint(fine, distance(coarse, fine, radius).rms)


def distance(x: Tensor, truth: Tensor, radius: float, modes: "Modes | None" = None) -> Distance:
    """Return the distance of samples x from `truth`, row by row; both have shape (n, *shape)."""
    squares = (x.cpu().double() - truth.cpu().double()).flatten(1).square().sum(1)
    other_mode = None if modes is None else float((modes.of(x) != modes.of(truth)).mean())
    return Distance(
        float(squares.mean().sqrt()) / radius, float(squares.sqrt().median()) / radius, other_mode
    )


def radius(var: Tensor) -> float:
    """Return the root mean square distance of the data from their mean, √(Σ var), or 1 if they do not vary."""
    return float(torch.as_tensor(var).double().sum().sqrt()) or 1.0


@attrs.frozen(eq=False)
class Modes:
    """The modes of a mixture, which are sets of components that overlap.

    Attributes:
        mixture: The mixture.
        labels: The number of the mode of each component, (K,).
    """

    mixture: GaussianMixture
    labels: np.ndarray

    def of(self, x: Tensor) -> np.ndarray:
        """Return the mode of each point (n, d): that of its most probable component."""
        return self.labels[self.mixture.component(x.cpu().double()).numpy()]


def modes(mixture: GaussianMixture | None) -> Modes | None:
    """Return the modes of a mixture, or None if there is no mixture, no density, or only one mode.

    Components i and j overlap if

        ‖m_i − m_j‖ < 2 (s_i + s_j),    s_i² the largest variance of component i in any direction.

    Components that overlap, directly or through others, form a mode.
    """
    if mixture is None or not bool((mixture.eigenvalues > 0).all()):
        return None
    std = mixture.eigenvalues.amax(1).sqrt()
    overlap = torch.cdist(mixture.means, mixture.means) < OVERLAP * (std[:, None] + std)
    count, labels = connected_components(overlap.numpy(), directed=False)
    return Modes(mixture, labels) if count > 1 else None
