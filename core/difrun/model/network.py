r"""Networks as score models.

A network F becomes a model by preconditioning. With y = x − E[x_t], m and σ_d the mean and standard deviation of the
data, and S² = α²σ_d² + σ²,

    x̂_0 = m + c_skip y + c_out F(c_in y; c_noise),    c_in = 1/S,    c_noise = ¼ ln(σ/α),

and the kind that F predicts decides c_skip and c_out (`difrun.model.predictions`): "edm" gives those of Karras et al.
(2022, arXiv 2206.00364, table 1), "noise" those of a noise predictor, and so on.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from difrun.data.casts import as_data
from difrun.errors import DifrunError
from difrun.model.backward import Pull
from difrun.model.base import std_of
from difrun.model.conditional import ConditionalModel
from difrun.model.labels import for_rows
from difrun.model.predictions import PARAMETERISATIONS, coefficients, conversion, is_zero, mix, total_var
from difrun.model.trainable import TrainableModel

if TYPE_CHECKING:
    from difrun.process.gaussian import GaussianProcess


class NetworkModel(TrainableModel, ConditionalModel):
    """A network F(x, c_noise) with preconditioning.

    Args:
        network: Called with the scaled input (n, ...) and the noise level (n,) or (1,); it returns a tensor like its
            input. Where the model has classes (`set_classes`), it is also called with the labels (n,) int64, −1 for
            none; where it has a condition (`set_condition`), with conditions (n, *condition_shape), NaN where they are
            not known.
        process: The forward process.
        shape: Shape of one example.
        predicts: What the network is trained to predict, one of `difrun.model.PARAMETERISATIONS`. The model itself
            predicts x̂_0 unless asked for another kind.
        mean: Mean of the data per coordinate.
        var: Variance of the data per coordinate, with σ_d² as its average.
        scaled: False is for networks trained elsewhere. The network then gets x − μ itself (c_in = 1, not centred on
            the data), and one that predicts `score` returns the score, not σ times the score.

    Raises:
        DifrunError: If there is no such parameterisation.
    """

    def __init__(
        self,
        network: nn.Module,
        process: "GaussianProcess",
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
        self.data_std = std_of(self.var)
        # A network trained elsewhere returns the score itself.
        self._unit = self.data_std if scaled or predicts == "edm" else None
        self.scaled = scaled

    @override
    def to(self, device: torch.device | str) -> "NetworkModel":
        self.network.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        x = self._for_network(x)
        y = self._centred(x, at)
        output = self._output(self._input(y, at), self._level(y, at), self.labels)
        p, q = self._conversion(at, kind)
        prediction = mix(p, y, q, output)
        # The network counts x0 from an origin of the data; the kind counts it from the centre of the process.
        a, _ = coefficients(kind, at)
        if not is_zero(a):
            origin = self._origin(x)
            offset = origin if kind == "x0" else origin - self.process.centre_like(x)
            if not (isinstance(offset, float) and offset == 0.0):
                prediction = prediction + a * offset
        return self._exact_where_known(prediction, x, at, kind)

    def _exact_where_known(self, prediction: Tensor, x: Tensor, at: Any, kind: str) -> Tensor:
        """The prediction, with x̂_0 = c for coordinates of x that the condition gives."""
        if not self.completes or self.labels is None:
            return prediction
        known = for_rows(self.labels, x, self.condition_shape)
        exact = self.process.convert(torch.where(known.isnan(), x, known), x, at, "x0", kind)
        return torch.where(known.isnan(), prediction, exact)

    @override
    def affine_prediction(self, x: Tensor, at: Any, kind: str, a: Any, b: Any) -> Tensor:
        if self.scaled or self.completes or isinstance(self.process.centre_like(x), Tensor):
            return super().affine_prediction(x, at, kind, a, b)
        p, q = self._conversion(at, kind)
        return mix(a + b * p, x, b * q, self._output(x, self._level(x, at), self.labels))

    @override
    def regression(self, x: Tensor, x0: Tensor, noise: Tensor, at: Any, kind: str) -> dict[str, Tensor]:
        y = self._centred(x, at)
        a, b = coefficients(self.predicts, at, self._unit)
        _, gain = self._conversion(at, kind)
        return {
            "input": self._input(y, at),
            "level": self._level(y, at),
            "target": a * (x0 - self._origin(x)) + b * noise,
            "gain": torch.as_tensor(gain, dtype=at.t.dtype),
        }

    @override
    def residual(self, examples: dict[str, Tensor], kind: str) -> Tensor:
        output = self._output(examples["input"], examples["level"], examples.get("label"))
        return self._where_unknown(output - examples["target"], examples.get("label"))

    @override
    def pullback(self, examples: dict[str, Tensor]) -> tuple[Tensor, Pull] | None:
        explicit = getattr(self.network, "pullback", None)
        if explicit is None:
            return None
        label = self._condition(examples["input"], examples.get("label"))
        output, pull = explicit(examples["input"], examples["level"], *label)
        return self._where_unknown(output - examples["target"], examples.get("label")), pull

    def _where_unknown(self, residual: Tensor, condition: Tensor | None) -> Tensor:
        """The residual, 0 for coordinates that the condition gives: what the network says there is not used."""
        if not self.completes or condition is None:
            return residual
        return residual.masked_fill(~condition.isnan(), 0.0)

    def _for_network(self, x: Tensor) -> Tensor:
        """The input as floats; float64 in the format of the network's weights, which take no other."""
        x = as_data(x)
        if x.dtype == torch.float64:
            weight = next(self.network.parameters(), x)
            x = x.to(weight.dtype)
        return x

    def _output(self, x: Tensor, level: Tensor, label: Tensor | None) -> Tensor:
        output = self.network(x, level, *self._condition(x, label))
        # One of another shape may be broadcast, and train something else in silence.
        if not isinstance(output, Tensor) or output.shape != x.shape or not output.is_floating_point():
            found = (
                f"{output.dtype}, {tuple(output.shape)}"
                if isinstance(output, Tensor)
                else type(output).__name__
            )
            raise DifrunError(
                f"the network {type(self.network).__module__}.{type(self.network).__name__} must return a tensor of "
                f"real numbers with the shape of its input, {tuple(x.shape)}; it returned {found}."
            )
        return output if output.dtype != torch.float64 else output.to(x.dtype)

    def _condition(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, ...]:
        """What the network gets beside x and its level: classes (n,) or conditions, if it knows any."""
        if self.condition_shape is not None:
            return (for_rows(label, x, self.condition_shape),)
        return (for_rows(label, x),) if self.shares else ()

    def _conversion(self, at: Any, kind: str) -> tuple[Any, Any]:
        """(p, q) with kind = p·y + q·output.

        Where nothing of the data is left, x̂_0 does not follow from a prediction of the noise. There x̂_0 is the mean
        of the data (0, counted from the origin), ε̂ is y/σ, and the output of the network is not used.
        """
        a, _ = coefficients(self.predicts, at, self._unit)
        c, d = coefficients(kind, at)
        if not is_zero(a) or is_zero(c) or not self.process.forgets:
            return conversion(at, self.predicts, kind, self._unit)
        blind = at.lam < self.process.lam_range[0]
        if isinstance(blind, bool):
            return (d / at.sigma, 0.0) if blind else conversion(at, self.predicts, kind, self._unit)
        p, q = conversion(at, self.predicts, kind, self._unit)
        return torch.where(blind, d / at.sigma, p), torch.where(blind, 0.0, q)

    def _origin(self, x: Tensor) -> Any:
        """The origin from which the network counts x_0: the mean of the data, or of the process if not scaled."""
        return self.mean if self.scaled else self.process.centre_like(x)

    def _centred(self, x: Tensor, at: Any) -> Tensor:
        """The input x − E[x_t] or, not scaled, x − μ."""
        centre = self.process.centre_like(x)
        if not self.scaled:
            return x - centre if isinstance(centre, Tensor) else x
        return x - (centre + at.alpha * (self.mean - centre))

    def _input(self, y: Tensor, at: Any) -> Tensor:
        return y * total_var(at, self.data_std) ** -0.5 if self.scaled else y

    def _level(self, x: Tensor, at: Any) -> Tensor:
        """The noise level c_noise = ¼ ln(σ/α), one for all in sampling, one per example in training.

        It is kept within the range of the process, which training covers: at α = 0 it would be infinite.
        """
        low, high = self.process.lam_range
        if isinstance(at.lam, float):
            return x.new_full((1,), -max(low, min(high, at.lam)) / 4)
        return (at.lam.clamp(low, high) / -4).reshape(-1)
