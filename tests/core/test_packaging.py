"""The distributions of the repository: versions, pins, what is shipped; and every command is written once."""

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import difrun

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
NAMES = [folder.name for folder in PLUGINS]

SEPARATE = ("diffusers", "mlflow", "tensorboard")
"""Plugins with dependencies that few need: README's first command leaves them out, and tox installs each for itself."""


def project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


CORE = project(ROOT)["project"]


def lines(name):
    """The lines of a file at the root, without comments and blank lines."""
    text = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in text if line.strip() and not line.startswith("#")]


def tox():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    return parser


def tox_environments():
    """env_list with its braces expanded."""
    names = []
    for factor in re.findall(r"\{[^}]*\}|[^,\s{}]+", tox()["tox"]["env_list"]):
        names += [name.strip() for name in factor.strip("{}").split(",")]
    return names


def readme_commands():
    """The commands of README's two shell blocks under the heading of the two commands."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Two commands\n", 1)[1].split("\n## ", 1)[0]
    return [block.strip() for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)]


def test_there_are_plugins_to_check():
    folders = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())
    assert folders == NAMES
    assert "ou" in NAMES


def test_the_core_knows_its_version():
    assert difrun.__version__ == CORE["version"] == importlib.metadata.version("difrun")


@pytest.mark.parametrize("folder", PLUGINS, ids=NAMES)
def test_a_plugin_is_released_with_the_core(folder):
    """Equal versions X.Y.Z, and a requirement of the core that ends at the next minor version."""
    declared = project(folder)["project"]
    assert declared["name"] == f"difrun-{folder.name}"
    assert declared["version"] == CORE["version"]
    assert declared["requires-python"] == CORE["requires-python"]
    major, minor, _ = CORE["version"].split(".")
    assert f"difrun>={major}.{minor},<{major}.{int(minor) + 1}" in declared["dependencies"]


@pytest.mark.parametrize("folder", PLUGINS, ids=NAMES)
def test_a_plugin_has_one_entry_point_its_package(folder):
    package = f"difrun_{folder.name}"
    assert project(folder)["project"]["entry-points"] == {"difrun": {folder.name: package}}
    assert (folder / package / "__init__.py").is_file()


@pytest.mark.parametrize("folder", PLUGINS, ids=NAMES)
def test_a_plugin_carries_the_licence(folder):
    assert project(folder)["project"]["license"] == CORE["license"] == "MIT"
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_torch_is_pinned_for_the_checkout_only():
    assert lines("constraints.txt") == ["torch==2.13.0"]
    torch = [wanted for wanted in CORE["dependencies"] if wanted.startswith("torch")]
    assert torch == ["torch>=2.6"]


def test_requirements_install_the_core_and_every_plugin_in_one_call():
    assert lines("requirements.txt") == [
        "-c constraints.txt",
        "torch",
        "-e .",
        *[f"-e plugins/{name}" for name in NAMES if name not in SEPARATE],
    ]


def test_the_shared_environment_holds_what_the_distributions_need():
    """requirements-base.txt is what the distributions of requirements.txt need, and the test tools."""
    needed = [*CORE["dependencies"], *CORE["optional-dependencies"]["test"]]
    for folder in PLUGINS:
        if folder.name in SEPARATE:
            continue
        needed += [wanted for wanted in project(folder)["project"]["dependencies"] if "difrun" not in wanted]
    requirements = lines("requirements-base.txt")
    assert requirements[0] == "-c constraints.txt"
    assert sorted(requirements[1:]) == sorted(set(needed))


def test_tox_has_an_environment_for_every_plugin():
    others = {"base", "core", "all", "lint", "types"}
    assert others <= set(tox_environments())
    assert sorted(set(tox_environments()) - others) == NAMES


def test_every_tox_environment_is_constrained():
    """Each list of dependencies starts with the constraints that a checkout uses."""
    parser = tox()
    lists = {name: parser[name]["deps"].split("\n") for name in parser.sections() if "deps" in parser[name]}
    assert len(lists) >= 6
    assert {name: found[1] for name, found in lists.items()} == dict.fromkeys(lists, "-c constraints.txt")


def test_readme_and_ci_run_the_same_command():
    run, check = readme_commands()
    assert run == "pip install -r requirements.txt && difrun --process ou --sampler heun"
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert script[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in script
    assert script[-1] == check == "pip install tox && tox"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("folder", [ROOT, *PLUGINS], ids=["core", *NAMES])
def test_the_wheel_holds_one_package_and_all_of_it(folder, tmp_path):
    """Every file of the package that git would track is in the wheel, and nothing else but metadata."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, text=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    source = ROOT / "core" / "difrun" if folder == ROOT else folder / f"difrun_{folder.name}"
    expected = {
        f"{source.name}/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
    shipped = {name for name in names if ".dist-info/" not in name}
    assert shipped == expected
    assert f"{source.name}/py.typed" in shipped
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "\nRequires-Python: >=3.11\n" in text
    if folder == ROOT:
        assert "difrun/report/report.html.j2" in shipped
