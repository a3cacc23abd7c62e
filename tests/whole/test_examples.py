"""The worked plugins in examples/: complete packages, whose own tests pass as a third party would run them."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from . import support

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))


def test_each_example_is_whole():
    assert {folder.name for folder in FOLDERS} == {"critically-damped-langevin", "er-sde"}
    for folder in FOLDERS:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
        (package,) = project["entry-points"]["difrun"].values()
        for name in ("README.md", "LICENSE", f"{package}/py.typed", "tests/test_conformance.py"):
            assert (folder / name).is_file(), (folder, name)
        assert f"# {project['name']}" in (folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_its_own_tests_pass(folder, tmp_path):
    """Installed by pip into a folder of its own; the kit's rules are among the tests."""
    target = tmp_path / "site"
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target))
    copy = tmp_path / "source"
    ignored = ("__pycache__", "build", ".pytest_cache")
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*ignored))
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(copy)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert installed.returncode == 0, installed.stderr
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "tests"],
        env={**support.environ(), "PYTHONPATH": path},
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " checks of " in done.stdout
