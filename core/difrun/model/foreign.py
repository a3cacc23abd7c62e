"""Networks trained elsewhere, as score models with which everything works."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from difrun.errors import ConfigError
from difrun.model.base import MOST_CORRELATED, std_of
from difrun.model.conventions import Coefficients, Convention, TimeFunction
from difrun.model.eval_mode import networks_of
from difrun.model.foreign_arguments import (
    PARTS,
    as_keywords,
    as_moment,
    as_range,
    as_shape,
    as_std,
    check_network,
    check_output,
    check_process,
    check_switches,
    refuse_wrong_arguments,
)
from difrun.model.foreign_check import check_model, checked_data
from difrun.model.foreign_labels import as_given_labels, as_shares, check_null
from difrun.model.foreign_model import Arguments, Call, ForeignModel

if TYPE_CHECKING:
    from difrun.process.gaussian import GaussianProcess


def wrap(
    network: nn.Module | Callable[..., Any],
    process: "GaussianProcess",
    shape: Sequence[int],
    predicts: str | Coefficients = "noise",
    time: str | TimeFunction = "index",
    *,
    arguments: Arguments | None = None,
    keywords: Mapping[str, Any] | None = None,
    output: Callable[[Any], Tensor] | None = None,
    integer: bool = False,
    input_scale: str | Callable[[Any], Any] | None = None,
    data_std: float | None = None,
    learned_variance: bool = False,
    classes: int | Sequence[float] = 0,
    condition_shape: Sequence[int] | None = None,
    null: Any = None,
    data: Any = None,
    labels: Any = None,
    mean: Any = None,
    var: Any = None,
    data_range: tuple[float, float] | None = None,
    check: bool = True,
) -> ForeignModel:
    """Return a network that was trained elsewhere as a score model, with which everything works.

    ::

        process = TabulatedProcess.from_betas(betas)
        model = difrun.wrap(network, process, (2,), predicts="noise", time="index", data=x)

    The network is called at once, on noised data. If it does not reduce their error, or another reading of its output
    or its times fits better, that is said.

    Args:
        network: The network, or any function of tensors.
        process: The forward process under which it was trained, such as a
            `difrun.process.tabulated.TabulatedProcess`.
        shape: Shape of one example.
        predicts: What it predicts: "noise", "x0", "v", "score", "velocity", "straight" or "edm"
            (`difrun.model.predictions`), or a function of an instant that returns (a, b), for a·x0 + b·noise.
        time: What it gets for a time: "index" (in the table of the process, from 0), "t", "sigma", "log-snr"
            (log(α/σ)), "c-noise" (¼ ln(σ/α)), or a function of an instant whose fields t, alpha, sigma and lam are
            tensors (n,): ``lambda at: 1000 * at.t``.
        arguments: The order of its arguments, of "x", "time" and "label"; or its keywords,
            ``{"sample": "x", "timestep": "time"}``. None is ("x", "time"), and "label" if it takes any.
        keywords: Further keyword arguments, the same in every call.
        output: Takes the tensor out of what it returns, such as ``lambda out: out.sample``.
        integer: Whether it takes whole numbers for times, int64, as one with an embedding table does. Times between
            them are rounded.
        input_scale: The factor of its input: None for x_t itself, "edm" for 1/√(α²σ_d² + σ²), or a function of an
            instant.
        data_std: σ_d of "edm"; None takes the root of the average of `var`.
        learned_variance: Whether the second half of its output's channels (axis 1) is a variance. It is dropped.
        classes: How many classes it knows, or the share of each in the data. Labels are int64, (n,).
        condition_shape: The shape of a condition that it takes instead, floats (n, *condition_shape).
        null: The label or condition that stands for none, without which there is no classifier-free guidance.
        data: Examples (N, *shape) to check it with, in its units. They also give mean, variance and covariance.
        labels: Their classes (N,), to which the prior is then matched, or conditions (N, *condition_shape).
        mean: Mean of the data per coordinate, to which the prior is matched; None takes that of `data`, the middle of
            `data_range`, or 0.
        var: Variance of the data, likewise; None takes that of `data`, of even numbers in `data_range`, or 1.
        data_range: The least and the largest value of the data that it was trained on. Data outside are refused.
        check: Whether to call it at once. Without `data` normal noise of this mean and variance takes their place, and
            only gross misfits are told.

    Returns:
        The model.

    Raises:
        ConfigError: If an argument is none that a network can have, or does not go with another.
        DifrunError: If the network cannot be called so, returns something else, or does not denoise.
    """
    check_network(network)
    check_process(process)
    check_switches(integer=integer, learned_variance=learned_variance, check=check)
    shape = as_shape("shape", shape, "(2,) or (3, 32, 32)")
    taken = None if condition_shape is None else as_shape("condition_shape", condition_shape, "(3,)")
    shares = as_shares(classes)
    if shares and taken is not None:
        raise ConfigError("a network takes classes or a condition; give one of classes and condition_shape.")
    check_null(null, shares, taken)
    bounds = as_range(data_range)
    examples = None if data is None else checked_data(data, shape, bounds)
    asked = as_given_labels(labels, None if examples is None else len(examples), shares, taken)
    mean, var = _moments(examples, mean, var, bounds, shape)
    std = as_std(
        data_std, needed="edm" in [name for name in (predicts, input_scale) if isinstance(name, str)]
    )
    convention = Convention(predicts, time, input_scale, bool(integer), std or std_of(var))
    convention.refuse_unknown(process)
    call = _call(arguments, keywords, output, learned_variance, takes_label=bool(shares) or taken is not None)
    place = _place(network, examples)
    model = ForeignModel(
        network, process, shape, convention, call, mean=mean.to(place), var=var.to(place), null=null
    )
    if taken is not None:
        model.set_condition(taken, knows_any=null is not None)
    elif shares:
        moments = _class_moments(examples, asked, shares)
        if moments is not None:
            model.mean, model.var = (part.expand(shape).clone() for part in (model.mean, model.var))
        model.set_classes(shares, moments, knows_any=null is not None)
    if examples is not None and examples[0].numel() <= MOST_CORRELATED:
        model.cov = torch.cov(examples.flatten(1).double().T, correction=0).reshape(
            2 * (examples[0].numel(),)
        )
    if check:
        check_model(model, examples, asked)
    return model


def _place(network: Any, examples: Tensor | None) -> torch.device:
    """Where the network computes: where its weights are; else where the data are."""
    weights = (weight for part in networks_of(network) for weight in part.parameters())
    like = next(weights, examples)
    return torch.device("cpu") if like is None else like.device


def _call(arguments: Any, keywords: Any, output: Any, learned_variance: bool, *, takes_label: bool) -> Call:
    """How the network is called. Raises DifrunError for parts that it does not take, or leaves out."""
    if arguments is None:
        arguments = PARTS[: 3 if takes_label else 2]
    check_output(output)
    refuse_wrong_arguments(arguments, takes_label)
    return Call(arguments, as_keywords(keywords, arguments), output, bool(learned_variance))


def _class_moments(
    examples: Tensor | None, labels: Tensor | None, shares: tuple[float, ...]
) -> tuple[Tensor, Tensor] | None:
    """Mean and variance of the data of each class, (classes, *shape) each; None where a class has too few examples."""
    if examples is None or labels is None:
        return None
    used = [k for k, share in enumerate(shares) if share > 0]
    rows = {k: examples[labels.to(examples.device) == k].double() for k in used}
    if any(len(part) < 2 for part in rows.values()):
        return None
    parts = [rows.get(k, examples.double()) for k in range(len(shares))]
    return (
        torch.stack([part.mean(0) for part in parts]).float(),
        torch.stack([part.var(0, correction=0) for part in parts]).float(),
    )


def _moments(
    examples: Tensor | None,
    mean: Any,
    var: Any,
    data_range: tuple[float, float] | None,
    shape: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the data, as the user gives them, or as the data or their range have them."""
    low, high = data_range or (0.0, 0.0)
    if mean is None:
        mean = 0.5 * (low + high) if examples is None else examples.double().mean(0)
    if var is None and examples is not None:
        var = examples.double().var(0, correction=0)
    elif var is None:
        var = (high - low) ** 2 / 12 if data_range else 1.0
    return as_moment("mean", mean, shape), as_moment("var", var, shape, least=0.0)
