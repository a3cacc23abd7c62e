"""The sampler of each scheduler: classes that are made from the table, one per scheduler."""

from typing import Any

from difrun_diffusers.sampler import SchedulerSampler
from difrun_diffusers.table import SCHEDULERS

_ROLES = {entry.cls.removesuffix("Scheduler"): entry for entry in SCHEDULERS.values()}

__all__ = sorted(_ROLES)


def _made(name: str) -> Any:
    entry = _ROLES[name]
    text = f"""{entry.summary}: `diffusers.{entry.cls}`, on the grid that it makes or on any other."""
    return type(name, (SchedulerSampler,), {"__doc__": text, "__module__": __name__, "entry": entry})


globals().update({name: _made(name) for name in _ROLES})
