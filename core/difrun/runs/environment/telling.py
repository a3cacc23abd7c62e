"""What loggers are told about work: that it begins, and how it ends."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from difrun.errors import Interrupted
from difrun.runs.environment.faults import is_by_user

Tell = Callable[..., None]
"""Called with the name of an event and its values on offer."""


def hyperparameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, int | float | bool | str]:
    """Return the values of a run.toml in one flat dict, with dotted keys: ``train.lr``.

    The versions and the fingerprint of the data, which nobody chooses, are left out.

    Args:
        config: The values, as `difrun.config.Plan.to_dict` gives them.
        prefix: What every key begins with.
    """
    flat: dict[str, int | float | bool | str] = {}
    for key, value in config.items():
        if not prefix and key in ("versions", "data"):
            continue
        if isinstance(value, Mapping):
            flat |= hyperparameters(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
            for part in value:
                flat |= hyperparameters(part, f"{prefix}{key}.{part.get('name', '')}.")
        elif isinstance(value, list):
            flat[prefix + key] = ", ".join(map(str, value))
        else:
            flat[prefix + key] = value if isinstance(value, int | float | bool) else str(value)
    return flat


@contextlib.contextmanager
def told(
    tell: Tell, work: str, begin: Mapping[str, Any], end: Callable[[], Mapping[str, Any]] = dict
) -> Iterator[None]:
    """Tell of the beginning of the work in the block, and of its end: finished or failed, whatever ends it.

    Args:
        tell: Tells the loggers.
        work: What is done (`difrun.plugin.arguments.WORK`).
        begin: The values of `difrun_run_started`, beside the work.
        end: Makes those of `difrun_run_finished`.
    """
    try:
        tell("difrun_run_started", work=work, **begin)
        yield
    except BaseException as error:
        stopped = isinstance(error, Interrupted) or (
            isinstance(error, KeyboardInterrupt) and is_by_user(error)
        )
        tell("difrun_run_failed", work=work, error=error, stopped=stopped)
        raise
    tell("difrun_run_finished", work=work, **end())
