"""The folder of a run: what lies in it, and how it comes to be."""

import tomllib
from pathlib import Path

import attrs

from difrun import checkpoint
from difrun.config import Plan
from difrun.errors import DifrunError
from difrun.registry import Registry

PICTURES = ("loss", "samples", "forward", "reverse", "score", "density", "flow", "paths")


@attrs.frozen
class Folder:
    """A run folder. Every file in it is written whole or not at all."""

    path: Path

    config = property(lambda self: self.path / "run.toml")
    weights = property(lambda self: self.path / "model.safetensors")
    samples = property(lambda self: self.path / "samples.npz")
    metrics = property(lambda self: self.path / "metrics.json")
    report = property(lambda self: self.path / "report.html")

    def picture(self, name: str) -> Path:
        """Where the picture `name` (without its ending) is written."""
        return self.path / f"{name}.{'gif' if name in ('forward', 'reverse') else 'png'}"

    @classmethod
    def create(cls, path: Path | None, plan: Plan, *, force: bool, torch_version: str) -> "Folder":
        """Make the folder and write run.toml into it.

        path None: the next free ``runs/<process>-<dataset>-<k>``. force: replace the run that is there. Raises
        DifrunError when the folder holds anything else, or a run and force is not given, or cannot be written.
        """
        try:
            folder = cls(cls._next_free(plan) if path is None else cls._taken(Path(path), force))
            for old in (folder.weights, folder.samples, folder.metrics, folder.report, *map(folder.picture, PICTURES)):
                old.unlink(missing_ok=True)
        except OSError as error:
            raise DifrunError(
                f"cannot make the run folder {path or 'runs'}: {error.strerror}. Choose another place with --out."
            ) from error
        checkpoint.write_text(folder.config, plan.to_toml(torch_version))
        return folder

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """The folder of an earlier run. Raises DifrunError when it is not one."""
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise DifrunError(f"there is no run folder {path}. 'difrun run' prints the folder that it makes.")
        if not folder.config.is_file():
            raise DifrunError(f"{path} is not a run folder: it has no run.toml.")
        return folder

    def plan(self, registry: Registry) -> Plan:
        """The plan in run.toml. Raises DifrunError when the file is damaged or names what is not installed."""
        try:
            data = tomllib.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DifrunError(f"cannot read {self.config}: {error}") from error
        return Plan.from_dict(data, registry, str(self.config))

    @staticmethod
    def _next_free(plan: Plan) -> Path:
        stem = f"{plan.process.entry.name}-{plan.dataset.entry.name}"
        root = Path("runs")
        root.mkdir(exist_ok=True)
        number = 1
        while True:
            try:
                (root / f"{stem}-{number}").mkdir()
            except FileExistsError:
                number += 1
            else:
                return root / f"{stem}-{number}"

    @staticmethod
    def _taken(path: Path, force: bool) -> Path:
        if path.exists() and not path.is_dir():
            raise DifrunError(f"--out {path} is a file; a run needs a folder of its own.")
        if path.is_dir() and any(path.iterdir()):
            if not (path / "run.toml").is_file():
                raise DifrunError(f"--out {path} holds other files and no run. Choose a new or empty folder.")
            if not force:
                raise DifrunError(
                    f"--out {path} already holds a run. Choose another folder, continue that run with "
                    f"'difrun resume {path}', or replace it with --force."
                )
        path.mkdir(parents=True, exist_ok=True)
        return path
