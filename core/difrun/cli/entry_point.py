"""The entry point of the command: exit codes, and errors as one message without a traceback.

0: done. 1: a DifrunError, no memory left, or a file that cannot be read or written. 2: wrong names, options or
values. 130 and 143: stopped by Ctrl-C (SIGINT) or by SIGTERM.
"""

import errno
import os
import sys
from collections.abc import Sequence

import click

from difrun.errors import ConfigError, DifrunError, Interrupted, out_of_memory
from difrun.storage.atomic import advice
from difrun.text import quoted


def main(args: Sequence[str] | None = None) -> None:
    """Run the command `difrun` with `args` (default: those of the process), then exit."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without θ shows a question mark
    if os.environ.get("DIFRUN_DEBUG", "") not in ("", "0"):
        sys.exit(_invoke(args))
    try:
        code = _invoke(args)
    except Interrupted as error:
        _say_how_to_continue(error)
        code = _stopped_by()
    except DifrunError as error:
        _say(f"Error: {error}")
        code = 2 if isinstance(error, ConfigError) else 1
    except OSError as error:
        _say_os_error(error)
        code = 1
    except (KeyboardInterrupt, click.Abort):
        _say("Stopped at once. What was saved last stays; 'difrun resume RUN' continues from there.")
        code = _stopped_by()
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        _say_memory_error(error)
        code = 1
    sys.exit(code)


def _invoke(args: Sequence[str] | None) -> int:
    from difrun.cli.app import app

    try:
        code = app.main(args=None if args is None else list(args), prog_name="difrun", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return code if isinstance(code, int) else 0


def _stopped_by() -> int:
    from difrun.cli.progress import last_signal

    return 128 + last_signal()


def _say_how_to_continue(error: Interrupted) -> None:
    again = f"difrun resume {quoted(error.folder)}"
    use = f"\nOr use what is trained so far: {again} --finish" if error.usable else ""
    _say(f"{error}\n{error.outcome or f'Continue with: {again}{use}'}")


def _say_os_error(error: OSError) -> None:
    if error.errno == errno.EPIPE:  # the reader of a pipe, such as head, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    where = f"{error.filename}: " if error.filename else ""
    message = f"{where}{error.strerror or error}. {advice(error)}".rstrip()
    _say(f"Error: {message}")


def _say_memory_error(error: Exception) -> None:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    _say(
        "Error: there is not enough memory for this. Use less at a time: a smaller --chunk (sampling), "
        "--n (measuring) or --train.batch (training).\n"
        f"The system said: {first_line}"
    )


def _say(text: str) -> None:
    click.echo(text, err=True)
