r"""Where the probability flow ends: the reference from which a solver's own error is told.

A deterministic sampler approximates the map from noise x_T to x_0 that the probability flow of its model makes. The
same model solved finely from the same noise gives that map, so that the distance to it is the error of the solver
alone; the error of the model (its score is learnt) is in neither.
"""

import attrs
import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from difrun.data.mixture import GaussianMixture
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.sampler.adams import Adams
from difrun.sampler.integrate import Watch, integrate
from difrun.tuning.pilot import pilot

FINE_STEPS = 200
"""Steps of the first solution; the one that is returned takes twice as many."""

APART = 2.0
"""Two components of a mixture are one mode where their means are nearer than this times the sum of their widths."""


@attrs.frozen(eq=False)
class Endpoint:
    """x (n, *shape), where the flow carries the noise; error: how far half the steps end from there, as `Distance.rms`.

    `adams` is of order 5 there: x itself is nearer to the true endpoint than that, unless `error` is rounding.
    """

    x: Tensor
    error: float


@attrs.frozen
class Distance:
    """How far samples are from their endpoints, over the radius of the data (`radius`).

    rms, median: of the distances of single samples. other_mode: the share of samples that are in another mode of the
    data than their endpoints; None where there are no modes.
    """

    rms: float
    median: float
    other_mode: float | None


def endpoint(model: ScoreModel, noise: Tensor, radius: float, watch: Watch | None = None) -> Endpoint:
    """Where the probability flow of `model` carries noise (n, *shape) at T: `adams` on the pilot grid, 400 steps.

    Computed in float64 where the model's moments are in it, in the dtype of the noise otherwise. radius: what distances
    are measured in. Raises DifrunError when the solution is not finite.
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
    """How far samples x are from `truth`, row by row; both (n, *shape)."""
    gaps = (x.cpu().double() - truth.cpu().double()).flatten(1).square().sum(1)
    moved = None if modes is None else float((modes.of(x) != modes.of(truth)).mean())
    return Distance(float(gaps.mean().sqrt()) / radius, float(gaps.sqrt().median()) / radius, moved)


def radius(var: Tensor) -> float:
    """The root mean square distance of the data from their mean, √(Σ var); 1 where they do not vary."""
    return float(torch.as_tensor(var).double().sum().sqrt()) or 1.0


@attrs.frozen(eq=False)
class Modes:
    """The modes of a mixture: sets of components that overlap. labels: (components,), the mode of each."""

    mixture: GaussianMixture
    labels: np.ndarray

    def of(self, x: Tensor) -> np.ndarray:
        """The mode of each point (n, d): that of the component to which it most probably belongs."""
        return self.labels[self.mixture.component(x.cpu().double()).numpy()]


def modes(mixture: GaussianMixture | None) -> Modes | None:
    """The modes of a distribution; None where it is no mixture, has no density, or is all in one piece.

    Components i and j overlap where ‖m_i − m_j‖ < 2 (s_i + s_j), s² the largest variance of a component in any
    direction; a mode is what overlaps, directly or through others.
    """
    if mixture is None or not bool((mixture.eigenvalues > 0).all()):
        return None
    width = mixture.eigenvalues.amax(1).sqrt()
    near = torch.cdist(mixture.means, mixture.means) < APART * (width[:, None] + width)
    count, labels = connected_components(near.numpy(), directed=False)
    return Modes(mixture, labels) if count > 1 else None
