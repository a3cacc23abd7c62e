"""difrun: diffusion models from plugins that any command or notebook wires together by name.

A run from Python::

    import difrun

    run = difrun.start(difrun.resolve({"process": "ou", "sampler": "heun"}), "runs/first")
    run.execute()
    run.samples, run.metrics

The names below are imported when they are first used, so that ``import difrun`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "resolve": "difrun.config.plan",
    "get_registry": "difrun.plugin.registry",
    "refresh": "difrun.plugin.registry",
    "start": "difrun.runs",
    "reopen": "difrun.runs",
    "compare": "difrun.runs.compare.compare",
    "wrap": "difrun.model.foreign",
}

__all__ = ["__version__", "compare", "get_registry", "refresh", "reopen", "resolve", "start", "wrap"]

if TYPE_CHECKING:
    from difrun.config.plan import resolve
    from difrun.model.foreign import wrap
    from difrun.plugin.registry import get_registry, refresh
    from difrun.runs.compare.compare import compare
    from difrun.runs.opening import reopen, start


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'difrun' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
