"""The score model around a network trained elsewhere, and how it is called."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import as_data
from difrun.errors import DifrunError
from difrun.model.conditional import ConditionalModel
from difrun.model.conventions import Convention, row_instant
from difrun.model.eval_mode import in_evaluation, networks_of, without_parameter_gradients
from difrun.model.labels import for_rows
from difrun.model.predictions import between, coefficients, is_zero, mix

if TYPE_CHECKING:
    from difrun.process.gaussian import GaussianProcess

Arguments = Sequence[str] | Mapping[str, str]


@attrs.frozen(eq=False)
class Call:
    """The call of a network.

    Attributes:
        arguments: Parts in the order of the network's arguments; or keyword -> part.
        keywords: Further keywords and values, the same in every call.
        output: Takes the tensor out of what the network returns; None where it returns the tensor.
        learned_variance: Whether the second half of the channels is a variance, which is dropped.
    """

    arguments: Arguments
    keywords: Mapping[str, Any]
    output: Callable[[Any], Tensor] | None
    learned_variance: bool

    def __call__(self, network: Callable[..., Any], parts: Mapping[str, Tensor]) -> Any:
        """Call the network, and return its tensor."""
        if isinstance(self.arguments, Mapping):
            made = {keyword: parts[part] for keyword, part in self.arguments.items()}
            result = network(**made, **self.keywords)
        else:
            result = network(*(parts[part] for part in self.arguments), **self.keywords)
        if self.output is not None:
            result = self.output(result)
        if self.learned_variance and isinstance(result, Tensor) and result.ndim > 1:
            result = result[:, : result.shape[1] // 2]
        return result


class ForeignModel(ConditionalModel):
    """A network trained elsewhere, called as it was trained. Made by `difrun.wrap`.

    The network is in evaluation mode while it is called, and its parameters take no part in derivatives; both are
    restored after each call. Derivatives with respect to x pass through it.

    Args:
        network: The network.
        process: The forward process under which it was trained.
        shape: Shape of one example.
        convention: How its numbers are read.
        call: How it is called.
        mean: Mean of the data per coordinate.
        var: Variance of the data per coordinate.
        null: The label, or condition, with which it predicts without one; None if it cannot.
    """

    def __init__(
        self,
        network: Callable[..., Any],
        process: "GaussianProcess",
        shape: tuple[int, ...],
        convention: Convention,
        call: Call,
        *,
        mean: Tensor,
        var: Tensor,
        null: Any = None,
    ):
        self.network = network
        self.process = process
        self.shape = tuple(shape)
        self.convention, self.call, self.null = convention, call, null
        self.mean, self.var = mean, var
        self._networks = networks_of(network)

    def reading(self, **changes: Any) -> Self:
        """Return this model with another convention (`attrs.evolve`): for the search of the right one."""
        changed = copy.copy(self)
        changed.convention = attrs.evolve(self.convention, **changes)
        return changed

    @override
    def to(self, device: torch.device | str) -> Self:
        for network in self._networks:
            network.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        x = as_data(x)
        return self.read(self.output(x, at), x, at, kind)

    def output(self, x: Tensor, at: Any) -> Tensor:
        """Return what the network says about x, of the shape and dtype of x.

        Raises:
            DifrunError: If the network returns something else.
        """
        made = self.parts(x, at)
        with in_evaluation(self._networks), without_parameter_gradients(self._networks):
            result = self.call(self.network, made)
        if not isinstance(result, Tensor):
            raise DifrunError(_no_tensor(result))
        if result.shape != x.shape:
            raise DifrunError(_other_shape(result, x))
        return result.to(x.dtype)

    def read(self, output: Tensor, x: Tensor, at: Any, kind: str) -> Tensor:
        """Return the prediction of a kind that an output of the network stands for."""
        centre = self.process.centre_like(x)
        y = x - centre if isinstance(centre, Tensor) else x
        if self.convention.predicts == "x0" and isinstance(centre, Tensor):
            output = output - centre
        p, q, origin = self._conversion(at, kind)
        prediction = mix(p, y, q, output)
        if origin is not None:
            prediction = prediction + origin * (self.mean.to(x) - centre)
        return prediction + centre if kind == "x0" and isinstance(centre, Tensor) else prediction

    def parts(self, x: Tensor, at: Any) -> dict[str, Tensor]:
        """Return what the network is called with, in the format of its weights."""
        weights = (p for network in self._networks for p in network.parameters() if p.is_floating_point())
        dtype = next(weights, x).dtype
        times = self.convention.times(row_instant(at, len(x), x))
        parts = {
            "x": self.convention.scaled(x, at).to(dtype),
            "time": times.to(dtype) if times.is_floating_point() else times,
        }
        if self.classes or self.condition_shape is not None:
            label = self._with_null(for_rows(self.labels, x, self.condition_shape))
            parts["label"] = label.to(dtype) if label.is_floating_point() else label
        return parts

    def _with_null(self, label: Tensor) -> Tensor:
        """The labels with the network's own for none.

        Raises:
            DifrunError: If a row has none, and the network knows no label for that.
        """
        missing = label < 0 if self.condition_shape is None else label.isnan()
        if not bool(missing.any()):
            return label
        if self.null is None:
            what = "class" if self.condition_shape is None else "condition"
            raise DifrunError(
                f"this network predicts for a given {what} alone, and none is given: ask `model.condition_on(labels)`. "
                "If it was trained without labels as well, say with null=... what stands for none."
            )
        return torch.where(missing, torch.as_tensor(self.null).to(label), label)

    def _conversion(self, at: Any, kind: str) -> tuple[Any, Any, Any]:
        """(p, q, r) with kind = p·y + q·output + r·(mean − μ), where r is None if it is 0.

        Where nothing of the data is left, x̂_0 does not follow from a prediction of the noise: there it is the mean of
        the data, and the output of the network is not used.
        """
        a, b = self.convention.coefficients(at)
        c, d = coefficients(kind, at)
        name = self.convention.predicts if isinstance(self.convention.predicts, str) else "the prediction"
        blind = False
        if is_zero(a) and not is_zero(c) and self.process.forgets:
            blind = at.lam < self.process.lam_range[0]
        if blind is False:
            return *between(at, (a, b), (c, d), name, kind), None
        blind_p, blind_r = d / at.sigma, c - d * at.alpha / at.sigma
        if blind is True:
            return blind_p, 0.0, blind_r
        p, q = between(at, (a, b), (c, d), name, kind)
        return torch.where(blind, blind_p, p), torch.where(blind, 0.0, q), torch.where(blind, blind_r, 0.0)


def _no_tensor(result: Any) -> str:
    kind = type(result).__name__
    if isinstance(result, tuple | list) and result and isinstance(result[0], Tensor):
        return f"the network returned a {kind}; take its tensor with output=lambda out: out[0]."
    if isinstance(getattr(result, "sample", None), Tensor):
        return f"the network returned a {kind}; take its tensor with output=lambda out: out.sample."
    return (
        f"the network returned a {kind}; expected a tensor like x. `output` takes it out of another object."
    )


def _other_shape(result: Tensor, x: Tensor) -> str:
    text = f"the network returned {tuple(result.shape)} for x of shape {tuple(x.shape)}; expected the shape of x."
    doubled = (len(x), 2 * x.shape[1], *x.shape[2:]) if x.ndim > 1 else ()
    if tuple(result.shape) == doubled:
        text += " If the second half of its channels is a learned variance, say learned_variance=True."
    return text
