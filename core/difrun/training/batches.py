"""What a training step learns from, as a pure function of the seed and the number of the step.

The order of the examples comes from generators seeded by (seed, epoch), their times and noise from generators
seeded by (seed, block of steps), and what layers draw themselves from torch's global generator, seeded by
(seed, step). So a state that is saved after any step continues bit for bit, and holds no generator.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from difrun.loss.base import Loss
from difrun.randomness.generator import Generator, seed_of, torch_generator

BLOCK_STEPS = 64
"""Most steps whose times and noise are drawn at once, which costs about as much as one of them."""

BLOCK_NUMBERS = 2_000_000
"""Most coordinates of examples drawn at once: some 50 MB of inputs, targets and noise."""

ORDER_ROWS = 4096
"""A data set of fewer examples is permuted several times by one generator, until it makes so many."""

Examples = dict[str, Tensor]


class Batches:
    """The examples of every step: what `Loss.evaluate` takes.

    data: (N, *shape). batch: examples per step. noise: what each example is paired with, of the shape of `data`; None
    lets the loss draw it. labels: (N,) int64; they come as ``label`` beside what the loss drew, each put to −1, for any
    class, with probability `label_dropout`. device: where to train; what each block needs is brought there; None: that
    of `data`.
    Every epoch is a permutation of the data; an example left over at its end stands in a batch with the
    next epoch's.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        data: Tensor,
        batch: int,
        seed: int,
        noise: Tensor | None = None,
        labels: Tensor | None = None,
        label_dropout: float = 0.0,
        device: torch.device | str | None = None,
    ):
        self.model, self.loss, self.data, self.batch, self.seed = model, loss, data, batch, seed
        self.noise, self.labels, self.label_dropout = noise, labels, label_dropout
        self.device = data.device if device is None else torch.device(device)
        # The size of a block may depend on nothing that differs between a run and its continuation.
        numbers = batch * max(1, data[:1].numel())
        self.steps = max(1, min(BLOCK_STEPS, BLOCK_NUMBERS // numbers))
        self._block: tuple[int, list[Examples]] = -1, []
        self._order: tuple[int, Tensor] = -1, torch.empty(0)

    def __getitem__(self, step: int) -> Examples:
        """The examples of a step, counted from 0. Steps are best asked for in order."""
        block, place = divmod(step, self.steps)
        if block != self._block[0]:
            self._block = block, self._draw(block)
        return self._block[1][place]

    @torch.no_grad()
    def _draw(self, block: int) -> list[Examples]:
        rows = self.steps * self.batch
        order = self.order(block * rows, (block + 1) * rows)
        random = Generator.of(torch_generator(self.seed, "train", block, device=self.device))
        couples = {} if self.noise is None else {"noise": self._brought(self.noise, order)}
        drawn = self.loss.draw(self.model, self._brought(self.data, order), random, **couples)
        if self.labels is not None:
            drawn["label"] = self._dropped(self._brought(self.labels, order), block)
        parts = zip(*(tensor.split(self.batch) for tensor in drawn.values()), strict=True)
        return [dict(zip(drawn, part, strict=True)) for part in parts]

    def _brought(self, rows: Tensor, order: Tensor) -> Tensor:
        return rows[order.to(rows.device)].to(self.device)

    def _dropped(self, labels: Tensor, block: int) -> Tensor:
        """The labels of a block, some of them −1; the numbers that decide are those of the block alone."""
        random = torch_generator(self.seed, "labels", block)
        dropped = torch.rand(len(labels), generator=random) < self.label_dropout
        return labels.masked_fill(dropped.to(labels.device), -1)

    def order(self, start: int, stop: int) -> Tensor:
        """Which examples stand at the places start, ..., stop − 1 of the endless sequence of epochs."""
        n = len(self.data)
        passes = math.ceil(ORDER_ROWS / n)
        parts = []
        while start < stop:
            epoch, place = divmod(start, passes * n)
            if epoch != self._order[0]:
                random = torch_generator(self.seed, "epoch", epoch)
                orders = [torch.randperm(n, generator=random) for _ in range(passes)]
                self._order = epoch, torch.cat(orders)
            part = self._order[1][place : place + stop - start]
            parts.append(part)
            start += len(part)
        return torch.cat(parts)


@contextmanager
def private_randomness(device: torch.device) -> Iterator[None]:
    """Give torch's global generators of the CPU and of the device back as they were."""
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=[_index(device)] if device.type == "cuda" else []):
            yield
    finally:
        if mps is not None:
            torch.mps.set_rng_state(mps)


def seeder(device: torch.device, seed: int) -> Callable[[int], Any]:
    """A function that seeds torch's global generator of the device for a step.

    Layers such as dropout draw from that generator. Seeding it at every step makes their numbers, too, a
    function of the step; a seed per block would not survive a stop inside the block. It costs a microsecond.
    """
    base = seed_of(seed, "network")
    if device.type == "mps":
        return lambda step: torch.mps.manual_seed(base + step)
    cuda = device.type == "cuda"
    generator = torch.cuda.default_generators[_index(device)] if cuda else torch.default_generator
    return lambda step: generator.manual_seed(base + step)


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index
