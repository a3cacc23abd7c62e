"""Settings of torch, NumPy and Python on which the numbers of every component depend. Nothing here imports them."""

import random
import sys
from collections.abc import Callable
from typing import Any

from difrun.plugin.process_state import UNKNOWN, Kept, silently_equal


def has_torch() -> bool:
    """Return whether torch is imported; not if its import failed half-way."""
    return hasattr(sys.modules.get("torch"), "get_default_device")


def has_numpy() -> bool:
    """Return whether NumPy is imported; not if its import failed half-way."""
    return hasattr(sys.modules.get("numpy"), "seterr")


def _torch() -> Any:
    return sys.modules["torch"]


def _numpy() -> Any:
    return sys.modules["numpy"]


def _modes() -> list[Any]:
    """What intercepts every function of torch, but for the default device, which is kept by itself."""
    inner = _torch()._C
    found = [inner._get_function_stack_at(index) for index in range(inner._len_torch_function_stack())]
    default = getattr(getattr(_torch(), "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    return [mode for mode in found if mode is not default]


def _restore_modes(before: list[Any]) -> None:
    inner = _torch()._C
    added = [mode for mode in _modes() if not any(mode is other for other in before)]
    stack = [inner._pop_torch_function_stack() for _ in range(inner._len_torch_function_stack())]
    for mode in reversed(stack):
        if not any(mode is other for other in added):
            inner._push_on_torch_function_stack(mode)


def _change_of_modes(before: list[Any], after: list[Any]) -> str:
    same = len(before) == len(after) and all(map(lambda one, other: one is other, before, after))
    return "" if same else "what torch's functions do (a TorchFunctionMode or a device that was entered)"


def _set_device(device: Any) -> None:
    # None, not "cpu": a default device slows every call that makes a tensor.
    _torch().set_default_device(None if str(device) == "cpu" else device)


def _autocast() -> tuple[bool, bool]:
    torch = _torch()
    return torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")


def _restore_autocast(before: tuple[bool, bool]) -> None:
    for kind, enabled in zip(("cpu", "cuda"), before, strict=True):
        _torch().set_autocast_enabled(kind, enabled)


def _cudnn() -> tuple[bool, bool, bool]:
    cudnn = _torch().backends.cudnn
    return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32


def _restore_cudnn(before: tuple[bool, bool, bool]) -> None:
    cudnn = _torch().backends.cudnn
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = before


def _of_torch(name: str) -> Callable[..., Any]:
    return lambda *values: getattr(_torch(), name)(*values)


TORCH: tuple[tuple[Kept, Callable[[], Any]], ...] = (
    (
        Kept("torch's default dtype", _of_torch("get_default_dtype"), _of_torch("set_default_dtype")),
        lambda: _torch().float32,
    ),
    (
        Kept("torch's default device", _of_torch("get_default_device"), _set_device),
        lambda: _torch().device("cpu"),
    ),
    (
        Kept("torch's switch of gradients", _of_torch("is_grad_enabled"), _of_torch("set_grad_enabled")),
        lambda: True,
    ),
    (
        Kept(
            "torch's switch of deterministic algorithms",
            _of_torch("are_deterministic_algorithms_enabled"),
            _of_torch("use_deterministic_algorithms"),
        ),
        lambda: False,
    ),
    (
        Kept("torch's autocast", _autocast, _restore_autocast, silently_equal("torch's autocast")),
        lambda: (False, False),
    ),
    (
        Kept(
            "torch's precision of matrix products",
            _of_torch("get_float32_matmul_precision"),
            _of_torch("set_float32_matmul_precision"),
        ),
        lambda: "highest",
    ),
    (
        Kept(
            "torch's settings of cuDNN", _cudnn, _restore_cudnn, silently_equal("torch's settings of cuDNN")
        ),
        lambda: (False, False, True),
    ),
    (
        Kept("torch's number of threads", _of_torch("get_num_threads"), _of_torch("set_num_threads")),
        lambda: UNKNOWN,
    ),
    (Kept("torch's function modes", _modes, _restore_modes, _change_of_modes), list),
)
"""Settings of torch, each with the value that it has before anybody changes it. The last is restored first."""

NUMPY: tuple[tuple[Kept, Callable[[], Any]], ...] = (
    (
        Kept(
            "NumPy's handling of overflow and NaN",
            lambda: _numpy().geterr(),
            lambda before: _numpy().seterr(**before),
            silently_equal("NumPy's handling of overflow and NaN"),
        ),
        lambda: {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
    ),
)
"""Settings of NumPy, each with the value that it has before anybody changes it."""


def _numpy_state() -> tuple[bytes, int]:
    state = _numpy().random.get_state()
    return state[1].tobytes(), state[2]


def _restore_numpy_state(before: tuple[bytes, int]) -> None:
    keys = _numpy().frombuffer(before[0], dtype=_numpy().uint32)
    _numpy().random.set_state(("MT19937", keys, before[1]))


def _restore_torch_state(before: bytes) -> None:
    torch = _torch()
    torch.set_rng_state(torch.frombuffer(bytearray(before), dtype=torch.uint8))


SEEDS = {
    "random": Kept(
        "Python's random numbers",
        random.getstate,
        random.setstate,
        silently_equal("Python's random numbers"),
        told=False,
    ),
    "numpy": Kept(
        "NumPy's random numbers",
        _numpy_state,
        _restore_numpy_state,
        silently_equal("NumPy's random numbers"),
        told=False,
    ),
    "torch": Kept(
        "torch's random numbers",
        lambda: _torch().get_rng_state().numpy().tobytes(),
        _restore_torch_state,
        silently_equal("torch's random numbers"),
        told=False,
    ),
}
"""The random numbers that a user's own code may draw, which go on as if no plugin had been imported."""


def settings() -> list[tuple[Kept, Callable[[], Any]]]:
    """Return the settings of what is imported, each with the value that it starts with."""
    return [*(NUMPY if has_numpy() else ()), *(TORCH if has_torch() else ())]


def seeds() -> list[Kept]:
    """Return the random numbers of what is imported."""
    here = {"random": True, "numpy": has_numpy(), "torch": has_torch()}
    return [kept for name, kept in SEEDS.items() if here[name]]
