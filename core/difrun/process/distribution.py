"""Distributions of states: what the bridge of a process returns."""

from typing import Any, Protocol

import attrs
from torch import Tensor

from difrun.randomness.generator import Generator


class Distribution(Protocol):
    """A distribution of tensors, as returned by `ForwardProcess.bridge`."""

    @property
    def mean(self) -> Tensor:
        """The mean, of the shape of a sample."""
        ...

    def sample(self, generator: Generator) -> Tensor:
        """Draw one sample, of the shape of `mean`."""
        ...


@attrs.frozen(eq=False)
class Normal:
    """The distribution N(mean, std²), independent in every coordinate."""

    mean: Tensor
    std: Any

    def sample(self, generator: Generator) -> Tensor:
        """Draw one sample, of the shape of `mean`."""
        return self.mean + self.std * generator.normal(self.mean)
