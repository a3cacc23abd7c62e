"""Networks in evaluation mode while a model is sampled or measured: no dropout, no running statistics that move."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import attrs
import torch
from torch import nn

P = ParamSpec("P")
R = TypeVar("R")

_DEEPEST = 12
"""How many objects lie between a model and its networks, at most: wrappers, guides, functions."""

_LEAVES = (torch.Tensor, str, bytes, int, float, complex, bool, type(None), type)


@contextmanager
def evaluating(*models: Any) -> Iterator[None]:
    """Hold all networks of models in evaluation mode, and restore the mode of every submodule after, error or not.

    The networks are found in attributes of the models, of what they wrap, and of the functions that guide them. Only
    the flag `training` changes: no method of a network is called.
    """
    with in_evaluation(networks_of(*models)):
        yield


@contextmanager
def in_evaluation(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Hold networks in evaluation mode, as `evaluating` does, where they are known."""
    training = [module for network in networks for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def without_parameter_gradients(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Let what networks compute depend on their input alone: a derivative leaves their parameters out."""
    wanted = []
    if torch.is_grad_enabled():
        wanted = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


def in_eval_mode(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function run while the networks of its argument `model` are in evaluation mode (`evaluating`)."""
    place = list(inspect.signature(function).parameters).index("model")

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        model = args[place] if len(args) > place else kwargs.get("model")
        with evaluating(model):
            return function(*args, **kwargs)

    return wrapped


def networks_of(*models: Any) -> list[nn.Module]:
    """Return the networks that models hold, each once."""
    found: dict[int, nn.Module] = {}
    seen: set[int] = set()
    level = list(models)
    for _ in range(_DEEPEST):
        here = [thing for thing in level if id(thing) not in seen and not isinstance(thing, _LEAVES)]
        seen.update(id(thing) for thing in here)
        found.update((id(thing), thing) for thing in here if isinstance(thing, nn.Module))
        level = [part for thing in here if not isinstance(thing, nn.Module) for part in _parts(thing)]
        if not level:
            break
    return list(found.values())


def _parts(thing: Any) -> list[Any]:
    """What an object holds: items, attributes, what a function remembers."""
    if isinstance(thing, Mapping):
        return list(thing.values())
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if inspect.ismethod(thing):
        return [thing.__self__]
    if inspect.isfunction(thing):
        return _remembered(thing)
    if inspect.ismodule(thing):
        return []
    fields = attrs.fields(type(thing)) if attrs.has(type(thing)) else ()
    slots = [getattr(thing, field.name, None) for field in fields]
    return [*slots, *getattr(thing, "__dict__", {}).values()]


def _remembered(function: Any) -> list[Any]:
    """The values of the variables around a function that it uses, where they have one yet."""
    values = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):
            values.append(cell.cell_contents)
    return values
