"""What loggers are told about work: that it begins, and how it ends."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from difrun.errors import Interrupted
from difrun.runs.environment.faults import is_by_user

Tell = Callable[..., None]
"""Called with the name of an event and its values on offer."""


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
