"""The folder of a run: its files, and how they are read."""

import contextlib
import hashlib
from collections.abc import Mapping
from os.path import lexists
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.config.plan import Plan
from difrun.config.settings import read_file
from difrun.errors import ConfigError, DifrunError
from difrun.plugin.own import with_given
from difrun.plugin.registry import Registry
from difrun.runs.folder.contents import Metrics
from difrun.runs.folder.schema import read_json, structure
from difrun.storage import atomic
from difrun.storage.arrays import DamagedArray, read_archive
from difrun.storage.regular import MOST_TEXT, open_regular, read_bounded, refuse_outside
from difrun.storage.run_folders import no_run
from difrun.text import quoted

PATTERNS = ("samples-*-n*-seed*-*.npz", "samples*.metrics.json", "guidance-*.safetensors")
"""Files that a run may have beside those of `Folder.files`."""

PICTURES = ("loss", "samples", "forward", "reverse", "score", "density", "flow", "paths")
ENDINGS = ("png", "gif")


@attrs.frozen
class Folder:
    """A run folder. Every file in it is written whole or not at all.

    Attributes:
        path: Where it is.
    """

    path: Path
    _stamp: dict[str, str] = attrs.field(factory=dict, init=False, eq=False, repr=False)

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

    @property
    def starting(self) -> Path:
        """The next run.toml, while a run is being made: without run.toml, the folder is an unfinished start."""
        return self.path / ".run.toml.new.part"

    @property
    def starting_data(self) -> Path:
        """The next data.safetensors, while a run is being made."""
        return self.path / ".data.safetensors.new.part"

    def old_files(self) -> list[Path]:
        """Return every file of a run that exists, run.toml first, with what was drawn later and what guidances learned.

        What 'difrun sample' drew from a model, and its metrics, go with that model.
        """
        return [
            file
            for file in (*self.files(), *(f for p in PATTERNS for f in self.path.glob(p)))
            if lexists(file)
        ]

    def results(self) -> list[Path]:
        """Return the existing files that belong to the weights as they are: samples, metrics, pictures, tunings.

        What guidances learned depends on the data alone.
        """
        kept = (self.config, self.data, self.weights)
        return [
            file for file in self.old_files() if file not in kept and not file.name.startswith("guidance-")
        ]

    def leftovers(self) -> list[Path]:
        """Return the half-written files that a killed process left behind."""
        names = {
            "run.toml.new",
            "data.safetensors.new",
            self.starting.name,
            self.starting_data.name,
            *(file.name for file in self.files()),
        }
        found = [(file, atomic.name_of_leftover(file)) for file in self.path.iterdir()]
        return [
            file
            for file, name in found
            if name is not None and (name in names or name.startswith(("samples-", "picture-", "guidance-")))
        ]

    def clean(self) -> None:
        """Remove the leftovers."""
        for part in self.leftovers():
            atomic.remove_leftover(part)

    def refuse_strange_files(self) -> None:
        """Raise DifrunError if a file of the run is a device or a pipe, or a link that leaves the folder."""
        for file in self.old_files():
            refuse_outside(file, self.path)
            open_regular(file, MOST_TEXT if file.suffix in (".json", ".toml") else None).close()

    def stamp(self) -> None:
        """Remember run.toml as it is now, for `refuse_replaced`."""
        self._stamp["run.toml"] = self._digest()

    def refuse_replaced(self) -> None:
        """Raise DifrunError if run.toml is no longer the one that was read or written: the run was replaced."""
        if self._stamp and self._stamp["run.toml"] != self._digest():
            raise DifrunError(
                f"the run in {self.path} was replaced or changed by another process since it was opened, and is left "
                "as it is now. Open it again."
            )

    def _digest(self) -> str:
        with contextlib.suppress(OSError):
            return hashlib.sha256(read_bounded(self.config, within=self.path)).hexdigest()
        return ""

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """Open the folder of an earlier run. Raises ConfigError if it is not one."""
        folder = cls(Path(path))
        if not lexists(folder.config):
            if lexists(folder.starting):
                raise ConfigError(
                    f"There is no run in {path}: it was being made when its process ended. Start it again, with "
                    "'difrun run' and the same --out."
                )
            raise no_run(path)
        folder.refuse_strange_files()
        folder.stamp()
        return folder

    def record(self) -> dict[str, Any]:
        """Return run.toml as a dict. Raises ConfigError if it cannot be read."""
        return read_file(self.config, within=self.path)

    def plan(self, registry: Registry, given: Mapping[str, Any] | None = None) -> Plan:
        """Read the plan in run.toml.

        Args:
            registry: The installed components.
            given: Kind -> a class or an object of the user's that run.toml names.

        Raises:
            DifrunError: If it is damaged, a component is not installed, or what is given is not what it names.
        """
        data = self.record()
        if given:
            registry = with_given(registry, given, data, str(self.config))
        return Plan.from_dict(data, registry, str(self.config))

    def record_training(self, **options: Any) -> None:
        """Write options of training into run.toml. Raises DifrunError if the file is damaged."""
        data = self.record()
        data.setdefault("train", {}).update(options)
        self.write_record(data)

    def write_record(self, data: dict[str, Any]) -> None:
        """Write run.toml."""
        import tomli_w

        atomic.write_text(self.config, tomli_w.dumps(data))
        self.stamp()

    def read_samples(self, shape: tuple[int, ...], path: Path | None = None) -> Tensor:
        """Read samples.npz, or another file: (n, *shape) in the user's units. Raises DifrunError if it is damaged."""
        x = self.read_sample_arrays(("x",), path).get("x")
        if x is None or x.shape[1:] != shape or x.ndim == 0 or len(x) == 0 or x.dtype.kind != "f":
            raise self._damaged_samples(path, f"an array x of shape (n, {', '.join(map(str, shape))})")
        x = x.astype(np.float64 if x.dtype.itemsize > 8 else x.dtype, copy=False)
        return torch.from_numpy(x)

    def read_sample_arrays(self, names: tuple[str, ...], path: Path | None = None) -> dict[str, NDArray]:
        """Read those of the named arrays that samples.npz, or another file, has."""
        path = path or self.samples
        within = self.path if path.parent == self.path else None
        try:
            return read_archive(path, names, within)
        except DamagedArray as error:
            raise self._damaged_samples(path, "an array x", str(error)) from None

    def _damaged_samples(self, path: Path | None, expected: str, why: str = "") -> DifrunError:
        again = "it will be drawn again"
        if path is None or path == self.samples:
            again = f"'difrun resume {quoted(self.path)}' draws the samples again"
        return DifrunError(
            f"{path or self.samples} is damaged: expected an .npz file with {expected}"
            f"{f' ({why})' if why else ''}. Remove it; {again}."
        )

    def read_metrics(self) -> dict[str, Any]:
        """Read metrics.json; empty before it is written. Raises DifrunError if it is damaged."""
        if not lexists(self.metrics):
            return {}
        advice = f"Remove it; 'difrun evaluate {quoted(self.path)}' writes it again."
        return structure(Metrics, read_json(self.metrics, advice), self.metrics, advice)
