"""Independent distributions at the sites of an example, and the arithmetic that kernels share."""

from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from difrun.randomness import Generator


@attrs.frozen(eq=False)
class Sites:
    """Independent sites, each with a distribution over K categories and, last, the mask.

    Attributes:
        weights: The probabilities, with shape (n, *sites, K + 1), float64.
        process: The process, which knows the value of each category.
        dtype: The dtype of the values.
    """

    weights: Tensor
    process: Any
    dtype: torch.dtype

    @property
    def mean(self) -> Tensor:
        """The mean value of every site, float64."""
        return self.process.mean(self.weights)

    def sample(self, generator: Generator) -> Tensor:
        """Draw by inversion of the cumulative distribution in float64: no site takes a value of probability 0."""
        u = generator.uniform(self.weights[..., 0])
        totals = self.weights.cumsum(-1)
        index = (u.unsqueeze(-1) * totals[..., -1:] >= totals[..., :-1]).sum(-1)
        one_hot = functional.one_hot(index, self.weights.shape[-1])
        return self.process.mean(one_hot.to(self.dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-probability of values x, summed over the sites: (n,), float64."""
        one_hot = with_mask(self.process.states(x))
        return (one_hot * self.weights).sum(-1).log().flatten(1).sum(1)


def with_mask(e: Tensor) -> Tensor:
    """Weights on the categories and, last, the mask, from e (n, *sites, K): the mask gets the rest to 1."""
    return torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)


def with_empty_mask(weights: Tensor) -> Tensor:
    """Weights on the categories, and 0 on the mask."""
    return torch.cat((weights, torch.zeros_like(weights[..., :1])), -1)


def category_axis(alpha: Any) -> Any:
    """α with an axis for the categories."""
    return alpha.unsqueeze(-1) if isinstance(alpha, Tensor) and alpha.ndim else alpha


def likelihood_quotient(p0: Tensor, likelihood: Tensor) -> Tensor:
    """p0/q(x_t | x_0), and 0 where x_0 cannot have led to x_t; the derivative is finite there, too."""
    possible = likelihood > 0
    return torch.where(possible, p0, 0.0) / torch.where(possible, likelihood, 1.0)


def colouring(shape: tuple[int, ...], classes: int, device: torch.device | str = "cpu") -> Tensor:
    """A class for every site, so that sites of one class are not neighbours, with or without a torus: shape (*shape).

    Along the last axis the classes follow each other; from row to row they move on by half of their number. Where the
    torus closes on the same class, the last site, row or plane takes the class that is furthest from its two
    neighbours. Two classes do not fit a torus with an odd side above 1: there are three then.

    Args:
        shape: The sides of the lattice.
        classes: The number of classes, at least 2.
        device: Where the tensor lies.
    """
    classes = class_count(shape, classes)
    total = torch.zeros(shape, dtype=torch.int64, device=device)
    for axis, length in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = length
        step = 1 if axis == len(shape) - 1 else classes // 2
        total = total + torch.tensor(_around(length, step, classes), device=device).reshape(view)
    return total % classes


def class_count(shape: tuple[int, ...], classes: int) -> int:
    """The number of classes of `colouring`: `classes`, but at least 3 where a side is odd and longer than 1."""
    odd = any(length % 2 == 1 and length > 1 for length in shape)
    return max(classes, 3 if odd else 2)


def _around(length: int, step: int, classes: int) -> list[int]:
    """Shifts of the class along one axis, by `step` each; no two neighbours on the ring have the same."""
    shifts = [step * k % classes for k in range(length)]
    if length > 1 and shifts[-1] == shifts[0]:

        def distance(shift: int) -> int:
            """The least distance from the shifts of both neighbours, on the ring of classes."""
            return min(
                min((shift - other) % classes, (other - shift) % classes) for other in (shifts[0], shifts[-2])
            )

        shifts[-1] = max(range(classes), key=distance)
    return shifts


def checkerboard(shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """0 where the sum of the coordinates of a site is even, 1 where it is odd: shape (*shape).

    Sites of one colour are not neighbours, but for those that an odd side of a torus joins: see `colouring`.
    """
    total = torch.zeros(shape, dtype=torch.int64, device=device)
    for axis, length in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = length
        total = total + torch.arange(length, device=device).reshape(view)
    return total % 2


def triples(values: Tensor) -> Tensor:
    """Return all triples of values (k, ...), as three sites in a row: (k³, 1, 3, ...)."""
    index = torch.cartesian_prod(*[torch.arange(len(values))] * 3)
    return values[index].reshape(len(index), 1, 3, *values.shape[1:])
