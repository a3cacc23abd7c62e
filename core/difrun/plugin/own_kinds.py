"""What can be a component of each kind, and what it goes with.

Classes are recognised by their names, because this module imports neither torch nor what computes with it.
"""

import copy
import functools
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from difrun.api import Component
from difrun.errors import ConfigError
from difrun.options.parsing import shown_briefly

BASES: dict[str, tuple[str, ...]] = {
    "process": ("difrun.process.base.ForwardProcess",),
    "model": ("torch.nn.modules.module.Module", "difrun.model.base.ScoreModel"),
    "loss": ("difrun.loss.base.Loss",),
    "sampler": ("difrun.sampler.base.Sampler",),
    "dataset": ("difrun.data.dataset.Dataset",),
}
"""Kind -> the classes of which its objects are; a guidance, a grid and a metric are anything that can be called."""

SHOWN = {
    "process": "a difrun.process.ForwardProcess",
    "model": "a torch.nn.Module or a difrun.model.ScoreModel",
    "loss": "a difrun.loss.Loss",
    "sampler": "a difrun.sampler.Sampler",
    "dataset": "a difrun.data.Dataset",
    "guidance": "a function of a model",
    "grid": "a function of a process and a number of steps, or a list of at least two times",
    "metric": "a function of samples and a reference",
}

CAPABILITIES = ("provides", "requires")
"""Names under which a class may say what it offers and needs, as a plugin's `Component` does."""


def classes_of(thing: Any) -> set[str]:
    """Return the full names of the classes of an object, or of a class and its bases."""
    cls = thing if isinstance(thing, type) else type(thing)
    return {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}


def is_object(kind: str, thing: Any) -> bool:
    """Return whether something is an object of the kind itself, and not what makes one."""
    return not isinstance(thing, type) and bool(set(BASES.get(kind, ())) & classes_of(thing))


def is_target(kind: str, thing: Any) -> bool:
    """Return whether something is called to make a component: a class, a function, anything else that can be called."""
    return callable(thing) and not is_object(kind, thing)


def refuse_wrong(kind: str, thing: Any) -> None:
    """Raise ConfigError for something of which no component of this kind can be made, in the words of the kind."""
    if is_object(kind, thing):
        return
    if isinstance(thing, type) and kind in BASES:
        fits = kind == "dataset" or bool(set(BASES[kind]) & classes_of(thing))
    else:
        fits = callable(thing) or (kind == "grid" and are_times(thing))
    if not fits:
        raise ConfigError(
            f"Invalid value for {kind}: expected the name of a component, {SHOWN[kind]}, or its class; got "
            f"{shown_briefly(thing)}."
        )


def capabilities(kind: str, thing: Any, installed: Component | None) -> dict[str, Any]:
    """Return what a component provides, requires, prefers and suits.

    A class may say so itself (`CAPABILITIES`); else it is what the installed class that it extends says, or what
    follows from its kind.

    Args:
        kind: The kind of the component.
        thing: The class, the function or the object.
        installed: The installed component whose class it extends, if any.
    """
    words: dict[str, Any] = {}
    if installed is not None:
        words = {name: getattr(installed, name) for name in (*CAPABILITIES, "prefers", "suits")}
    else:
        words = dict(zip(CAPABILITIES, _by_kind(kind, thing), strict=True))
        if kind == "grid" and are_times(thing):
            words["suits"] = {"sample.steps": len(thing) - 1}
    for name in CAPABILITIES:
        said = getattr(thing, name, None)
        if isinstance(said, set | frozenset):
            words[name] = frozenset(said)
    return words


