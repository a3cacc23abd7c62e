"""Decorators for the methods of a run: its threads, the lock of its folder, and errors that name their plugin."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from difrun.runs.environment import faults
from difrun.runs.environment.threads import threads
from difrun.runs.folder import lock

if TYPE_CHECKING:
    from difrun.runs.run import Run

Method = TypeVar("Method", bound=Callable[..., Any])


def with_run_environment(method: Method) -> Method:
    """Make a method of `Run` use the threads of its plan, and name the plugin if a plugin's code fails."""

    @functools.wraps(method)
    def wrapped(self: "Run", *args: Any, **kwargs: Any) -> Any:
        count = self.plan.threads
        with threads(count if isinstance(count, int) else None), faults.blame_plugin(self.plan):
            return method(self, *args, **kwargs)

    return wrapped  # type: ignore[return-value]


def exclusive(method: Method) -> Method:
    """Make a method of `Run` hold the lock of the folder as well.

    It is refused while another process holds that, or if another process has replaced the run.
    """

    @functools.wraps(method)
    def wrapped(self: "Run", *args: Any, **kwargs: Any) -> Any:
        with lock.hold_lock(self.path):
            self.folder.refuse_replaced()
            return with_run_environment(method)(self, *args, **kwargs)

    return wrapped  # type: ignore[return-value]
