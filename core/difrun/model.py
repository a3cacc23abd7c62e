r"""Score models: whatever can say E[x_0 | x_t].

A network F becomes a model by preconditioning. With y = x − E[x_t], m and σ_d the mean and standard deviation of the
data, and S² = α²σ_d² + σ²,

    x̂_0 = m + c_skip y + c_out F(c_in y; c_noise),    c_in = 1/S,    c_noise = ¼ ln(σ/α),

and the kind that F predicts decides c_skip and c_out (`difrun.kinds`): "edm" gives those of Karras et al. (2022,
arXiv 2206.00364, table 1), "noise" those of a noise predictor, and so on.
"""

import copy
import math
from collections.abc import Mapping, Sequence
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
    inner: the model that a wrapper asks; None for one that answers itself.
    shares: how the classes are spread in the data, for a model that was trained on labels and draws by them; else ().
    labels: the class of every row of the batch, (n,) int64, −1 for any; None: any class for all (`given`).
    class_moments: mean and variance of the data of every class, (classes, *shape) each, where they are known.
    knows_any: whether it can be asked without a class; not if it was trained with the label of every example.
    """

    process: Any
    shape: tuple[int, ...]
    mean: Any = 0.0
    var: Any = 0.0
    kind: str = "x0"
    cov: Tensor | None = None
    tunings: Mapping[int, Any] = MappingProxyType({})
    inner: Any = None
    _shares: tuple[float, ...] = ()
    _labels: Tensor | None = None
    _knows_any: bool = True
    class_moments: tuple[Tensor, Tensor] | None = None

    @property
    def shares(self) -> tuple[float, ...]:
        return self._shares if self.inner is None else self.inner.shares

    @shares.setter
    def shares(self, shares: tuple[float, ...]) -> None:
        self._shares = tuple(shares)

    @property
    def labels(self) -> Tensor | None:
        return self._labels if self.inner is None else self.inner.labels

    @property
    def classes(self) -> int:
        """How many classes `given` knows; 0 where there are none."""
        return len(self._shares) if self.inner is None else self.inner.classes

    @property
    def knows_any(self) -> bool:
        return self._knows_any if self.inner is None else self.inner.knows_any

    def given(self, labels: Tensor) -> "ScoreModel":
        """The model of p(x | class) for a batch whose row i is of the class labels[i]; −1 stands for any.

        labels: (n,) int64. What is returned answers batches of n rows; this model stays as it is. A wrapper passes it
        on to `inner`. Raises DifrunError for a model without classes, and for a class that there is not.
        """
        if self.inner is not None:
            changed = copy.copy(self)
            changed.inner = self.inner.given(labels)
            return changed
        if not self.classes:
            raise DifrunError(
                "this model knows no classes: it was made for data without labels, or trained without them "
                "(--train.label-dropout 1)."
            )
        check_labels(labels, self.classes)
        changed = copy.copy(self)
        changed._labels = labels
        return changed

    def refuse_times(self, times: Sequence[float]) -> None:
        """Raise DifrunError where the model cannot be sampled on the grid of these times; asked before a run."""

    def moments(self) -> tuple[Any, Any]:
        """Mean and variance of the data that its batch is to be: of the class of every row, where these are known.

        From these the prior is matched. With α_T > 0 that of all classes is wrong for one: it moves weights of modes.
        """
        labels = self.labels
        if labels is None:
            return self.mean, self.var
        if self.inner is not None:
            return self.inner.moments()
        if self.class_moments is None:
            return self.mean, self.var
        means, variances = (
            torch.cat((torch.as_tensor(each), torch.as_tensor(every).to(each)[None]))
            for each, every in zip(self.class_moments, (self.mean, self.var), strict=True)
        )
        labels = labels.to(means.device)
        return means[labels], variances[labels]  # the last is for −1, any class

    def rows(self, index: Any) -> "ScoreModel":
        """This model for some rows of its batch, by number or slice: what `given` said of them goes with them."""
        labels = self.labels
        if labels is None:
            return self
        return self.given(labels[index.to(labels.device) if isinstance(index, Tensor) else index])

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
        Where the model has classes (`shares`) also with the labels (n,) int64, −1 for none.
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
        output = self._output(self._input(y, at), self._level(y, at), self._labels)
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
        return mix(a + b * p, x, b * q, self._output(x, self._level(x, at), self._labels))

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
        output = self._output(examples["input"], examples["level"], examples.get("label"))
        return output - examples["target"]

    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        explicit = getattr(self.network, "pullback", None)
        if explicit is None:
            return None
        label = self._condition(examples["input"], examples.get("label"))
        output, pull = explicit(examples["input"], examples["level"], *label)
        return output - examples["target"], pull

    def _output(self, x: Tensor, level: Tensor, label: Tensor | None) -> Tensor:
        return self.network(x, level, *self._condition(x, label))

    def _condition(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, ...]:
        """What the network gets beside x and its level: the labels (n,), if it knows any."""
        return (for_rows(label, x),) if self._shares else ()

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
        self.inner: ScoreModel = model
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

    def moments(self) -> tuple[Any, Any]:
        if self.labels is None:
            return self.mean, self.var
        mean, var = self.inner.moments()
        return mean - torch.as_tensor(self.offset, dtype=mean.dtype, device=mean.device), var


class Counted(ScoreModel):
    """A model that counts how often it is evaluated: `evaluations` batches, `examples` in all of them."""

    def __init__(self, model: ScoreModel):
        self.inner: ScoreModel = model
        self.process, self.shape, self.kind = model.process, model.shape, model.kind
        self.mean, self.var, self.tunings = model.mean, model.var, model.tunings
        self.cov, self.principal = model.cov, model.principal
        self._counts = {
            "evaluations": 0,
            "examples": 0,
        }  # one for this model and all that `given` makes of it

    @property
    def evaluations(self) -> int:
        return self._counts["evaluations"]

    @evaluations.setter
    def evaluations(self, count: int) -> None:
        self._counts["evaluations"] = count

    @property
    def examples(self) -> int:
        return self._counts["examples"]

    @examples.setter
    def examples(self, count: int) -> None:
        self._counts["examples"] = count

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

    def __getattr__(self, name: str) -> Any:
        """What a model has beside this contract; what is called with a batch is an evaluation, too."""
        if "inner" not in self.__dict__:  # while it is being copied
            raise AttributeError(name)
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def counted(*args: Any, **more: Any) -> Any:
            if args and isinstance(args[0], Tensor):
                self.evaluations += 1
                self.examples += len(args[0])
            return found(*args, **more)

        return counted


def spread(shares: Sequence[float], n: int) -> Tensor:
    """n labels in the proportion of `shares`, (n,) int64: after any number of them no class is off by as much as 2.

    The j-th of class k stands where it is due, at (j − ½)/share_k (the method of Webster and Sainte-Laguë), so that the
    first m labels are the same whatever n is.
    """
    places, owners = [], []
    for label, share in enumerate(shares):
        if share > 0:
            count = min(n, math.ceil(n * share) + 2)
            places.append((torch.arange(count, dtype=torch.float64) + 0.5) / share)
            owners.append(torch.full((count,), label))
    order = torch.cat(places).argsort(stable=True)
    return torch.cat(owners)[order[:n]]


def typical(model: ScoreModel, n: int) -> ScoreModel:
    """The model for n rows of the classes of the data, in their proportion; a model without classes as it is."""
    shares = getattr(model, "shares", ())
    return model.given(spread(shares, n)) if shares else model


def for_rows(labels: Tensor | None, x: Tensor) -> Tensor:
    """The labels of the rows of x, on its device; −1 for all where there are none.

    Raises DifrunError where they are of another number of rows.
    """
    if labels is None:
        return torch.full((len(x),), -1, device=x.device)
    if len(labels) != len(x):
        raise DifrunError(
            f"a model that was given the classes of {len(labels)} rows is asked about {len(x)}; "
            "`rows` picks those of some rows."
        )
    return labels.to(x.device)


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise DifrunError unless labels are (n,) int64 from −1 to classes − 1."""
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise DifrunError(
            f"labels are whole numbers (n,), int64; not {labels.dtype} of shape {tuple(labels.shape)}."
        )
    if len(labels) and not (int(labels.min()) >= -1 and int(labels.max()) < classes):
        wrong = int(labels.min()) if int(labels.min()) < -1 else int(labels.max())
        raise DifrunError(
            f"there is no class number {wrong}: the model knows 0 to {classes - 1}, and −1 for any."
        )


def _std(var: Tensor) -> float:
    return math.sqrt(float(var.cpu().double().mean())) or 1.0
