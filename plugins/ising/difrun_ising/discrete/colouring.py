"""Classes of sites that do not interact, for lattices of any dimension and sides."""

import torch
from torch import Tensor


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
