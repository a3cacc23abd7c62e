"""Subprocesses that run as a user's shell would: the installed command, without variables of the caller."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def python() -> Run:
    """Run ``python ARGUMENTS`` in a folder; `path` comes first on the module path."""

    def run(
        *arguments: str, cwd: Path, path: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DIFRUN_")}
        if path is not None:
            # What is on the path already stays there: under tox it holds torch and the rest.
            clean["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), clean.get("PYTHONPATH")]))
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env={**clean, **environ},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
