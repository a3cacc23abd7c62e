"""Decorators for the methods of a run: its lock, its threads, errors that name their plugin, and what loggers hear."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from difrun.plugin.containment import restored
from difrun.runs.environment import faults
from difrun.runs.environment.threads import threads
from difrun.runs.folder import lock

if TYPE_CHECKING:
    from difrun.runs.run import Run

Method = TypeVar("Method", bound=Callable[..., Any])


def with_run_environment(work: str) -> Callable[[Method], Method]:
    """Make a method of `Run` use the threads of its plan, and name the plugin if a plugin's code fails.

    Args:
        work: What the method does, for loggers (`RunState.told`).
    """

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def wrapped(self: "Run", *args: Any, **kwargs: Any) -> Any:
            count = self.plan.threads
            with (
                self.told(work),
                threads(count if isinstance(count, int) else None),
                restored(self.note_change),
                faults.blame_plugin(self.plan),
            ):
                return method(self, *args, **kwargs)

        return cast(Method, wrapped)

    return decorate


def exclusive(work: str) -> Callable[[Method], Method]:
    """Make a method of `Run` hold the lock of the folder as well.

    It is refused while another process holds that, or if another process has replaced the run.

    Args:
        work: As for `with_run_environment`.
    """

    def decorate(method: Method) -> Method:
        inner = with_run_environment(work)(method)

        @functools.wraps(method)
        def wrapped(self: "Run", *args: Any, **kwargs: Any) -> Any:
            with lock.hold_lock(self.path):
                self.folder.refuse_replaced()
                return inner(self, *args, **kwargs)

        return cast(Method, wrapped)

    return decorate
