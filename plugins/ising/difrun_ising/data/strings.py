"""Strings over an alphabet, from a Markov chain."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from difrun.data import Dataset, Drawing, Scene, pictured
from difrun.randomness import torch_generator


def string_pictures(scene: Scene) -> Iterable[Drawing]:
    """The pictures of `difrun_ising.report.pictures`, which imports Matplotlib."""
    from difrun_ising.report import pictures

    return pictures.string_pictures(scene)


@pictured(string_pictures)
def markov(
    *, seed: int, length: int = 16, letters: int = 4, stay: float = 0.7, n: int = 5000, held_out: int = 2000
) -> Dataset:
    r"""Strings of a Markov chain over K letters, one-hot.

    The first letter is uniform. Every other one repeats the last with probability s = `stay`, and is any of the others
    with (1 − s)/(K − 1). The entropy is

        log K + (length − 1)·[−s log s − (1 − s) log((1 − s)/(K − 1))].

    Args:
        seed: The seed of the draws.
        length: The number of letters of a string.
        letters: K.
        stay: s.
        n: The number of strings to train on.
        held_out: The number of strings that are not trained on.

    Returns:
        Strings of shape (length, K).
    """
    change = (1 - stay) / (letters - 1)

    def fresh(n: int, generator: torch.Generator) -> Tensor:
        changes = torch.rand(n, length, generator=generator) >= stay
        jumps = torch.randint(1, letters, (n, length), generator=generator)
        first = torch.randint(letters, (n,), generator=generator)
        moves = torch.where(changes, jumps, 0)
        moves[:, 0] = first
        return functional.one_hot(moves.cumsum(1) % letters, letters).float()

    def log_density(x: Tensor) -> Tensor:
        repeats = (x[:, 1:] * x[:, :-1]).sum((1, 2)).double()
        changes = length - 1 - repeats
        return repeats * np.log(stay) + changes * np.log(change) - np.log(letters)

    random = torch_generator(seed, "dataset", "markov")
    entropy_rate = -stay * np.log(stay) - (1 - stay) * np.log(change)
    return Dataset(
        name=f"markov {length} of {letters}",
        train=fresh(n, random),
        held_out=fresh(held_out, random),
        fresh=fresh,
        log_density=log_density,
        entropy=float(np.log(letters) + (length - 1) * entropy_rate),
    )
