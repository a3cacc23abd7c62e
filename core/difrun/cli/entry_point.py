"""The entry point of the command: exit codes, and errors as one message without a traceback.

Where a command is asked for JSON (--json), an error is JSON too: its text and the exit code.

0: done. 1: a DifrunError, no memory left, or a file that cannot be read or written. 2: wrong names, options or
values. 130 and 143: stopped by Ctrl-C (SIGINT) or by SIGTERM.
"""

import contextlib
import errno
import json
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Sequence

import click

from difrun.cli import signals
from difrun.cli.tell import tell
from difrun.errors import ConfigError, DifrunError, Interrupted, StoppedByUser, out_of_memory
from difrun.storage.atomic import advice
from difrun.text import in_one_line, quoted

THREADS = 20.0
"""Seconds for which the command waits, when its work is done, for threads that a plugin has started."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command `difrun` with `args` (default: those of the process), then exit."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without θ shows a question mark
    signals.forget()
    if args is None and not os.environ.get("DIFRUN_DEBUG"):
        _say_in_one_line()
    with signals.handled_by(signals.stop_now):
        debug = os.environ.get("DIFRUN_DEBUG", "") not in ("", "0")
        code = _invoke(args) if debug else _stoppable(args)
        if code == 0 and signals.received():  # it was asked to stop, and came to its end all the same
            code = _stopped_by()
        if args is None:
            _wait_for_threads(code)
            signals.ignore()
            _flush()
            sys.exit(code)
    sys.exit(code)


def _stoppable(args: Sequence[str] | None) -> int:
    """The exit code of the command; a KeyboardInterrupt, which may come at any moment, is one line."""
    try:
        return _guarded(args)
    except KeyboardInterrupt as error:
        if signals.received() is None and not isinstance(error, StoppedByUser):
            return _raised_by_code(error)
        tell("Stopped at once. What was saved last stays; 'difrun resume RUN' continues from there.")
        return _stopped_by()


def _raised_by_code(error: KeyboardInterrupt) -> int:
    """The exit code for a KeyboardInterrupt that no signal raised: code of a component did, which is a fault."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    tell(
        f"Error: {last.name} ({last.filename}:{last.lineno}) raised KeyboardInterrupt, although nobody asked to stop. "
        "This is a fault of that code. What was saved last stays; 'difrun resume RUN' continues from there."
    )
    return 1


def _guarded(args: Sequence[str] | None) -> int:
    """The exit code of the command; every error is told in words."""
    try:
        return _invoke(args)
    except Interrupted as error:
        again = f"difrun resume {quoted(error.folder)}"
        use = f"\nOr use what is trained so far: {again} --finish" if error.usable else ""
        tell(f"{error}\n{error.outcome or f'Continue with: {again}{use}'}")
        return _stopped_by()
    except ConfigError as error:
        return _told(str(error), 2, args)
    except DifrunError as error:
        return _told(str(error), 1, args)
    except OSError as error:
        if error.filename is not None or not (_is_of_echo(error) or _stdout_fails()):
            tell(f"Error: {_os_error(error)}")
        elif error.errno != errno.EPIPE:  # the reader of a pipe, such as head, may leave without a word
            tell(f"Error: what the command prints cannot be written: {error.strerror or error}.")
    except ValueError:
        if not getattr(sys.stdout, "closed", False):
            raise
        tell("Error: what the command prints cannot be written: its stdout was closed.")
    except click.Abort as error:  # what click makes of these two
        if isinstance(error.__cause__, KeyboardInterrupt | EOFError):
            raise error.__cause__ from None
        raise
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        tell(
            "Error: there is not enough memory for this. Use less at a time: a smaller --chunk (sampling), "
            "--n (measuring) or --train.batch (training).\n"
            f"The system said: {_first_line(error)}"
        )
    return 1


def _invoke(args: Sequence[str] | None) -> int:
    from difrun.cli.app import app

    try:
        code = app.main(args=None if args is None else list(args), prog_name="difrun", standalone_mode=False)
    except click.ClickException as error:
        if _in_json(args):
            return _told(error.format_message(), error.exit_code, args)
        with contextlib.suppress(OSError, ValueError):  # stderr may be full
            error.show()
        return error.exit_code
    return code if isinstance(code, int) else 0


def _in_json(args: Sequence[str] | None) -> bool:
    return "--json" in (sys.argv[1:] if args is None else args)


def _told(text: str, code: int, args: Sequence[str] | None) -> int:
    """Tell of an error and return its exit code; on stdout and as JSON where the command was asked for JSON."""
    if _in_json(args):
        click.echo(json.dumps({"error": text, "exit_code": code}, indent=2, ensure_ascii=False))
    else:
        tell(f"Error: {text}")
    return code


def _say_in_one_line() -> None:
    """Tell in one line what Python would print with a traceback: errors at its end and in threads, and warnings."""

    def unraisable(event: "sys.UnraisableHookArgs") -> None:
        tell(
            f"Warning: an error was ignored, {_of(event.object)}: {in_one_line(event.exc_value or KeyError())}"
        )

    def of_thread(event: threading.ExceptHookArgs) -> None:
        last = traceback.extract_tb(event.exc_traceback)[-1]
        reason = in_one_line(event.exc_value or KeyError())
        tell(
            f"Warning: a thread ended with an error in {last.name} ({last.filename}:{last.lineno}): {reason}"
        )

    def warning(message: Warning | str, *_: object) -> None:
        tell(f"Warning: {message}")

    sys.unraisablehook = unraisable
    threading.excepthook = of_thread
    warnings.showwarning = warning  # type: ignore[assignment]


def _of(thing: object) -> str:
    """A function of a plugin, or the function that a thread runs, with its module."""
    target = getattr(thing, "_target", None) or thing  # a thread keeps its function there until it ends
    module, name = getattr(target, "__module__", ""), getattr(target, "__qualname__", type(target).__name__)
    return f"{name} of {module}" if module else name


def _wait_for_threads(code: int) -> None:
    """Wait for the threads that plugins have started, but not forever: Python would, and hear no Ctrl-C."""
    end = time.monotonic() + THREADS
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    for thread in others:
        if not thread.daemon:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C ends the wait
                thread.join(max(0, end - time.monotonic()))
    left = [thread for thread in others if thread.is_alive() and not thread.daemon]
    if left:
        names = ", ".join(f"{thread.name} ({_of(thread)})" for thread in left[:3])
        tell(
            f"Warning: a thread does not end, and is not waited for: {names}. This is a fault of the plugin."
        )
        _flush()
        os._exit(code)


def _stopped_by() -> int:
    return 128 + (signals.received() or 2)


def _open_closed_streams() -> None:
    """Lead stdin, stdout and stderr nowhere if they are closed: else a file of the run would get their place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _is_of_echo(error: OSError) -> bool:
    """Whether stdout did not take what the command prints: a disk that is full may take the next bytes again."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(frame.f_code is click.echo.__code__ for frame in frames)


def _stdout_fails() -> bool:
    """Whether nothing can be written to stdout; what waits there is then dropped."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop(sys.stdout)
        return True
    return False


def _flush() -> None:
    """Write what waits, so that Python does not complain at its end that it cannot."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _drop(stream)


def _drop(stream: object) -> None:
    """Lead a stream that cannot be written nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]


def _os_error(error: OSError) -> str:
    if error.filename is None and error.errno == errno.ENOENT and _is_nowhere():
        return (
            "the working folder does not exist any more. Change to another one, and start the command again."
        )
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}. {advice(error)}".rstrip()


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
