"""The contract of a forward process: how data become noise, and the bridge that leads back."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.randomness.generator import Generator

if TYPE_CHECKING:
    from difrun.guidance.guided import LogLikelihoodFunction, Scale

Randomness = Generator | torch.Generator | int | None
"""What users may pass where random numbers are drawn: a generator, a seed, or None for a fresh seed."""


class Distribution(Protocol):
    """A distribution of tensors, as returned by `ForwardProcess.bridge`."""

    @property
    def mean(self) -> Tensor: ...

    def sample(self, generator: Generator) -> Tensor: ...


def numpy_too(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method whose first argument is a tensor take NumPy arrays too, and answer in kind."""

    @functools.wraps(method)
    def wrapped(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = [_tensor(a) for a in args]
        named = {name: _tensor(a) for name, a in kwargs.items()}
        if isinstance(first, Tensor):
            return method(self, first, *tensors, **named)
        return method(self, _tensor(np.asarray(first)), *tensors, **named).numpy()

    return wrapped


def _tensor(value: Any) -> Any:
    """A NumPy array as a tensor, whole numbers as float64; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    return torch.tensor(value if value.dtype.kind == "f" else value.astype(np.float64))


class ForwardProcess:
    """A Markov process that turns data (t = 0) into noise (t = T).

    A subclass says what the process is at an instant, draws its prior, its paths and its bridge, and converts between
    the kinds of prediction that make sense for it. See `difrun.process.GaussianProcess` for the Gaussian family.
    """

    horizon: float
    t_min: Any

    def at(self, t: Any, ndim: int | None = None) -> Any:
        """The instant at t: a number, or a tensor (B,) made ready to broadcast against `ndim` axes."""
        raise NotImplementedError

    def instants(self, times: Iterable[float]) -> list[Any]:
        """The instants of a whole grid, as Python numbers."""
        return [self.at(t) for t in times]

    def display_times(self, count: int) -> list[float]:
        """`count` increasing times from 0 to T at which pictures show the process: evenly spaced unless overridden."""
        return [float(t) for t in torch.linspace(0, self.horizon, count, dtype=torch.float64)]

    def centred(self) -> "ForwardProcess":
        """The same process in coordinates in which its mean is zero; itself where it has none."""
        return self

    def advice(self) -> list[str]:
        """What a user of these options should know before a run, in one or two sentences each; usually nothing."""
        return []

    def prior(
        self,
        shape: tuple[int, ...],
        *,
        mean: Any = 0.0,
        var: Any = 0.0,
        generator: Randomness = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """x_T for `shape` = (n, ...), matched to the moments of the data."""
        raise NotImplementedError

    def sample(self, x0: Any, t: Any, generator: Randomness = None) -> Any:
        """x_t given x_0."""
        raise NotImplementedError

    def path(self, x0: Any, times: Any, generator: Randomness = None) -> Any:
        """One exact joint path per example: (len(times), n, ...)."""
        raise NotImplementedError

    def bridge(self, x_t: Tensor, x0: Tensor, at: Any, to: Any) -> Distribution:
        """q(x_s | x_t, x_0) for s < t; with E[x_0 | x_t] in place of x_0 it is one ancestral step."""
        raise NotImplementedError

    def transition(self, x_s: Tensor, to: Any, at: Any) -> Distribution:
        """q(x_t | x_s) for t = `at` > s = `to`: of processes of finitely many states, whose distributions have a
        `log_prob`."""
        raise NotImplementedError

    def jump_rate(self, x: Tensor, y: Tensor, at: Any) -> Tensor:
        """The rate at which x (n, ...) jumps to y ≠ x, lim q(x_{t+h} = y | x_t = x)/h: (n,). As for `transition`."""
        raise NotImplementedError

    def enumeration(self) -> tuple[Tensor, Tensor]:
        """A small system, for tests: all its examples (m, ...), and all values that these can be noised to, float64.

        As for `transition`; a hundred values or so will do.
        """
        raise NotImplementedError

    def convert(self, prediction: Tensor, x: Tensor, at: Any, source: str, target: str) -> Tensor:
        """The prediction as another kind, through x̂_0 = E[x_0 | x_t]."""
        raise NotImplementedError

    def bound(self, model: Any, x0: Tensor, times: Iterable[float], generator: Randomness = None) -> Tensor:
        """A lower bound on log p(x_0) of what a sampler of this model draws on these times, in nats: (n,), float64.

        For processes that are not Gaussian; of those `difrun.analysis.elbo` knows it.
        """
        raise NotImplementedError

    def coordinates(self, shape: tuple[int, ...]) -> int:
        """How many coordinates an example of this shape has, by which a likelihood per dimension is divided."""
        return math.prod(shape)

    def condition(self, model: Any, log_likelihood: "LogLikelihoodFunction", scale: float) -> Any:
        """The model of p_t(x) L(x, t)^scale up to a constant, for log L = `log_likelihood`; scale 0: `model` itself.

        log_likelihood: called with x (n, ...) and an instant, it returns (n,), differentiable in x where the process
        is Gaussian. With log L = log p(y | x_t) and scale 1 it is the exact model given y. Raises DifrunError where the
        process does not know how to be conditioned.
        """
        raise DifrunError(
            f"a model of the process {type(self).__name__} cannot be guided by a likelihood: the process does not say "
            "how (`ForwardProcess.condition`)."
        )

    def extrapolate(self, model: Any, labels: Tensor, scale: "Scale") -> Any:
        """The model of p_t(x)^{1−s} p_t(x | class)^s up to a constant, for a batch of these labels (n,).

        scale: s at an instant. s = 1 is the model of the class. Raises DifrunError where the process does not know how.
        """
        raise DifrunError(
            f"a model of the process {type(self).__name__} cannot be guided without a classifier: the process does not "
            "say how (`ForwardProcess.extrapolate`)."
        )

    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """The score model around a network F(x, level), for data of these moments: what training improves.

        options: those of the parameterisation, such as `predicts` for Gaussian processes.
        """
        raise NotImplementedError
