"""The arguments of `difrun.wrap`: brought into one form, or refused in words before the network is called."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from difrun.errors import ConfigError, DifrunError
from difrun.model.argument_values import as_numbers, check_fits, invalid, is_whole
from difrun.model.base import ScoreModel
from difrun.text import described, in_one_line

PARTS = ("x", "time", "label")
"""What a network can be called with."""

GAUSSIAN = "difrun.process.gaussian.GaussianProcess"
"""The class of processes that a network can be wrapped with, by name: processes are made after models."""


def check_network(network: Any) -> None:
    """Raise ConfigError unless a network can be called, and is not a score model already."""
    if isinstance(network, ScoreModel):
        raise ConfigError("Invalid value for network: this is a score model already, and needs no wrapping.")
    if isinstance(network, type):
        raise invalid("network", "a network, not its class", network, f"Make one: {network.__name__}(...).")
    if not callable(network):
        raise invalid("network", "a torch.nn.Module or a function of tensors", network)


def check_process(process: Any) -> None:
    """Raise ConfigError unless this is a Gaussian process, the object itself."""
    bases = {f"{base.__module__}.{base.__qualname__}" for base in type(process).__mro__}
    if GAUSSIAN not in bases:
        raise invalid(
            "process",
            "a Gaussian process, the object itself, such as TabulatedProcess.from_betas(betas)",
            process,
            f"Make one: {process.__name__}(...)." if isinstance(process, type) else "",
        )


def check_switches(**switches: Any) -> None:
    """Raise ConfigError for a switch that is neither True nor False."""
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise invalid(name, "True or False", value)


def as_shape(name: str, shape: Any, example: str) -> tuple[int, ...]:
    """Return a shape as whole numbers of at least 1.

    Args:
        name: The argument, for the message.
        shape: The shape.
        example: Shapes as they are written, for the message.

    Raises:
        ConfigError: If it is none.
    """
    sizes = list(shape) if isinstance(shape, Sequence | np.ndarray) and not isinstance(shape, str) else None
    if sizes is None or not all(is_whole(size) and size >= 1 for size in sizes):
        advice = f"Write ({shape},)." if is_whole(shape) else ""
        raise invalid(name, f"a tuple of whole numbers of at least 1, such as {example}", shape, advice)
    return tuple(int(size) for size in sizes)


def refuse_wrong_arguments(arguments: Any, takes_label: bool) -> None:
    """Raise ConfigError unless x, the time and, if there are any, the labels are passed once each."""
    parts: list[Any] = []
    if isinstance(arguments, Mapping) and all(isinstance(key, str) for key in arguments):
        parts = list(arguments.values())
    elif isinstance(arguments, Sequence) and not isinstance(arguments, str):
        parts = list(arguments)
    needed = PARTS if takes_label else PARTS[:2]
    if not all(isinstance(part, str) for part in parts) or sorted(parts) != sorted(needed):
        labels = (
            "" if takes_label else " Labels are passed to a network with classes=K or condition_shape=...."
        )
        raise ConfigError(
            f"arguments={described(arguments)}: this network is called with {', '.join(needed)}, each once. Name them "
            "in the order of its arguments, or map its keywords to them: {'sample': 'x', 'timestep': 'time'}."
            + labels
        )


def as_keywords(keywords: Any, arguments: Any) -> dict[str, Any]:
    """Return the fixed keywords of a call. Raises ConfigError if they are no dict by name, or are arguments already."""
    if keywords is None:
        return {}
    if not isinstance(keywords, Mapping) or not all(isinstance(key, str) for key in keywords):
        raise invalid("keywords", "a dict of keywords and values, such as {'return_dict': False}", keywords)
    if isinstance(arguments, Mapping):
        for key in keywords:
            if key in arguments:
                raise ConfigError(
                    f"keywords['{key}'] is what arguments call {arguments[key]!r} too; name it in one of the two."
                )
    return dict(keywords)


def check_output(output: Any) -> None:
    """Raise ConfigError unless what takes the tensor out of an output is a function, or None."""
    if output is not None and not callable(output):
        raise invalid("output", "a function such as lambda out: out.sample", output)


def as_std(data_std: Any, needed: bool) -> float | None:
    """Return σ_d.

    Args:
        data_std: What was given.
        needed: Whether anything depends on it.

    Raises:
        ConfigError: If it is no positive number, or nothing depends on it.
    """
    if data_std is None:
        return None
    number = as_numbers("data_std", data_std)
    if number.ndim or not 0 < float(number) < math.inf:
        raise invalid("data_std", "a number above 0", data_std)
    if not needed:
        raise ConfigError(
            "data_std has no effect: it is σ_d of predicts='edm' and of input_scale='edm'. Leave it out, or say one of "
            "the two."
        )
    return float(number)


def as_range(data_range: Any) -> tuple[float, float] | None:
    """Return the least and the largest value of the data. Raises ConfigError if they are not two rising numbers."""
    if data_range is None:
        return None
    bounds = as_numbers("data_range", data_range).double()
    if bounds.shape != (2,) or not bool(bounds.isfinite().all()) or not bounds[0] < bounds[1]:
        raise invalid("data_range", "the least and the largest value, such as (-1, 1)", data_range)
    return float(bounds[0]), float(bounds[1])


def as_moment(name: str, moment: Any, shape: tuple[int, ...], least: float = -math.inf) -> Tensor:
    """Return a mean or a variance of the data, one number or one for each coordinate.

    Args:
        name: The argument, for the message.
        moment: What was given.
        shape: The shape of one example.
        least: The least that it may be; for a variance 0, which not all coordinates may have.

    Raises:
        ConfigError: If it has another shape, is not finite, or is too small.
    """
    found = as_numbers(name, moment)
    check_fits(name, found, shape, "an example")
    if not bool(found.isfinite().all()):
        raise invalid(name, "finite numbers", moment)
    if bool((found < least).any()) or (least == 0 and not bool((found > 0).any())):
        raise invalid(name, "numbers above 0", moment)
    return found.float()


def checked_pair(pair: Any) -> tuple[Any, Any]:
    """Return (a, b) as floats or tensors. Raises DifrunError unless a function for `predicts` returned them."""
    numeric = isinstance(pair, tuple | list) and all(
        isinstance(part, Tensor | numbers.Real) and not isinstance(part, bool) for part in pair
    )
    if not numeric or len(pair) != 2:
        raise DifrunError(
            "the function for `predicts` must return two numbers (a, b), of the prediction a·x0 + b·noise; it returned "
            f"{described(pair)}."
        )
    a, b = (part if isinstance(part, Tensor) else float(part) for part in pair)
    if not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b == 0:
        raise DifrunError(
            "the function for `predicts` returned (0, 0): a network that predicts 0·x0 + 0·noise says nothing."
        )
    return a, b


def naming_function(name: str, function: Callable[..., Any], *given: Any) -> Any:
    """Return what a function of the user's for an argument of `wrap` makes of an instant.

    Raises:
        DifrunError: If it fails, with its argument and its error.
    """
    try:
        return function(*given)
    except DifrunError:
        raise
    except Exception as error:
        raise DifrunError(
            f"the function for `{name}` failed: {in_one_line(error)[:200]}. It gets an instant, with the fields t, "
            "alpha, sigma and lam."
        ) from error
