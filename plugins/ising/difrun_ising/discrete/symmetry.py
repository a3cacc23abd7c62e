"""Symmetries of the Ising model, drawn at random for every example."""

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.randomness import Generator


def augmented(x: Tensor, generator: Generator, *, flip: bool, translate: bool, rotate: bool) -> Tensor:
    """Apply a random symmetry of its own to every lattice.

    Args:
        x: The lattices, with shape (n, rows, columns).
        generator: The source of random numbers.
        flip: Whether all spins are flipped in half of the lattices, a symmetry at h = 0.
        translate: Whether lattices move by any number of rows and columns, a symmetry of a torus.
        rotate: Whether lattices are mirrored and, where they are square, rotated.

    Returns:
        The lattices, with the shape of x.

    Raises:
        DifrunError: If the examples are not lattices.
    """
    if not (flip or translate or rotate):
        return x
    if x.ndim != 3:
        raise DifrunError(
            f"--loss.flip, --loss.translate and --loss.rotate are for lattices (rows, columns), not examples of shape "
            f"{tuple(x.shape[1:])}"
        )
    n, rows, columns = x.shape
    u = generator.uniform(x.new_zeros(n, 6))
    if flip:
        x = torch.where(u[:, :1, None] < 0.5, -x, x)
    if translate:
        down = (torch.arange(rows, device=x.device) + (u[:, 1:2] * rows).long()) % rows
        across = (torch.arange(columns, device=x.device) + (u[:, 2:3] * columns).long()) % columns
        x = x[torch.arange(n, device=x.device)[:, None, None], down[:, :, None], across[:, None, :]]
    if rotate:
        x = torch.where(u[:, 3, None, None] < 0.5, x.flip(1), x)
        x = torch.where(u[:, 4, None, None] < 0.5, x.flip(2), x)
        if rows == columns:
            x = torch.where(u[:, 5, None, None] < 0.5, x.transpose(1, 2), x)
    return x
