"""Grids, and components of wrong declarations, with one known fault each, for the tests of the conformance kit."""

import itertools

import torch

from difrun.grid import linear


def fine(process, steps):
    """Equal steps."""
    return linear(process, steps)


def undocumented(process, steps):
    return linear(process, steps)


def misspelt(process, stepz):
    """Asks for what is not on offer."""
    return linear(process, stepz)


def catch_all(process, steps, **options):
    """Takes anything."""
    return linear(process, steps)


def bent(process, steps, *, scale=1.0):
    """Equal steps in a root of t; right where `scale` is 1 by default, and wrong where the option says another."""
    first, last = process.horizon ** (1 / scale), process.t_min ** (1 / scale)
    inner = [(first + (last - first) * k / steps) ** scale for k in range(1, steps)]
    if steps < 1:
        return linear(process, steps)
    return [process.horizon, *inner, process.t_min]


def in_words(process, steps, *, scale):
    """The same, for a scale that may be text."""
    return bent(process, steps, scale=float(scale))


def upward(process, steps):
    """From t_min to T."""
    return linear(process, steps)[::-1]


def short(process, steps):
    """One time too few."""
    return linear(process, steps)[:-1]


def idle_grid(process, steps, *, scale=1.0):
    """Ignores its scale."""
    return linear(process, steps)


def random_grid(process, steps):
    """Draws from the global random state."""
    times = linear(process, steps)
    share = 0.5 * float(torch.rand(1))
    return [times[0], *(b + share * (a - b) for a, b in itertools.pairwise(times[:-1])), times[-1]]


def stuck(process, steps):
    """Divides by what is left of the data at T."""
    return [t + 0.0 / process.at(process.horizon).alpha for t in linear(process, steps)]


def tensor_grid(process, steps):
    """Gives a tensor, whose entries are no Python numbers."""
    return torch.tensor(linear(process, steps), dtype=torch.float64)


def rounded(process, steps):
    """Rounds to three digits."""
    return [round(t, 3) for t in linear(process, steps)]


def lenient(process, steps):
    """Takes no step where none is asked for."""
    return linear(process, steps) if steps else [process.horizon]


def capped(process, steps):
    """Takes 100 steps at most."""
    return linear(process, min(steps, 100))


def backwards(process, steps):
    """Takes −1 for 1."""
    return linear(process, abs(steps))
