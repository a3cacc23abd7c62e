"""Random numbers that belong to samples, not to batches.

A `Generator` deals its numbers in *lanes*: blocks of consecutive samples, each with a torch generator of its own whose
seed depends on the run's seed and the block's number alone. Sample i therefore meets the same numbers however a run is
cut into chunks or spread over processes. Nothing here reads or writes torch's global random state.
"""

import hashlib
import secrets
from collections.abc import Callable

import torch
from torch import Tensor

LANE_NUMBERS = 4096
"""Numbers in one draw of a lane of small samples: 2048 samples in two dimensions."""

LANE_SAMPLES = 16
"""Samples in a lane of large ones, such as images: each lane is one kernel on a GPU, and few should do for a chunk."""

LANE_LIMIT = 2**20
"""Numbers beyond which a lane of large samples is worth its kernel, and would waste more than it saves."""


def seed_of(seed: int, *path: int | str) -> int:
    """A seed for the stream named by `path`; streams of different names are independent."""
    key = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


def torch_generator(seed: int, *path: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for the stream named by `path`."""
    return torch.Generator(device).manual_seed(seed_of(seed, *path))


def lane_size(numbers: int) -> int:
    """Samples per lane, for samples of so many numbers each."""
    return max(1, LANE_NUMBERS // numbers, min(LANE_SAMPLES, LANE_LIMIT // numbers))


class Generator:
    """The source of all randomness of a loop over samples.

    seed: the run's seed; None draws one from the operating system.
    first: number of the sample that row 0 of every tensor belongs to.
    device: where numbers are drawn.
    """

    def __init__(self, seed: int | None = None, *, first: int = 0, device: torch.device | str = "cpu"):
        self.seed = secrets.randbits(63) if seed is None else seed
        self.first = first
        self.device = torch.device(device)
        self._plain: torch.Generator | None = None
        self._lanes: dict[tuple[int, int], torch.Generator] = {}

    @classmethod
    def of(
        cls, source: "Generator | torch.Generator | int | None", device: torch.device | str = "cpu"
    ) -> "Generator":
        """Take what users pass: a generator of either sort, a seed, or None for a fresh seed."""
        if isinstance(source, Generator):
            return source
        if isinstance(source, torch.Generator):
            generator = cls(0, device=source.device)
            generator._plain = source
            return generator
        return cls(source, device=device)

    def normal(self, like: Tensor) -> Tensor:
        """Independent N(0, 1) of the shape, dtype and device of `like`; axis 0 counts samples."""
        return self._draw(torch.randn, like)

    def uniform(self, like: Tensor) -> Tensor:
        """Independent U[0, 1) of the shape, dtype and device of `like`; axis 0 counts samples."""
        return self._draw(torch.rand, like)

    def enter(self, start: float, end: float) -> None:
        """What is drawn from here on is the noise of the step from time `start` to `end`. Fresh noise does not mind."""

    def leave(self) -> None:
        """What is drawn from here on belongs to no step."""

    def _draw(self, distribution: Callable[..., Tensor], like: Tensor) -> Tensor:
        if like.is_meta or like.numel() == 0:
            return torch.empty_like(like)
        if self._plain is not None:
            drawn = distribution(
                like.shape, generator=self._plain, dtype=like.dtype, device=self._plain.device
            )
            return drawn.to(like.device)
        n, *shape = like.shape
        size = lane_size(like[:1].numel())
        lanes = range(self.first // size, (self.first + n - 1) // size + 1)
        blocks = [
            distribution(
                (size, *shape), generator=self._lane(size, lane), dtype=like.dtype, device=self.device
            )
            for lane in lanes
        ]
        drawn = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        skip = self.first - lanes.start * size
        return drawn[skip : skip + n].to(like.device)

    def _lane(self, size: int, lane: int) -> torch.Generator:
        if (size, lane) not in self._lanes:
            self._lanes[size, lane] = torch_generator(self.seed, "lane", size, lane, device=self.device)
        return self._lanes[size, lane]
