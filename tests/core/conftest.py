"""Plugins made on the spot: distributions with an entry point, in a folder that is put on the path."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from tests.core.fakes import FakeRun

TOY = '''
"""Two small worlds: Gaussian (toy) and spins (coin)."""
from pathlib import Path
from types import ModuleType
from typing import Literal

import attrs
from attrs.validators import ge, gt, le, optional

from difrun.api import Component, hookimpl, option


@attrs.frozen
class ToyOptions:
    theta: float = option(1.0, "Rate.", gt(0), le(10))
    mu: float | tuple[float, ...] = option(0.0, "Centre.")
    t_min: float | None = option(None, "Shortest time.", optional(gt(0)))
    shape: Literal["flat", "steep"] = option("flat", "Form of the schedule.")
    exact: bool = option(False, "Exact steps.")
    table: Path | None = option(None, "A file of rates.")


@attrs.frozen
class PairOptions:
    low: int = option(0, "Lower end.", ge(0))
    high: int = option(5, "Upper end.")

    def __attrs_post_init__(self):
        if self.low >= self.high:
            raise ValueError(f"low must be less than high; got {self.low} and {self.high}")


@attrs.frozen
class PullOptions:
    scale: float = option(1.0, "Strength.", ge(0))


def component(name, options=None, **more):
    more.setdefault("summary", f"The {name}.")
    if options is not None:
        more["options"] = options
    return Component(name, "toy_parts:" + name.title().replace("-", ""), **more)


@hookimpl
def difrun_processes():
    return [
        component(
            "toy",
            ToyOptions,
            provides={"gaussian", "sde", "ode"},
            requires={"real"},
            prefers={"loss": "plain"},
        ),
        component("coin", PairOptions, provides={"discrete"}, requires={"spins"}),
    ]


@hookimpl
def difrun_models():
    return [
        component("toy-net", PullOptions, provides={"network"}),
        component("toy-exact", provides={"exact"}, requires={"gaussian"}),
    ]


@hookimpl
def difrun_losses():
    return [
        component("plain", requires={"network", "gaussian"}),
        component("coin-loss", requires={"network", "discrete"}),
    ]


@hookimpl
def difrun_samplers():
    return [
        component("toy-step", PullOptions, requires={"gaussian"}),
        component("leap", PairOptions, requires={"discrete"}),
    ]


@hookimpl
def difrun_guidances():
    return [component("pull", PullOptions, requires={"gaussian"}), component("push", PullOptions)]


@hookimpl
def difrun_datasets():
    return [component("toy-points", provides={"real"}), component("lattice", provides={"spins"})]


@hookimpl
def difrun_grids():
    return [component("even", PullOptions)]


@hookimpl
def difrun_metrics():
    return [component("gap", PairOptions), component("magnet", requires={"spins"})]
'''


class Site:
    """A folder of fake distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def add(
        self,
        dist: str,
        code: str,
        *,
        module: str | None = None,
        entry: str | None = None,
        version: str = "0.1.0",
        requires: Sequence[str] = (),
    ) -> None:
        """A distribution whose one entry point names a module with this code."""
        module = module or dist.replace("-", "_")
        self.modules.append(module)
        (self.folder / f"{module}.py").write_text(textwrap.dedent(code), "utf-8")
        info = self.folder / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n{needs}")
        (info / "entry_points.txt").write_text(
            f"[difrun]\n{entry or dist.removeprefix('difrun-')} = {module}\n"
        )

    def module(self, name: str, code: str) -> None:
        """A module without a distribution."""
        self.modules.append(name)
        (self.folder / f"{name}.py").write_text(textwrap.dedent(code), "utf-8")

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of a subprocess that sees these distributions, without DIFRUN_* of the caller."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("DIFRUN_", "_DIFRUN"))
        }
        # What is on the path already stays there: under tox it holds torch and the rest.
        path = os.pathsep.join(filter(None, [str(self.folder), clean.get("PYTHONPATH")]))
        return {**clean, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}

    def python(self, code: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a subprocess."""
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            env=self.environ(**environ),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def difrun(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a subprocess."""
        return self.python("from difrun.cli import main; main()", *arguments, **environ)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty folder of distributions, first on the path of this process; nothing of DIFRUN_* is set.

    The registry of this process is found anew, and is afterwards what it was.
    """
    from difrun.plugin import registry

    monkeypatch.setattr(registry, "_cached", None)
    folder = tmp_path / "site"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith("DIFRUN_"):
            monkeypatch.delenv(name)
    monkeypatch.syspath_prepend(folder)
    fakes = Site(folder)
    yield fakes
    for module in fakes.modules:
        sys.modules.pop(module, None)


@pytest.fixture
def toy(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The plugin difrun-toy, the only one loaded beside the core."""
    site.add("difrun-toy", TOY)
    monkeypatch.setenv("DIFRUN_PLUGINS", "toy")
    return site


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Make the temporary folder the working one; returns a function that writes a text file there."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), "utf-8")
        return path

    return write


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process; returns exit code, stdout and stderr."""
    from difrun.cli import main
    from difrun.plugin import registry

    monkeypatch.setattr(registry, "_cached", None)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """Floor 5, replaced; nothing is trained."""
    fake = FakeRun()
    module = ModuleType("difrun.runs")
    module.start, module.reopen = fake.start, fake.reopen  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "difrun.runs", module)
    return fake
