"""Scheduler classes whose random numbers come from difrun, and whose arithmetic has the precision of the sample.

The schedulers call `randn_tensor` of their module, which draws one block for a batch, and round to float32. A subclass
with the same methods, whose global names lead elsewhere, draws the noise of sample i by its own generator, and keeps
float64 where the sample is float64. Nothing of diffusers is changed.
"""

import contextlib
import threading
import types
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.randomness import Generator

_current = threading.local()


@contextlib.contextmanager
def drawing_from(generator: Generator, like: Tensor) -> Iterator[None]:
    """Let the schedulers of this thread draw from a generator, in the dtype and on the device of `like`."""
    before = getattr(_current, "source", None)
    _current.source, _current.interval = (generator, like), None
    try:
        yield
    finally:
        _current.source = before


def draw(shape: Any = None, *_: Any, device: Any = None, **__: Any) -> Tensor:
    """Take the place of `randn_tensor`: N(0, 1) in the shape of the sample, on its device or another."""
    generator, like = _current.source
    if shape is not None and tuple(shape) != tuple(like.shape):
        raise RuntimeError(f"a scheduler drew noise of shape {tuple(shape)} for samples {tuple(like.shape)}")
    noise = generator.normal(like)
    return noise if device is None else noise.to(device)


def brownian(sigma: Any, sigma_next: Any) -> Tensor:
    """Take the place of a scheduler's Brownian motion in σ: its increment over an interval, of variance 1.

    Within one step a second interval from the same σ contains the first, as in a method of two stages; across steps
    increments are independent.
    """
    start, end = float(sigma), float(sigma_next)
    last = _current.interval
    if last is None or last[0] != start or end >= last[1]:
        noise = draw()
    else:
        _, middle, first = last
        share = (start - middle) / (start - end)
        noise = share**0.5 * first + (1 - share) ** 0.5 * draw()
    _current.interval = (start, end, noise)
    return noise


class _Wide:
    """A module whose float32 is float64."""

    def __init__(self, module: Any):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, "float64" if name == "float32" else name)


@cache
def rebound(cls: type, wide: bool) -> type:
    """Return a subclass of a scheduler class that draws from difrun.

    Args:
        cls: The class.
        wide: Whether its arithmetic is float64.
    """
    body: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if ".scheduling_" not in base.__module__ or base.__module__.endswith("scheduling_utils"):
            continue
        for name, value in vars(base).items():
            if isinstance(value, types.FunctionType) and name != "__init__":
                body[name] = _with_names(value, wide)
    return type(cls.__name__, (cls,), {**body, "__module__": cls.__module__, "__doc__": cls.__doc__})


def _with_names(function: types.FunctionType, wide: bool) -> types.FunctionType:
    """A copy of a function in whose module `randn_tensor`, and perhaps torch and numpy, are others."""
    names = {**function.__globals__, "randn_tensor": draw}
    if wide:
        names |= {name: _Wide(module) for name, module in (("torch", torch), ("np", np)) if name in names}
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
