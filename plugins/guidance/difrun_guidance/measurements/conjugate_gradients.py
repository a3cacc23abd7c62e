"""Conjugate gradients for a batch of small symmetric systems that are known by what they do to a vector."""

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], b: Tensor, *, least: float, iterations: int, tolerance: float
) -> Tensor:
    """u with S u = b, row by row, for b (n, m) and the symmetric S of each row, `apply(p)` = S p.

    least: a lower bound of the eigenvalues of S. A row is finished when its residual is `tolerance` times what it was,
    or where S shows a smaller eigenvalue than there can be: S then comes from a network that is wrong there, and what
    was found so far, in fewer directions, is kept. Rows do not depend on each other (Hestenes and Stiefel, 1952).
    """
    u, r, p = torch.zeros_like(b), b, b
    size = r.square().sum(1, keepdim=True)
    enough = tolerance**2 * size
    for _ in range(iterations):
        active = size > enough
        if not bool(active.any()):
            break
        image = apply(p)
        curvature = (p * image).sum(1, keepdim=True)
        active &= curvature >= 0.5 * least * p.square().sum(1, keepdim=True)
        step = torch.where(active, size / curvature, 0.0)
        u, r = u + step * p, r - step * image
        left = r.square().sum(1, keepdim=True)
        p = torch.where(active, r + (left / size) * p, 0.0)
        size = torch.where(active, left, 0.0)
    return u
