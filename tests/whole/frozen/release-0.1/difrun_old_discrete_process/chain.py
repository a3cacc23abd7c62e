"""Spins to try the process on, and a number that tells them from noise."""

import torch
from difrun.data import Dataset
from difrun.metric import Reading, reads
from difrun.randomness import torch_generator
from torch import Tensor


def chain(*, seed: int, n: int = 2000, size: int = 6, like: float = 0.8) -> Dataset:
    """Spins ±1 in a row, a Markov chain: each is like the one before it with probability `like`.

    Args:
        seed: The seed of the examples.
        n: The number of training examples; as many are held out.
        size: The number of spins.
        like: The probability that two spins beside each other are alike.

    Returns:
        The examples, (n, size).
    """

    def draw(count: int, generator: torch.Generator) -> Tensor:
        flips = torch.rand((count, size), generator=generator) >= like
        flips[:, 0] = torch.rand(count, generator=generator) < 0.5
        return torch.where(flips, -1.0, 1.0).cumprod(1)

    return Dataset(
        name="old-discrete-process-chain",
        train=draw(n, torch_generator(seed, "old-discrete-process-chain", "train")),
        held_out=draw(n, torch_generator(seed, "old-discrete-process-chain", "held out")),
        fresh=draw,
    )


@reads({"old-discrete-process-bonds": Reading(None, ratio=True, meaning="Share of neighbours that are alike")})
def bonds(samples: Tensor) -> dict[str, float]:
    """Share of the pairs of spins beside each other that are alike; its floor is that of real examples."""
    return {"old-discrete-process-bonds": float((samples[:, 1:] * samples[:, :-1] > 0).double().mean())}
