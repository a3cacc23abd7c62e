"""A package in a folder, made visible as if it were installed, from what its pyproject.toml says."""

import contextlib
import importlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from difrun.errors import ConfigError
from difrun.plugin.packages import GROUP, canonical, installed, names_of
from difrun.text import in_one_line


@contextlib.contextmanager
def installed_from(text: str) -> Iterator[str]:
    """Give the name of the distribution that a name or a folder stands for.

    A folder with a pyproject.toml is on the path within the block, with the metadata that an installer would write, and
    is preferred to an installed distribution of the same name.

    Args:
        text: The name of an installed distribution, a folder, or the pyproject.toml in it.

    Raises:
        ConfigError: If the folder holds no package of difrun.
    """
    folder = Path(text)
    if folder.name == "pyproject.toml":
        folder = folder.parent
    if not (folder.is_dir() and (folder / "pyproject.toml").is_file()):
        is_name = not (os.sep in text or text.startswith(".") or folder.is_file())
        if not is_name or (folder.is_dir() and not _is_installed(text)):
            raise ConfigError(f"There is no package in {text}: expected a folder with a pyproject.toml.")
        yield canonical(text)
        return
    folder = folder.resolve()
    project = _project(folder)
    name, points = str(project["name"]), project["entry-points"][GROUP]
    modules = {str(value).partition(":")[0].partition(".")[0] for value in points.values()}
    with tempfile.TemporaryDirectory() as site:
        _write_metadata(Path(site), project, points)
        with _first_on_path([site, str(_root(folder, modules))], modules):
            yield canonical(name)


def _is_installed(name: str) -> bool:
    return canonical(name) == "difrun" or any(
        canonical(name) in names_of(plugin) for plugin, _ in installed()
    )


def _project(folder: Path) -> dict[str, Any]:
    """The table [project] of a package of difrun."""
    path = folder / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {in_one_line(error)}") from error
    if not isinstance(project.get("name"), str):
        raise ConfigError(f"{path} names no package: expected a table [project] with a name.")
    points = project.get("entry-points", {})
    if not isinstance(points.get(GROUP), Mapping) or not points[GROUP]:
        raise ConfigError(
            f"{path} has no entry point of difrun: expected a table [project.entry-points.{GROUP}] with a line such as "
            'name = "my_package".'
        )
    return project


def _root(folder: Path, modules: set[str]) -> Path:
    """The folder that holds the modules of the entry points: that of pyproject.toml, or its folder ``src``."""
    for root in (folder, folder / "src"):
        if all((root / name).is_dir() or (root / f"{name}.py").is_file() for name in modules):
            return root
    missing = ", ".join(sorted(modules))
    raise ConfigError(f"There is no {missing} in {folder} or {folder / 'src'}, which its entry point names.")


def _write_metadata(site: Path, project: Mapping[str, Any], points: Mapping[str, Any]) -> None:
    """Write what an installer would write beside a package."""
    name, version = str(project["name"]), str(project.get("version", "0"))
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    requires = "".join(f"Requires-Dist: {line}\n" for line in project.get("dependencies", ()))
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
    (info / "METADATA").write_text(text, "utf-8")
    lines = "".join(f"{key} = {value}\n" for key, value in points.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}", "utf-8")


@contextlib.contextmanager
def _first_on_path(folders: list[str], modules: set[str]) -> Iterator[None]:
    """Put folders first on the path, also of subprocesses, and forget what was imported of the modules elsewhere."""
    before = sys.path[:], os.environ.get("PYTHONPATH")
    _forget(modules)
    sys.path[:0] = folders
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *filter(None, [before[1]])])
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before[0]
        if before[1] is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before[1]
        _forget(modules)


def _forget(modules: set[str]) -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in modules:
            del sys.modules[name]
