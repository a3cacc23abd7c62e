"""The contract of a forward process: how data become noise, and the bridge that leads back."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.process.distribution import Distribution
from difrun.randomness.generator import Generator

if TYPE_CHECKING:
    from difrun.guidance.conditioned import LogLikelihoodFunction, Scale

Randomness = Generator | torch.Generator | int | None
"""What users may pass where random numbers are drawn: a generator, a seed, or None for a fresh seed."""


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
        """Return the instant at a time: the time with the values of the process at it.

        Args:
            t: A number, or a tensor (n,) with the time of each example.
            ndim: For a tensor, the number of axes of x (n, ...), against which the values are to broadcast: they then
                have the shape (n, 1, ..., 1). None keeps the shape of t.

        Returns:
            The instant. Its values are Python numbers if t is one, else tensors.
        """
        raise NotImplementedError

    def instants(self, times: Iterable[float]) -> list[Any]:
        """Return the instants of a whole grid.

        Args:
            times: The times of the grid, steps + 1 numbers.

        Returns:
            An instant for each time, whose values are Python numbers.
        """
        return [self.at(t) for t in times]

    def display_times(self, count: int) -> list[float]:
        """Return `count` increasing times from 0 to T at which pictures show the process: by default even ones."""
        return [float(t) for t in torch.linspace(0, self.horizon, count, dtype=torch.float64)]

    def centred(self) -> "ForwardProcess":
        """Return this process in coordinates in which its mean is zero."""
        return self

    def state_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one state x_t: by default that of an example.

        A process whose states have more coordinates than data, such as a velocity beside each, overrides it, and
        `observed` with it.

        Args:
            shape: The shape of one example.
        """
        return tuple(shape)

    def observed(self, x: Tensor) -> Tensor:
        """Return what states have of the shape of examples: by default all.

        Args:
            x: States, (n, *state_shape(shape)).

        Returns:
            The coordinates of data, (n, *shape).
        """
        return x

    def advice(self) -> list[str]:
        """Return remarks on these options that a user should read before a run, of one or two sentences each."""
        return []

    def prior(
        self,
        shape: tuple[int, ...],
        *,
        mean: Any = 0.0,
        var: Any = 0.0,
        t: float | None = None,
        generator: Randomness = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Draw x_T from the prior, matched to the moments of the data; given t, x_t.

        Args:
            shape: The shape (n, *state_shape) of the draw.
            mean: Mean of the data: a number, or a tensor that broadcasts against examples.
            var: Variance of the data, in the same form.
            t: The time; None is T.
            generator: The source of random numbers.
            dtype: The dtype of x_t.
            device: The device of x_t.

        Returns:
            x_t, of shape `shape`.
        """
        raise NotImplementedError

    def decide(self, model: Any, x: Tensor, times: Sequence[float], generator: Randomness = None) -> Tensor:
        """Return x at the end of sampling on these times with all of it decided: a state of the data, but for noise.

        Only processes with states that data do not have, such as masks, change x.

        Args:
            model: The model that was sampled.
            x: The sample at times[-1], (n, ...).
            times: The times of the sampling.
            generator: The source of random numbers.
        """
        return x

    def sample(self, x0: Any, t: Any, generator: Randomness = None) -> Any:
        """Draw x_t given x_0.

        Args:
            x0: Examples (n, ...).
            t: A time, or one for each example (n,).
            generator: The source of random numbers.

        Returns:
            x_t, of the shape of `x0`, or with more coordinates (`state_shape`).
        """
        raise NotImplementedError

    def path(self, x0: Any, times: Any, generator: Randomness = None) -> Any:
        """Draw an exact joint path of every example.

        Args:
            x0: Examples (n, ...).
            times: The increasing times at which the path is returned.
            generator: The source of random numbers.

        Returns:
            The paths, (len(times), n, ...).
        """
        raise NotImplementedError

    def bridge(self, x_t: Tensor, x0: Tensor, at: Any, to: Any) -> Distribution:
        """Return q(x_s | x_t, x_0) for s < t; with E[x_0 | x_t] in place of x_0 it is one ancestral step.

        Args:
            x_t: The state at t, (n, ...).
            x0: The examples, or their expectations given x_t, of the shape of `x_t`.
            at: The instant of t.
            to: The instant of s.

        Returns:
            The distribution of x_s, whose samples have the shape of `x_t`.
        """
        raise NotImplementedError

    def transition(self, x_s: Tensor, to: Any, at: Any) -> Distribution:
        """Return q(x_t | x_s) for t = `at` > s = `to`.

        Only for processes of finitely many states, whose distributions have a `log_prob`.

        Args:
            x_s: The state at s, (n, ...).
            to: The instant of s.
            at: The instant of t.

        Returns:
            The distribution of x_t, whose samples have the shape of `x_s`.
        """
        raise NotImplementedError

    def jump_rate(self, x: Tensor, y: Tensor, at: Any) -> Tensor:
        """Return the rate lim q(x_{t+h} = y | x_t = x)/h at which x jumps to y ≠ x.

        Only for processes of finitely many states.

        Args:
            x: The states before the jump, (n, ...).
            y: The states after it, of the same shape.
            at: The instant of t.

        Returns:
            The rate of each jump, in 1/time, (n,).
        """
        raise NotImplementedError

    def enumeration(self) -> tuple[Tensor, Tensor]:
        """Return a small system for tests: all its examples (m, ...), and all their noised values, float64.

        Only for processes of finitely many states. About a hundred values are enough.
        """
        raise NotImplementedError

    def convert(self, prediction: Tensor, x: Tensor, at: Any, source: str, target: str) -> Tensor:
        """Convert a prediction to another kind, through x̂_0 = E[x_0 | x_t].

        Args:
            prediction: The prediction of kind `source`, (n, ...).
            x: The state x_t for which it was made, of the same shape.
            at: The instant of t.
            source: The kind of the prediction, such as "x0", "noise" or "score".
            target: The kind to return.

        Returns:
            The prediction of kind `target`, (n, ...).
        """
        raise NotImplementedError

    def bound(
        self, model: ScoreModel, x0: Tensor, times: Iterable[float], generator: Randomness = None
    ) -> Tensor:
        """Return a lower bound on log p(x_0) of the distribution that is sampled on a grid.

        Only for processes that are not Gaussian; for those, see `difrun.analysis.elbo`.

        Args:
            model: The model that is sampled.
            x0: Examples (n, ...).
            times: The times of the grid, decreasing from T to t_min.
            generator: The source of random numbers.

        Returns:
            The bound for each example, in nats: (n,), float64.
        """
        raise NotImplementedError

    def coordinates(self, shape: tuple[int, ...]) -> int:
        """Return the number of coordinates of an example, by which a likelihood per dimension is divided.

        Args:
            shape: The shape of one example.
        """
        return math.prod(shape)

    def condition(self, model: ScoreModel, log_likelihood: "LogLikelihoodFunction", scale: float) -> Any:
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

    def extrapolate(self, model: ScoreModel, labels: Tensor, scale: "Scale") -> Any:
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
