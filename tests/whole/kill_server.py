"""A process that has everything imported, and runs each command in a fork of itself, which may be killed.

Python and torch take seconds to start; a fork takes milliseconds, so a test can afford hundreds of deaths. Each line on
stdin is a JSON object, and so is each answer on stdout:

    {"arguments": [...], "cwd": folder}                 run the command; answer its exit code, what it said, its seconds
    {..., "kill_after": seconds, "signals": [9]}        send it these signals, one after the other
    {..., "die_at": number, "moment": "before"|"after"} end it (os._exit) at that call of `CALLS`
    {..., "die_at": number, "moment": "raise"}          raise `Death` there, which no code expects
    {..., "count": true}                                answer how many calls of `CALLS` it made as well
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from typing import Any
from unittest import mock

CALLS = ("replace", "fsync", "open", "link", "unlink", "mkdir")
"""The functions of `os` that change a folder."""

DIED = 77


class Death(BaseException):
    """What is raised in the midst of a command."""


def patched(request: dict[str, Any], counter: int) -> contextlib.ExitStack:
    """Count the calls of `CALLS` in a file, and end the process at one of them."""
    stack, seen = contextlib.ExitStack(), 0

    def wrap(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            mine = seen
            os.pwrite(counter, str(seen).encode(), 0)
            if mine == request.get("die_at") and request["moment"] == "before":
                os._exit(DIED)
            if mine == request.get("die_at") and request["moment"] == "raise":
                raise Death
            try:
                return original(*args, **kwargs)
            finally:
                if mine == request.get("die_at") and request["moment"] == "after":
                    os._exit(DIED)

        return call

    for name in CALLS:
        stack.enter_context(mock.patch.object(os, name, wrap(getattr(os, name))))
    return stack


def child(request: dict[str, Any], said: int, counter: int) -> None:
    """Run the command in this process, which ends with it."""
    from difrun.cli import main

    os.setpgrp()
    os.chdir(request["cwd"])
    for number in (1, 2):
        os.dup2(said, number)
    sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
    code = 70
    try:
        with (
            patched(request, counter)
            if "die_at" in request or "count" in request
            else contextlib.nullcontext()
        ):
            main(request["arguments"])
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 0
    except Death:
        code = DIED
    except BaseException:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(code)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run a request in a fork."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as counter:
        start = time.monotonic()
        pid = os.fork()
        if pid == 0:
            child(request, said.fileno(), counter.fileno())
        for number in request.get("signals", ()):
            time.sleep(request["kill_after"])
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = start + 120
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(status)
        said.seek(0)
        counter.seek(0)
        return {
            "code": code,
            "said": said.read().decode("utf-8", "replace"),
            "seconds": time.monotonic() - start,
            "calls": int(counter.read() or 0),
        }


def main() -> None:
    """Import everything, then serve requests until stdin ends."""
    import torch

    torch.set_num_threads(1)
    sys.argv[0] = "difrun"
    for name in (
        "difrun.runs",
        "difrun.runs.compare.compare",
        "difrun.runs.report.content",
        "scipy.stats",
        "ot",
    ):
        importlib.import_module(name)
    from difrun.plugin.registry import get_registry
    from difrun.runs.report import standard_pictures

    for entry in get_registry().entries():
        entry.load()
    standard_pictures.draw_all = lambda run, **_: []  # pictures take longer than all the rest
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        answer = serve(json.loads(line))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
