"""Subprocesses as in a user's shell, packages from the code blocks of the documents, and a finished run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from . import support

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("-c", "from difrun.cli import main; main()")

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def python() -> Callable[..., Done]:
    """Run ``python ARGUMENTS`` in a folder, without DIFRUN_* of the caller; `path` comes first on the module path."""

    def run(*arguments: str, cwd: Path, path: Path | None = None, **environ: str) -> Done:
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
            timeout=900,  # a machine may be slow or busy; a test that hangs must still end
        )

    return run


@pytest.fixture(scope="session")
def difrun(python) -> Callable[..., Done]:
    """Run the command `difrun`; fails the test unless its exit code is `code`."""

    def run(*arguments: str, code: int = 0, **where) -> Done:
        done = python(*COMMAND, *arguments, **where)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture(scope="session")
def files_of() -> Callable[..., dict[str, str]]:
    """File name -> text, from a document: a line that starts with the name, then its block."""

    def read(document: str, section: str | None = None) -> dict[str, str]:
        text = (ROOT / document).read_text(encoding="utf-8")
        if section is not None:
            text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
        return dict(re.findall(r"^`([\w/.]+)`[^`]*?```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL))

    return read


@pytest.fixture(scope="session")
def installed(python) -> Callable[..., Path]:
    """Write a project and install it by pip into a folder of its own, so that this environment stays as it is."""

    def install(project: Path, files: dict[str, str]) -> Path:
        for name, text in files.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text, encoding="utf-8")
        site = project.with_name(f"{project.name}-site")
        options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site))
        done = python("-m", "pip", "install", *options, str(project), cwd=project)
        assert done.returncode == 0, done.stderr
        return site

    return install


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of `SMALL`, without pictures."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with support.without_pictures():
        support.difrun("run", *support.SMALL, "--out", folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The temporary folder as the working one; nothing is drawn."""
    monkeypatch.chdir(tmp_path)
    with support.without_pictures():
        yield tmp_path


@pytest.fixture
def run(finished, here):
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(finished, "run"))


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of two columns of very different size, in a file whose name has a space."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(400, 2)) * (3e4, 0.5) + (1e6, 5)
    np.savetxt("my table.csv", x, delimiter=",", header="income,age", comments="")
    return x


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder for the runs of one file of tests."""
    return tmp_path_factory.mktemp("runs")
