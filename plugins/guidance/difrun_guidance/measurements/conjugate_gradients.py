"""Conjugate gradients for a batch of small symmetric systems, given by their products with a vector."""

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], b: Tensor, *, least: float, iterations: int, tolerance: float
) -> Tensor:
    """Solve S u = b row by row, for a symmetric matrix S of each row.

    A row is finished when its residual is `tolerance` times the first one, or when S shows an eigenvalue below the
    bound. S then comes from a network that is wrong there, and the row keeps the solution in the directions so far.
    Rows do not depend on each other.

    Args:
        apply: The function p ↦ S p, on vectors with shape (n, m).
        b: The right-hand sides, with shape (n, m).
        least: A lower bound of the eigenvalues of S.
        iterations: The largest number of iterations.
        tolerance: The relative residual at which a row is finished.

    Returns:
        u, with shape (n, m).

    References:
        Hestenes and Stiefel (1952), J. Res. Natl. Bur. Stand. 49, 409.
    """
    u, r, p = torch.zeros_like(b), b, b
    norm2 = r.square().sum(1, keepdim=True)
    enough = tolerance**2 * norm2
    for _ in range(iterations):
        active = norm2 > enough
        if not bool(active.any()):
            break
        image = apply(p)
        curvature = (p * image).sum(1, keepdim=True)
        active &= curvature >= 0.5 * least * p.square().sum(1, keepdim=True)
        step = torch.where(active, norm2 / curvature, 0.0)
        u, r = u + step * p, r - step * image
        new_norm2 = r.square().sum(1, keepdim=True)
        p = torch.where(active, r + (new_norm2 / norm2) * p, 0.0)
        norm2 = torch.where(active, new_norm2, 0.0)
    return u
