"""Marginals of every spin in any field, by forward–backward over the rows of a lattice."""

import torch
from torch import Tensor

from difrun_ising.lattice.exact.transfer import CHUNK, TransferMatrix, transfer_matrix
from difrun_ising.lattice.lattice import Lattice


def site_marginals(lattice: Lattice, likelihood: Tensor) -> Tensor:
    """P(s_i = ±1) under p(s) Π_i l_i(s_i), for likelihoods l of the values −1 and +1 at every site.

    Forward–backward over rows. On a torus it runs once for every state of the first row, so its cost is 4^W.

    Args:
        lattice: The lattice of p(s) = exp(−βE)/Z.
        likelihood: l, with shape (n, rows, columns, 2). A zero pins a spin; some configuration must stay possible.

    Returns:
        The probabilities of −1 and +1, with shape (n, rows, columns, 2), float64.
    """
    matrix = transfer_matrix(lattice)
    if matrix.turned:
        likelihood = likelihood.transpose(1, 2)
    numbers = len(matrix.states) ** (2 if matrix.wraps else 1) * matrix.height
    parts = likelihood.double().split(max(1, 8 * CHUNK // numbers))
    marginals = torch.cat([_forward_backward(matrix, part) for part in parts])
    return marginals.transpose(1, 2) if matrix.turned else marginals


def _forward_backward(matrix: TransferMatrix, likelihood: Tensor) -> Tensor:
    n = len(likelihood)
    weights = matrix.row_weight * _row_likelihood(likelihood)  # (n, height, 2^W)
    size = weights.shape[-1]
    kernel = matrix.kernel
    if matrix.wraps:
        start = torch.diag_embed(weights[:, 0])  # row: state of the first row; column: state here
        end = kernel.expand(n, size, size)
    else:
        start, end = weights[:, :1], torch.ones(n, 1, size, dtype=torch.float64)
    forward = [start]
    for j in range(1, matrix.height):
        forward.append(_scaled((forward[-1] @ kernel) * weights[:, j : j + 1]))
    ups = (matrix.states > 0).double()
    values = torch.stack((1 - ups, ups), -1).flatten(1)
    marginals = []
    for j in reversed(range(matrix.height)):
        state = (forward[j] * end).sum(1)
        marginals.append(((state / state.sum(1, keepdim=True)) @ values).reshape(n, matrix.width, 2))
        end = _scaled((end * weights[:, j : j + 1]) @ kernel)
    return torch.stack(marginals[::-1], 1)


def _row_likelihood(likelihood: Tensor) -> Tensor:
    """Π_j l_j(r_j) for every state r of a row: (n, height, W, 2) -> (n, height, 2^W)."""
    product = likelihood[..., 0, :]
    for site in range(1, likelihood.shape[2]):
        product = (product[..., :, None] * likelihood[..., site, None, :]).flatten(-2)
        product = product / product.amax(-1, keepdim=True)
    return product


def _scaled(messages: Tensor) -> Tensor:
    """Messages divided by their largest number; the factor of an example drops out of its marginals."""
    return messages / messages.amax((1, 2), keepdim=True)
