"""The classifier two-sample test: how well a small network tells two sets apart."""

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from difrun.data.casts import data_on_cpu
from difrun.errors import DifrunError
from difrun.metric.base import Reading, reads

WIDTH, STEPS, RATE = 32, 100, 0.02


@reads(
    {"c2st": Reading("lower", False, "Share of points that a classifier puts into the right one of two sets")}
)
def c2st(
    samples: Tensor, reference: Tensor, *, generator: torch.Generator, max_points: int = 2000
) -> dict[str, float]:
    """Share of points that a classifier, trained on other points, puts into the right one of two sets.

    ½ means that the sets cannot be told apart, 1 that they have nothing in common. Half of the points train the
    classifier, a perceptron with two hidden layers, and the other half test it; then the halves change places. Use it
    beside its floor, the same number of two real sets: by `difrun.metric.measure`, or as ``c2st(real, other_real)``.

    Args:
        samples: The samples (n, *shape).
        reference: As many real examples, (n, *shape).
        generator: For the first weights and the halves.
        max_points: Use at most this many points of each set, chosen at random.

    Returns:
        "c2st", from about ½ to 1.

    References:
        Lopez-Paz and Oquab (2017), arXiv 1610.06545.
    """
    parts = [data_on_cpu(part, "points").float().flatten(1) for part in (samples, reference)]
    n = min(max_points, *map(len, parts))
    if n < 20 or parts[0].shape[1] != parts[1].shape[1]:
        raise DifrunError(
            f"a classifier needs two sets of at least 20 points of one dimension, not {tuple(parts[0].shape)} and "
            f"{tuple(parts[1].shape)}."
        )
    x = torch.cat([part[torch.randperm(len(part), generator=generator)[:n]] for part in parts])
    x = (x - x.mean(0)) / x.std(0).clamp(min=1e-12)
    y = torch.arange(2 * n) // n
    first = torch.arange(2 * n) % n < n // 2
    right = [_right(x[half], y[half], x[~half], y[~half], generator) for half in (first, ~first)]
    return {"c2st": sum(right) / len(right)}


def _right(x: Tensor, y: Tensor, other_x: Tensor, other_y: Tensor, generator: torch.Generator) -> float:
    """The share of other points that a classifier of x gets right."""
    sizes = [x.shape[1], WIDTH, WIDTH, 1]
    weights = []
    for inputs, outputs in itertools.pairwise(sizes):
        weights.append(torch.randn((outputs, inputs), generator=generator) * (2 / inputs) ** 0.5)
        weights.append(torch.zeros(outputs))
    weights[-2] *= 0.1
    # Adam, written out: torch.optim takes seconds to import.
    mean, square = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    for step in range(1, STEPS + 1):
        with torch.enable_grad():
            leaves = [weight.detach().requires_grad_() for weight in weights]
            loss = functional.binary_cross_entropy_with_logits(_logits(leaves, x), y.float())
            gradients = torch.autograd.grad(loss, leaves)
        rate = RATE * (1 - (step - 1) / STEPS)
        for j, gradient in enumerate(gradients):
            mean[j] = 0.9 * mean[j] + 0.1 * gradient
            square[j] = 0.999 * square[j] + 0.001 * gradient.square()
            spread = (square[j] / (1 - 0.999**step)).sqrt() + 1e-8
            weights[j] = weights[j] - rate * mean[j] / (1 - 0.9**step) / spread
    with torch.no_grad():
        return float(((_logits(weights, other_x) > 0).long() == other_y).double().mean())


def _logits(weights: list[Tensor], x: Tensor) -> Tensor:
    h = functional.silu(functional.linear(x, weights[0], weights[1]))
    h = functional.silu(functional.linear(h, weights[2], weights[3]))
    return functional.linear(h, weights[4], weights[5])[:, 0]
