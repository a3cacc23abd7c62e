r"""Score models: whatever can say E[x_0 | x_t].

A network F becomes a model by preconditioning. With y = x − E[x_t], m and σ_d the mean and standard deviation of the
data, and S² = α²σ_d² + σ²,

    x̂_0 = m + c_skip y + c_out F(c_in y; c_noise),    c_in = 1/S,    c_noise = ¼ ln(σ/α),

and the kind that F predicts decides c_skip and c_out (`difrun.kinds`): "edm" gives those of Karras et al. (2022,
arXiv 2206.00364, table 1), "noise" those of a noise predictor, and so on.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from difrun.errors import DifrunError
from difrun.gaussian import GaussianProcess, mix
from difrun.kinds import PARAMETERISATIONS, conversion, is_zero, row
from difrun.reverse import Pull

MOST_CORRELATED = 256
"""Coordinates beyond which nobody takes the covariance of the data: a rotation would cost more than a small network."""

EVEN = 1.5
"""Ratio of the variances along principal axes below which the data count as round."""

LEAST = 1e-4
"""Least variance along an axis, in units of the average: what is narrower is a constant to a sampler."""


class ScoreModel:
    """Something that predicts one kind and, through x̂_0, all others.

    process: the forward process whose noise it removes.
    shape: shape of one example.
    mean, var: moments of the data per coordinate, from which the prior is matched.
    kind: what `forward` returns, one of `difrun.kinds.KINDS` for Gaussian processes.
    cov: covariance of the data (d, d), float64 on the CPU, over the d coordinates of a flattened example; None where it
        is not known or they are many.
    tunings: number of steps -> `difrun.tune.Tuning` that was found for this model.
    """

    process: Any
    shape: tuple[int, ...]
    mean: Any = 0.0
    var: Any = 0.0
    kind: str = "x0"
    cov: Tensor | None = None
    tunings: Mapping[int, Any] = MappingProxyType({})

    @cached_property
    def data_std(self) -> float:
        """σ_d, with σ_d² the average of `var`; 1 where the data do not vary."""
        return _std(torch.as_tensor(self.var))

    @cached_property
    def principal(self) -> tuple[Tensor, Tensor] | None:
        """Principal axes of the data, the columns of (d, d), and standard deviations along them (d,), float64.

        None where `cov` is, and where the variances are equal within a factor `EVEN`. Those of less than `LEAST` times
        σ_d² count as much.
        """
        if self.cov is None:
            return None
        variances, axes = torch.linalg.eigh(self.cov)
        variances = variances.clamp(min=LEAST * self.data_std**2)
        return None if variances[-1] <= EVEN * variances[0] else (axes, variances.sqrt())

    def forward(self, x: Tensor, at: Any) -> Tensor:
        """The prediction of `kind` at x of shape (n, ...)."""
        raise NotImplementedError

    def __call__(self, x: Tensor, at: Any) -> Tensor:
        return self.forward(x, at)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        """The prediction as `kind`: x0, noise, score, velocity, v, straight, ..."""
        return self.process.convert(self(x, at), x, at, self.kind, kind)

    def carry(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        """a·x + b·prediction, what most steps of a sampler are; a model may override it with fewer kernels."""
        return torch.add(a * x, self.predict(x, at, kind), alpha=b)

    def regression(self, x: Tensor, x0: Tensor, noise: Tensor, at: Any, kind: str) -> dict[str, Tensor]:
        """The least-squares problem of predicting `kind` at x = x_t: what `residual` needs, one row per example.

        `gain` is the factor that turns the residual into an error of `kind`: () where it is the same at every time.
        """
        a, b = row(kind, at)
        centre = self.process.centre_like(x)
        target = a * (x0 - centre) + b * noise
        if kind == "x0":
            target = target + centre
        return {"x": x, "t": at.t.reshape(-1), "target": target, "gain": torch.ones((), dtype=at.t.dtype)}

    def residual(self, examples: dict[str, Tensor], kind: str) -> Tensor:
        """Prediction minus target for the examples made by `regression`."""
        x = examples["x"]
        return self.predict(x, self.process.instant(examples["t"], x.ndim), kind) - examples["target"]

    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        """The residual and its reverse pass, of a network that has one (`difrun.reverse`); else None."""
        return None

    def to(self, device: torch.device | str) -> "ScoreModel":
        """Move what the model holds to a device."""
        return self


class NetworkModel(ScoreModel):
    """A network F(x, c_noise) with preconditioning.

    network: called with the scaled input (n, ...) and the noise level (n,) or (1,); returns a tensor like its input.
    predicts: what the network is trained to predict, one of `difrun.kinds.PARAMETERISATIONS`; the model itself answers
        x̂_0 unless asked for another kind.
    mean, var: data moments per coordinate; σ_d² is the average of `var`.
    scaled: False feeds x − μ itself (c_in = 1, no centring on the data), for networks trained elsewhere.
    Raises DifrunError when `predicts` is none of them.
    """

    def __init__(
        self,
        network: nn.Module,
        process: GaussianProcess,
        shape: tuple[int, ...],
        *,
        predicts: str = "edm",
        mean: Tensor | float = 0.0,
        var: Tensor | float = 1.0,
        scaled: bool = True,
    ):
        if predicts not in PARAMETERISATIONS:
            raise DifrunError(
                f"a network cannot predict {predicts!r}; choose one of {', '.join(PARAMETERISATIONS)}"
            )
        self.network = network
        self.process = process
        self.shape = tuple(shape)
        self.predicts = predicts
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.var = torch.as_tensor(var, dtype=torch.float32)
        self.data_std = _std(self.var)
        self.scaled = scaled

    def to(self, device: torch.device | str) -> "NetworkModel":
        self.network.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self.predict(x, at, self.kind)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        y = self._centred(x, at)
        output = self.network(self._input(y, at), self._level(y, at))
        p, q = self._conversion(at, kind)
        prediction = mix(p, y, q, output)
        # The network counts x0 from an origin of the data; the kind counts it from the centre of the process.
        a, _ = row(kind, at)
        if is_zero(a):
            return prediction
        origin = self._origin(x)
        offset = origin if kind == "x0" else origin - self.process.centre_like(x)
        return prediction if isinstance(offset, float) and offset == 0.0 else prediction + a * offset

    def carry(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        if self.scaled or isinstance(self.process.centre_like(x), Tensor):
            return super().carry(x, at, kind, a, b)
        p, q = self._conversion(at, kind)
        return mix(a + b * p, x, b * q, self.network(x, self._level(x, at)))

    def regression(self, x: Tensor, x0: Tensor, noise: Tensor, at: Any, kind: str) -> dict[str, Tensor]:
        y = self._centred(x, at)
        a, b = row(self.predicts, at, self.data_std)
        _, gain = self._conversion(at, kind)
        return {
            "input": self._input(y, at),
            "level": self._level(y, at),
            "target": a * (x0 - self._origin(x)) + b * noise,
            "gain": torch.as_tensor(gain, dtype=at.t.dtype),
        }

    def residual(self, examples: dict[str, Tensor], kind: str) -> Tensor:
        return self.network(examples["input"], examples["level"]) - examples["target"]

    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        explicit = getattr(self.network, "pullback", None)
        if explicit is None:
            return None
        output, pull = explicit(examples["input"], examples["level"])
        return output - examples["target"], pull

    def _conversion(self, at: Any, kind: str) -> tuple[Any, Any]:
        """(p, q) with kind = p·y + q·output.

        x̂_0 cannot be told from a prediction of the noise where nothing of the data is left. There it is what it must
        be, the mean of the data (0, counted from the origin), ε̂ is y/σ, and the output of the network does not count.
        """
        a, _ = row(self.predicts, at, self.data_std)
        c, d = row(kind, at)
        if not is_zero(a) or is_zero(c) or not self.process.forgets:
            return conversion(at, self.predicts, kind, self.data_std)
        blind = at.lam < self.process.lam_range[0]
        if isinstance(blind, bool):
            return (d / at.sigma, 0.0) if blind else conversion(at, self.predicts, kind, self.data_std)
        p, q = conversion(at, self.predicts, kind, self.data_std)
        return torch.where(blind, d / at.sigma, p), torch.where(blind, 0.0, q)

    def _origin(self, x: Tensor) -> Any:
        """What the network counts x_0 from: the mean of the data, or of the process where it is fed unscaled."""
        return self.mean if self.scaled else self.process.centre_like(x)

    def _centred(self, x: Tensor, at: Any) -> Tensor:
        """x − E[x_t]; unscaled x − μ."""
        centre = self.process.centre_like(x)
        if not self.scaled:
            return x - centre if isinstance(centre, Tensor) else x
        return x - (centre + at.alpha * (self.mean - centre))

    def _input(self, y: Tensor, at: Any) -> Tensor:
        return y * (at.alpha**2 * self.data_std**2 + at.var) ** -0.5 if self.scaled else y

    def _level(self, x: Tensor, at: Any) -> Tensor:
        """c_noise = ¼ ln(σ/α), one for all in sampling, one per example in training.

        It stays within the range of the process, which training covers: at α = 0 it would be infinite.
        """
        low, high = self.process.lam_range
        if isinstance(at.lam, float):
            return x.new_full((1,), -max(low, min(high, at.lam)) / 4)
        return (at.lam.clamp(low, high) / -4).reshape(-1)


class Centred(ScoreModel):
    """A model seen from the mean μ of its process: the coordinates of the sampling loop."""

    def __init__(self, model: ScoreModel, like: Tensor):
        self.inner = model
        self.process = model.process.centred()
        self.offset = model.process.centre_like(like)
        self.shape, self.kind, self.var, self.tunings = model.shape, model.kind, model.var, model.tunings
        self.cov, self.principal = model.cov, model.principal
        mean = torch.as_tensor(model.mean)
        self.mean = mean.to(self.offset) - self.offset if isinstance(self.offset, Tensor) else mean

    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self.predict(x, at, self.kind)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        prediction = self.inner.predict(x + self.offset, at, kind)
        return prediction - self.offset if kind == "x0" else prediction


class Counted(ScoreModel):
    """A model that counts how often it is evaluated: `evaluations` batches, `examples` in all of them."""

    def __init__(self, model: ScoreModel):
        self.inner = model
        self.process, self.shape, self.kind = model.process, model.shape, model.kind
        self.mean, self.var, self.tunings = model.mean, model.var, model.tunings
        self.cov, self.principal = model.cov, model.principal
        self.evaluations = self.examples = 0

    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self.predict(x, at, self.kind)

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        self.evaluations += 1
        self.examples += len(x)
        return self.inner.predict(x, at, kind)

    def carry(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        self.evaluations += 1
        self.examples += len(x)
        return self.inner.carry(x, at, kind, a, b)


def _std(var: Tensor) -> float:
    return math.sqrt(float(var.cpu().double().mean())) or 1.0
