"""Random numbers that belong to samples, not to batches.

A `Generator` draws its numbers in *lanes*: blocks of consecutive samples. Each lane has its own torch generator, whose
seed depends only on the run's seed and the number of the lane. Sample i therefore gets the same numbers, however a run
is cut into chunks or distributed over processes. Nothing here reads or writes torch's global random state.
"""

import hashlib
import secrets
from collections.abc import Callable

import torch
from torch import Tensor

LANE_NUMBERS = 4096
"""Numbers in one draw of a lane of small samples: 2048 samples in two dimensions."""

LANE_SAMPLES = 16
"""Samples in a lane of large samples, such as images: each lane costs one GPU kernel, so lanes should be few."""

LANE_LIMIT = 2**20
"""Most numbers in a lane of large samples: this many are worth a kernel, and more would be drawn for nothing."""


def seed_of(seed: int, *path: int | str) -> int:
    """Return a seed for the stream named by `path`; streams with different names are independent."""
    key = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


def torch_generator(seed: int, *path: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator for the stream named by `path`."""
    return torch.Generator(device).manual_seed(seed_of(seed, *path))


def lane_size(numbers: int) -> int:
    """Return the number of samples per lane, for samples of `numbers` numbers each."""
    return max(1, LANE_NUMBERS // numbers, min(LANE_SAMPLES, LANE_LIMIT // numbers))


class Generator:
    """The source of all randomness of a loop over samples.

    Args:
        seed: The run's seed; None draws one from the operating system.
        first: The number of the sample in row 0 of every tensor.
        device: Where numbers are drawn.
        source: A torch generator to draw from in place of lanes. Seed, first and device then have no effect.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        first: int = 0,
        device: torch.device | str = "cpu",
        source: torch.Generator | None = None,
    ):
        self.seed = secrets.randbits(63) if seed is None else seed
        self.first = first
        self.device = torch.device(device)
        self._source = source
        self._lanes: dict[tuple[int, int], torch.Generator] = {}

    @classmethod
    def of(
        cls, source: "Generator | torch.Generator | int | None", device: torch.device | str = "cpu"
    ) -> "Generator":
        """Return a `Generator` from what users pass: a generator, also of torch, a seed, or None for a new seed."""
        if isinstance(source, Generator):
            return source
        if isinstance(source, torch.Generator):
            return cls(0, device=source.device, source=source)
        return cls(source, device=device)

    def normal(self, like: Tensor) -> Tensor:
        """Draw independent N(0, 1) with the shape, dtype and device of `like`; axis 0 counts samples."""
        return self._draw(torch.randn, like)

    def uniform(self, like: Tensor) -> Tensor:
        """Draw independent U[0, 1) with the shape, dtype and device of `like`; axis 0 counts samples."""
        return self._draw(torch.rand, like)

    def enter(self, start: float, end: float) -> None:
        """Begin the step from time `start` to `end`; noise that is drawn independently does not depend on it."""

    def leave(self) -> None:
        """End the step."""

    def _draw(self, draw: Callable[..., Tensor], like: Tensor) -> Tensor:
        if like.is_meta or like.numel() == 0:
            return torch.empty_like(like)
        if self._source is not None:
            drawn = draw(like.shape, generator=self._source, dtype=like.dtype, device=self._source.device)
            return drawn.to(like.device)
        n, *shape = like.shape
        size = lane_size(like[:1].numel())
        lanes = range(self.first // size, (self.first + n - 1) // size + 1)
        blocks = [
            draw((size, *shape), generator=self._lane(size, lane), dtype=like.dtype, device=self.device)
            for lane in lanes
        ]
        drawn = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        skip = self.first - lanes.start * size
        return drawn[skip : skip + n].to(like.device)

    def _lane(self, size: int, lane: int) -> torch.Generator:
        if (size, lane) not in self._lanes:
            self._lanes[size, lane] = torch_generator(self.seed, "lane", size, lane, device=self.device)
        return self._lanes[size, lane]
