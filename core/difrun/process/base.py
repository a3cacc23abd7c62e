"""The contract of a forward process: how data become noise, and the bridge that leads back."""

import functools
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from difrun.data.casts import as_data
from difrun.errors import DifrunError
from difrun.randomness.generator import Generator

if TYPE_CHECKING:
    from difrun.guidance.guided import LogLikelihoodFunction, Scale

Randomness = Generator | torch.Generator | int | None
"""What users may pass where random numbers are drawn: a generator, a seed, or None for a fresh seed."""


class Distribution(Protocol):
    """A distribution of tensors, as returned by `ForwardProcess.bridge`."""

    @property
    def mean(self) -> Tensor:
        """The mean, of the shape of a sample."""
        ...

    def sample(self, generator: Generator) -> Tensor:
        """Draw one sample."""
        ...


def numpy_too(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method whose first argument is a tensor take NumPy arrays too; it then returns an array.

    Whole numbers and half precision become floats in which the method computes (`difrun.data.casts.as_data`).
    """

    @functools.wraps(method)
    def wrapped(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = [_tensor(a) for a in args]
        named = {name: _tensor(a) for name, a in kwargs.items()}
        x = as_data(first)
        if isinstance(first, Tensor):
            return method(self, x, *tensors, **named)
        return method(self, x, *tensors, **named).numpy()

    return wrapped


def _tensor(value: Any) -> Any:
    """A NumPy array as a tensor, and a tensor of other numbers as floats; anything else as it is."""
    return as_data(value) if isinstance(value, np.ndarray | Tensor) else value


class ForwardProcess:
    """A Markov process that turns data (t = 0) into noise (t = T).

    A subclass says what the process is at an instant, draws its prior, its paths and its bridge, and converts between
    the prediction kinds that it has. See `difrun.process.GaussianProcess` for the Gaussian family.

    Attributes:
        horizon: T, the time at which sampling starts.
        t_min: The time at which training and sampling end.
    """

    horizon: float
    t_min: Any

    def at(self, t: Any, ndim: int | None = None) -> Any:
        """Return the instant at t: a number, or a tensor (B,) that is reshaped to broadcast against `ndim` axes."""
        raise NotImplementedError

    def instants(self, times: Iterable[float]) -> list[Any]:
        """Return the instants of a whole grid, as Python numbers."""
        return [self.at(t) for t in times]

    def display_times(self, count: int) -> list[float]:
        """Return `count` increasing times from 0 to T at which pictures show the process: by default even ones."""
        return [float(t) for t in torch.linspace(0, self.horizon, count, dtype=torch.float64)]

    def centred(self) -> "ForwardProcess":
        """Return this process in coordinates in which its mean is zero."""
        return self

    def advice(self) -> list[str]:
        """Return remarks on these options that a user should read before a run, of one or two sentences each."""
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
        """Draw x_T of shape (n, ...) from the prior, matched to the moments of the data."""
        raise NotImplementedError

    def sample(self, x0: Any, t: Any, generator: Randomness = None) -> Any:
        """Draw x_t given x_0."""
        raise NotImplementedError

    def path(self, x0: Any, times: Any, generator: Randomness = None) -> Any:
        """Draw one exact joint path per example: (len(times), n, ...)."""
        raise NotImplementedError

    def bridge(self, x_t: Tensor, x0: Tensor, at: Any, to: Any) -> Distribution:
        """Return q(x_s | x_t, x_0) for s < t; with E[x_0 | x_t] in place of x_0 it is one ancestral step."""
        raise NotImplementedError

    def transition(self, x_s: Tensor, to: Any, at: Any) -> Distribution:
        """Return q(x_t | x_s) for t = `at` > s = `to`.

        Only for processes of finitely many states, whose distributions have a `log_prob`.
        """
        raise NotImplementedError

    def jump_rate(self, x: Tensor, y: Tensor, at: Any) -> Tensor:
        """Return the rate lim q(x_{t+h} = y | x_t = x)/h at which x (n, ...) jumps to y ≠ x: (n,).

        Only for processes of finitely many states.
        """
        raise NotImplementedError

    def enumeration(self) -> tuple[Tensor, Tensor]:
        """Return a small system for tests: all its examples (m, ...), and all their noised values, float64.

        Only for processes of finitely many states. About a hundred values are enough.
        """
        raise NotImplementedError

    def convert(self, prediction: Tensor, x: Tensor, at: Any, source: str, target: str) -> Tensor:
        """Convert a prediction to another kind, through x̂_0 = E[x_0 | x_t]."""
        raise NotImplementedError

    def bound(self, model: Any, x0: Tensor, times: Iterable[float], generator: Randomness = None) -> Tensor:
        """Return a lower bound on log p(x_0) of the samples drawn on these times, in nats: (n,), float64.

        Only for processes that are not Gaussian; for those, see `difrun.analysis.elbo`.
        """
        raise NotImplementedError

    def coordinates(self, shape: tuple[int, ...]) -> int:
        """Return the number of coordinates of an example, by which a likelihood per dimension is divided."""
        return math.prod(shape)

    def condition(self, model: Any, log_likelihood: "LogLikelihoodFunction", scale: float) -> Any:
        """Return the model of p_t(x) L(x, t)^scale, up to a constant.

        With log L = log p(y | x_t) and scale 1 it is the exact model given y; with scale 0 it is `model` itself.

        Args:
            model: The model of p_t(x).
            log_likelihood: log L, called with x (n, ...) and an instant. It returns (n,), differentiable in x where
                the process is Gaussian.
            scale: The exponent of L.

        Raises:
            DifrunError: If the process does not support conditioning.
        """
        raise DifrunError(
            f"a model of the process {type(self).__name__} cannot be guided by a likelihood: the process does not "
            "implement `ForwardProcess.condition`."
        )

    def extrapolate(self, model: Any, labels: Tensor, scale: "Scale") -> Any:
        """Return the model of p_t(x)^{1−s} p_t(x | class)^s, up to a constant.

        Args:
            model: A model that knows classes.
            labels: The class of each row of the batch, (n,).
            scale: s at an instant; s = 1 is the model of the class.

        Raises:
            DifrunError: If the process does not support it.
        """
        raise DifrunError(
            f"a model of the process {type(self).__name__} cannot be guided without a classifier: the process does not "
            "implement `ForwardProcess.extrapolate`."
        )

    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """Return the trainable score model around a network F(x, level).

        Args:
            network: The network, called with x and a noise level.
            shape: Shape of one example.
            mean: Mean of the data per coordinate.
            var: Variance of the data per coordinate.
            **options: Options of the parameterisation, such as `predicts` for Gaussian processes.
        """
        raise NotImplementedError
