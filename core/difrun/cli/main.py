"""The entry point of the command: exit codes, and errors as one message without a traceback.

0: done. 1: a DifrunError or a file that cannot be read or written. 2: wrong names, options or values.
130 and 143: stopped by Ctrl-C (SIGINT) or by SIGTERM.
"""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from difrun.errors import ConfigError, DifrunError, Interrupted


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
        _say(f"Interrupted. Continue with: difrun resume {_quoted(error.folder)}")
        code = _stopped_by()
    except ConfigError as error:
        _say(f"Error: {error}")
        code = 2
    except DifrunError as error:
        _say(f"Error: {error}")
        code = 1
    except OSError as error:
        code = 1
        if error.errno == errno.EPIPE:  # the reader of a pipe, such as head, has left
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            _say(f"Error: {_os_error(error)}")
    except (KeyboardInterrupt, click.Abort):
        _say("Stopped at once. What was saved last stays; 'difrun resume RUN' continues from there.")
        code = _stopped_by()
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


def _os_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: "The disk is full. Free some space, or choose another folder with --out.",
        errno.EDQUOT: "The disk quota is used up. Free some space, or choose another folder with --out.",
        errno.EACCES: "No permission. Choose another folder with --out, or change its permissions.",
        errno.EPERM: "No permission. Choose another folder with --out, or change its permissions.",
        errno.EROFS: "The file system is read-only. Choose another folder with --out.",
    }
    return where + advice.get(error.errno or 0, (error.strerror or str(error)) + ".")


def _quoted(folder: Path) -> str:
    return f"'{folder}'" if " " in str(folder) else str(folder)


def _say(text: str) -> None:
    click.echo(text, err=True)
