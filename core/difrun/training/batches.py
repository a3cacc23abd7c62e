"""The examples of every training step, as a pure function of the seed and the number of the step.

The order of the examples comes from generators seeded by (seed, epoch), their times and noise from generators seeded
by (seed, block of steps), and what layers such as dropout draw comes from torch's global generator, seeded by (seed,
step). Training therefore continues bit for bit from a state saved after any step, and that state holds no generator.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from difrun.loss.base import Loss
from difrun.randomness.generator import Generator, seed_of, torch_generator

BLOCK_STEPS = 64
"""Most steps whose times and noise are drawn at once; a block costs about as much to draw as one step."""

BLOCK_NUMBERS = 2_000_000
"""Most coordinates of examples drawn at once: some 50 MB of inputs, targets and noise."""

ORDER_ROWS = 4096
"""A smaller data set is permuted several times by one generator, until there are this many rows."""

Examples = dict[str, Tensor]


class TrainedModel(Protocol):
    """What the trainer needs of a model. The loss asks for the rest: a `difrun.loss.Regression` for a `ScoreModel`."""

    @property
    def network(self) -> nn.Module:
        """The network, whose parameters are trained."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move the network, and whatever else the model holds, to a device."""
        ...


class Batches:
    """The examples of every step: what `Loss.evaluate` takes.

    Every epoch is a permutation of the data. Examples left over at its end share a batch with those of the next epoch.

    Args:
        model: The model that the loss compares with data.
        loss: The loss, whose `draw` makes the examples.
        data: (N, *shape).
        batch: Examples per step.
        seed: The seed of all random numbers.
        noise: The noise that each example is paired with, of the shape of `data`; None lets the loss draw it.
        labels: Classes (N,) int64 or conditions (N, *shape); they are added as ``label`` to what the loss draws.
        label_dropout: Probability with which a class is replaced by −1, any class, and a condition by NaN.
        device: Where to train; None is the device of `data`. What a block needs is brought there.
        hides: Whether entries of the conditions are hidden at random as well, so that all subsets of them are learned.
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
        hides: bool = False,
    ):
        self.model, self.loss, self.data, self.batch, self.seed = model, loss, data, batch, seed
        self.noise, self.labels, self.label_dropout, self.hides = noise, labels, label_dropout, hides
        self.device = data.device if device is None else torch.device(device)
        # The size of a block must not depend on anything that differs between a run and its continuation.
        numbers = batch * max(1, data[:1].numel())
        self.steps = max(1, min(BLOCK_STEPS, BLOCK_NUMBERS // numbers))
        self._block: tuple[int, list[Examples]] = -1, []
        self._order: tuple[int, Tensor] = -1, torch.empty(0)

    def __getitem__(self, step: int) -> Examples:
        """Return the examples of a step, counted from 0. Asking for steps in order is fastest."""
        block, place = divmod(step, self.steps)
        if block != self._block[0]:
            self._block = block, self._draw(block)
        return self._block[1][place]

    @torch.no_grad()
    def _draw(self, block: int) -> list[Examples]:
        rows = self.steps * self.batch
        order = self.order(block * rows, (block + 1) * rows)
        random = Generator.of(torch_generator(self.seed, "train", block, device=self.device))
        couples = {} if self.noise is None else {"noise": self._on_device(self.noise, order)}
        drawn = self.loss.draw(self.model, self._on_device(self.data, order), random, **couples)
        if self.labels is not None:
            drawn["label"] = self._dropped(self._on_device(self.labels, order), block)
        parts = zip(*(tensor.split(self.batch) for tensor in drawn.values()), strict=True)
        return [dict(zip(drawn, part, strict=True)) for part in parts]

    def _on_device(self, rows: Tensor, order: Tensor) -> Tensor:
        return rows[order.to(rows.device)].to(self.device)

    def _dropped(self, labels: Tensor, block: int) -> Tensor:
        """The labels of a block, some of them without content; which of them depends on the block alone."""
        random = torch_generator(self.seed, "labels", block)
        dropped = torch.rand(len(labels), generator=random) < self.label_dropout
        if not labels.is_floating_point():
            return labels.masked_fill(dropped.to(labels.device), -1)
        hidden = dropped[:, None].expand(-1, labels[0].numel())
        if self.hides:
            hidden = hidden | _subsets(len(labels), labels[0].numel(), random)
        return labels.masked_fill(hidden.reshape(labels.shape).to(labels.device), math.nan)

    def order(self, start: int, stop: int) -> Tensor:
        """Return the numbers of the examples at places start, ..., stop − 1 of the endless sequence of epochs."""
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


def _subsets(rows: int, size: int, random: torch.Generator) -> Tensor:
    """For each row a random subset of at least one of the entries, every number of them as often, (rows, size)."""
    count = torch.randint(1, size + 1, (rows, 1), generator=random)
    return torch.rand((rows, size), generator=random).argsort(1).argsort(1) < count


@contextmanager
def private_randomness(device: torch.device) -> Iterator[None]:
    """Restore torch's global generators of the CPU and of the device at the end of the block."""
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=[_index(device)] if device.type == "cuda" else []):
            yield
    finally:
        if mps is not None:
            torch.mps.set_rng_state(mps)


def seeder(device: torch.device, seed: int) -> Callable[[int], Any]:
    """Return a function that seeds torch's global generator of the device for a step.

    Layers such as dropout draw from that generator. Seeding it at every step, which costs a microsecond, makes their
    numbers a function of the step too; a seed per block would not survive a stop inside the block.
    """
    base = seed_of(seed, "network")
    if device.type == "mps":
        return lambda step: torch.mps.manual_seed(base + step)
    cuda = device.type == "cuda"
    generator = torch.cuda.default_generators[_index(device)] if cuda else torch.default_generator
    return lambda step: generator.manual_seed(base + step)


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index
