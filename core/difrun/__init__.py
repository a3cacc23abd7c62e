"""difrun: diffusion models from plugins that any command or notebook wires together by name.

A run from Python::

    import difrun

    run = difrun.run(process="ou", sampler="heun", dataset="moons", out="moons")
    run.samples, run.metrics
    difrun.sample(run, 1000, sampler="adams", steps=10)

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
    "reopen": "difrun.face.opening",
    "Listener": "difrun.plugin.listener",
    "run": "difrun.face.running",
    "resume": "difrun.face.running",
    "sample": "difrun.face.drawing",
    "invert": "difrun.face.inverting",
    "evaluate": "difrun.face.measuring",
    "log_likelihood": "difrun.face.measuring",
    "compare": "difrun.face.compared",
    "export": "difrun.face.exported",
    "tune": "difrun.face.few_steps",
    "wrap": "difrun.model.foreign",
}

__all__ = [
    "Listener",
    "__version__",
    "compare",
    "evaluate",
    "export",
    "get_registry",
    "invert",
    "log_likelihood",
    "refresh",
    "reopen",
    "resolve",
    "resume",
    "run",
    "sample",
    "start",
    "tune",
    "wrap",
]

if TYPE_CHECKING:
    from difrun.config.plan import resolve
    from difrun.face.compared import compare
    from difrun.face.drawing import sample
    from difrun.face.exported import export
    from difrun.face.few_steps import tune
    from difrun.face.inverting import invert
    from difrun.face.measuring import evaluate, log_likelihood
    from difrun.face.opening import reopen
    from difrun.face.running import resume, run
    from difrun.model.foreign import wrap
    from difrun.plugin.listener import Listener
    from difrun.plugin.registry import get_registry, refresh
    from difrun.runs.opening import start


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'difrun' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