def _by_kind(kind: str, thing: Any) -> tuple[set[str], set[str]]:
    names = classes_of(thing)
    if kind == "process":
        gaussian = "difrun.process.gaussian.GaussianProcess" in names
        return ({"continuous", "gaussian", "ode", "sde"}, {"real"}) if gaussian else (set(), set())
    if kind == "model":
        if "difrun.model.base.ScoreModel" in names:
            return {"exact"}, set()
        takes_classes = _classes(thing) or "classes" in _parameters(thing)
        return {"network", "conditional"} if takes_classes else {"network"}, {"real"}
    if kind == "loss":
        return set(), {"network"}
    if kind == "dataset":
        labelled = getattr(thing, "labels", None) is not None and is_object(kind, thing)
        return {"real", "classes"} if labelled else {"real"}, set()
    if kind == "sampler" and names & {
        "difrun.sampler.runge_kutta.RungeKutta",
        "difrun.sampler.multistep.Multistep",
    }:
        return set(), {"gaussian", "ode"}
    return set(), set()


def _parameters(thing: Any) -> tuple[str, ...]:
    code = getattr(thing, "__code__", None) or getattr(getattr(thing, "__init__", None), "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _classes(network: Any) -> int:
    """How many classes the object of a network takes labels of, as its attribute `classes` says."""
    number = getattr(network, "classes", 0)
    return number if isinstance(number, int) and not isinstance(network, type) else 0


def target_of_object(kind: str, thing: Any) -> Callable[..., Any]:
    """Return what is called to get an object: it gives the object itself, or a copy of a network."""
    if kind == "grid":
        return FixedTimes(thing)
    if kind != "model" or "torch.nn.modules.module.Module" not in classes_of(thing):
        return lambda: thing
    copied = functools.partial(_copied, thing)
    known = _classes(thing)
    if not known:
        return lambda: copied()

    def for_classes(classes: int) -> Any:
        if classes not in (0, known):
            raise ValueError(f"its attribute `classes` is {known}, and the data have {classes} classes")
        return copied()

    return for_classes


def _copied(network: Any) -> Any:
    """A copy of a network, so that training changes nothing outside the run."""
    try:
        return copy.deepcopy(network)
    except Exception as error:
        raise ValueError(
            f"the network cannot be copied ({type(error).__name__}: {error}); give its class, or a function that "
            "makes it"
        ) from error


class FixedTimes:
    """A time grid that is a list of times.

    Args:
        times: Strictly decreasing times, the first at most T, in any form that `numbers_of` takes.
    """

    def __init__(self, times: Iterable[Any]) -> None:
        numbers = numbers_of(times)
        if numbers is None:
            raise ConfigError(
                f"Invalid value for grid: expected a list of times; got {shown_briefly(times)}."
            )
        self.times = numbers

    def __call__(self, process: Any, steps: int) -> list[float]:
        """Return the times. Raises ValueError if they are not of so many steps, or begin beyond T."""
        if len(self.times) != steps + 1:
            raise ValueError(
                f"a list of {len(self.times)} times is a grid of {len(self.times) - 1} steps, not of {steps}"
            )
        if self.times[0] > process.horizon * (1 + 1e-9):
            raise ValueError(f"the times begin at {self.times[0]:g}, after T = {process.horizon:g}")
        return list(self.times)


def are_times(thing: Any) -> bool:
    """Return whether something is a list of at least two numbers; an array or a tensor counts as one."""
    return numbers_of(thing) is not None


def numbers_of(thing: Any) -> list[float] | None:
    """Return a list of at least two finite numbers, (n,) or (n, 1), as Python numbers; None if it is none.

    Args:
        thing: A sequence of numbers of any type, or an array or a tensor.
    """
    plain = _plain(thing)
    if not isinstance(plain, Sequence) or isinstance(plain, str | bytes) or len(plain) < 2:
        return None
    found = []
    for part in map(_plain, plain):
        number = part[0] if isinstance(part, list | tuple) and len(part) == 1 else part
        if isinstance(number, bool) or not isinstance(number, numbers.Real | Decimal):
            return None
        found.append(float(number))
    return found if all(map(math.isfinite, found)) else None


def _plain(thing: Any) -> Any:
    """An array or a tensor as lists or a number; anything else as it is."""
    if not hasattr(thing, "tolist"):
        return thing
    try:
        return thing.tolist()
    except (TypeError, NotImplementedError, RuntimeError):  # such as a tensor without numbers
        return None
