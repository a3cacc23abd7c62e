"""The folder of a run: its files, and how it is made."""

import json
import re
import tomllib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.config.plan import ChosenComponent, Plan
from difrun.errors import DifrunError, no_run
from difrun.plugin.registry import Registry
from difrun.storage import atomic
from difrun.text import quoted

PICTURES = ("loss", "samples", "forward", "reverse", "score", "density", "flow", "paths")
ENDINGS = ("png", "gif")


@attrs.frozen
class Folder:
    """A run folder. Every file in it is written whole or not at all.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Every resolved name and option."""
        return self.path / "run.toml"

    @property
    def data(self) -> Path:
        """Examples that cannot be made again from the seed."""
        return self.path / "data.safetensors"

    @property
    def weights(self) -> Path:
        """The weights, and the state of training."""
        return self.path / "model.safetensors"

    @property
    def samples(self) -> Path:
        """The samples, in the user's units."""
        return self.path / "samples.npz"

    @property
    def metrics(self) -> Path:
        """Metrics, and how the samples were drawn."""
        return self.path / "metrics.json"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def tuning(self) -> Path:
        """What `difrun tune` found."""
        return self.path / "tuning.json"

    def picture(self, name: str) -> Path:
        """Return where the core's picture of this name is written."""
        return self.path / f"{name}.{'gif' if name in ('forward', 'reverse') else 'png'}"

    def drawing(self, stem: str, ending: str) -> Path:
        """Return where a picture of the dataset is written. If it replaces one of the core's, it has the same name."""
        return self.path / (f"{stem}.{ending}" if stem in PICTURES else f"picture-{stem}.{ending}")

    def drawings(self, stem: str) -> list[Path]:
        """Return the files that a picture of the dataset may be in: a figure or an animation."""
        return [self.drawing(stem, ending) for ending in ENDINGS]

    def files(self) -> list[Path]:
        """Return every file that a run may write, existing or not, and the pictures of the dataset that exist."""
        files = [self.config, self.data, self.weights, self.samples, self.metrics, self.report, self.tuning]
        files += [self.drawing(name, ending) for name in PICTURES for ending in ENDINGS]
        for ending in ENDINGS:
            files += self.path.glob(f"picture-*.{ending}")
        return files

    def results(self) -> list[Path]:
        """Return the existing files that belong to the weights as they are: samples, metrics, pictures, tunings."""
        kept = (self.config, self.data, self.weights)
        files = [file for file in self.files() if file not in kept and file.exists()]
        return [*files, *self.path.glob("samples-*-n*-seed*-*.npz"), *self.path.glob("samples*.metrics.json")]

    def leftovers(self) -> list[Path]:
        """Return the half-written files that a killed process left behind."""
        names = {f".{name}.part" for name in ("run.toml.new", *(file.name for file in self.files()))}
        return [
            file
            for file in self.path.iterdir()
            if atomic.is_leftover(file)
            and (file.name in names or file.name.startswith((".samples-", ".picture-")))
        ]

    def clean(self) -> None:
        """Remove the leftovers."""
        for part in self.leftovers():
            part.unlink(missing_ok=True)

    @classmethod
    def create(cls, path: Path | None, plan: Plan, *, force: bool, torch_version: str) -> "Folder":
        """Make the folder and write run.toml into it.

        Args:
            path: The folder; None takes the next free ``runs/<process>-<dataset>-<k>``, with the name of the user's
                file for the dataset.
            plan: What run.toml says.
            force: Replace a run that is there.
            torch_version: The version of torch, for run.toml.

        Raises:
            DifrunError: If the folder cannot be written, if it holds a run and `force` is not given, or if it holds
                other files.
        """
        try:
            folder = cls(cls._next_free(plan) if path is None else cls._taken(Path(path), force))
            folder.clean()
            text, trial = plan.to_toml(torch_version), folder.path / ".run.toml.new.part"
            # What 'difrun sample' drew from the earlier model, and its metrics, go with that model.
            old = [
                file
                for file in (
                    *folder.files(),
                    *folder.path.glob("samples-*-n*-seed*-*.npz"),
                    *folder.path.glob("samples*.metrics.json"),
                    *folder.path.glob("guidance-*.safetensors"),
                )
                if file.exists()
            ]
            if old:
                atomic.write_text(trial, text)  # fails before anything is lost if the disk is full
            for file in old:
                file.unlink()
        except OSError as error:
            raise DifrunError(
                f"cannot make the run folder {path or 'runs'}: {error.strerror}. Choose another place for it."
            ) from error
        atomic.write_text(folder.config, text)
        trial.unlink(missing_ok=True)
        return folder

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """Open the folder of an earlier run. Raises ConfigError if it is not one."""
        folder = cls(Path(path))
        if not folder.config.is_file():
            raise no_run(path, folder.config)
        return folder

    def plan(self, registry: Registry) -> Plan:
        """Read the plan in run.toml. Raises DifrunError if it is damaged, or a component is not installed."""
        try:
            data = tomllib.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DifrunError(f"cannot read {self.config}: {error}") from error
        return Plan.from_dict(data, registry, str(self.config))

    def record_training(self, **options: Any) -> None:
        """Write options of training into run.toml. Raises DifrunError if the file is damaged."""
        import tomli_w

        try:
            data = tomllib.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DifrunError(f"cannot read {self.config}: {error}") from error
        data.setdefault("train", {}).update(options)
        atomic.write_text(self.config, tomli_w.dumps(data))

    def read_samples(self, shape: tuple[int, ...], path: Path | None = None) -> Tensor:
        """Read samples.npz, or another file: (n, *shape) in the user's units. Raises DifrunError if it is damaged."""
        of_the_run, path = path is None, path or self.samples
        try:
            # Opened here, because numpy leaves a damaged archive open.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                x = torch.from_numpy(file["x"])
        except PermissionError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
            x = None
        if x is None or tuple(x.shape[1:]) != shape or not x.is_floating_point():
            again = "it will be drawn again"
            if of_the_run:
                again = f"'difrun resume {self.path}' draws the samples again"
            raise DifrunError(
                f"{path} is damaged: expected an .npz file with an array x of shape (n, "
                f"{', '.join(map(str, shape))}). Remove it; {again}."
            )
        return x

    def read_metrics(self) -> dict[str, Any]:
        """Read metrics.json; empty before it is written. Raises DifrunError if it is damaged."""
        if not self.metrics.is_file():
            return {}
        try:
            content = json.loads(self.metrics.read_text(encoding="utf-8"))
        except ValueError:
            content = None
        if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
            raise DifrunError(
                f"{self.metrics} is damaged: expected a JSON object of objects. Remove it; "
                f"'difrun evaluate {self.path}' writes it again."
            )
        return content

    @staticmethod
    def _next_free(plan: Plan) -> Path:
        stem = f"{plan.process.entry.name}-{_short_name(plan.dataset)}"
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

    @classmethod
    def refuse_if_taken(cls, path: Path, force: bool) -> None:
        """Raise DifrunError if `create` would refuse the folder. Nothing is written."""
        if path.exists() and not path.is_dir():
            raise DifrunError(f"{path} is a file; a run needs a folder of its own.")
        if path.is_dir() and set(path.iterdir()).difference(cls(path).leftovers()):
            if not (path / "run.toml").is_file():
                raise DifrunError(f"{path} holds other files and no run. Choose a new or empty folder.")
            if not force:
                raise DifrunError(
                    f"{path} already holds a run. Choose another folder, continue that run with "
                    f"'difrun resume {quoted(path)}', or replace it: --force, in Python force=True."
                )

    @classmethod
    def _taken(cls, path: Path, force: bool) -> Path:
        cls.refuse_if_taken(path, force)
        path.mkdir(parents=True, exist_ok=True)
        return path


def _short_name(dataset: ChosenComponent) -> str:
    """The dataset in the name of a folder: the component, or the stem of the user's file."""
    path = getattr(dataset.options, "path", None)
    stem = re.sub(r"[^\w.-]+", "-", path.stem).strip("-.") if isinstance(path, Path) else ""
    return stem or dataset.entry.name
