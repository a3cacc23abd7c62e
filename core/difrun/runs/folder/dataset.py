"""The examples in a run folder, for datasets that cannot be made again from the seed."""

import json
from pathlib import Path
from typing import Any

import attrs

from difrun.config.plan import ChosenComponent
from difrun.config.selection import lookup
from difrun.data.dataset import Dataset, Origin
from difrun.data.scaling import Scaling
from difrun.errors import DifrunError
from difrun.options.fields import GivenValue, build
from difrun.plugin.registry import get_registry
from difrun.runs.build import instantiate
from difrun.runs.folder.layout import Folder
from difrun.storage.tensors import read_tensors, write_tensors
from difrun.text import listed

_SCALED = {"std": "mean 0 and variance 1", "robust": "median 0 and interquartile range 1.349"}


def save(folder: Folder, dataset: Dataset) -> None:
    """Write data.safetensors if the examples come from a file of the user or from another run, which may change.

    Examples that the dataset draws itself (`fresh`) can be drawn again from the seed. They are not written, unless the
    dataset has an `origin`, which is then written as well. If it has a `fingerprint`, only that is written.
    """
    if dataset.fresh is not None and dataset.origin is None:
        return
    if dataset.fingerprint:
        write_tensors(folder.data, {}, {"fingerprint": dataset.fingerprint, "name": dataset.name})
        return
    tensors = {"train": dataset.train, "held_out": dataset.held_out}
    if dataset.noise is not None:
        tensors["noise"] = dataset.noise
    if dataset.scaling is not None:
        tensors |= {"shift": dataset.scaling.shift, "scale": dataset.scaling.scale}
    names = {"name": dataset.name, "columns": json.dumps(dataset.columns), "notes": json.dumps(dataset.notes)}
    if dataset.scaling is not None and dataset.scaling.kind != "std":
        names["scaling"] = dataset.scaling.kind
    if dataset.labels is not None and dataset.held_out_labels is not None:
        tensors |= {"labels": dataset.labels, "held_out_labels": dataset.held_out_labels}
        names["classes"] = json.dumps(dataset.classes)
    if dataset.origin is not None:
        names["origin"] = json.dumps(attrs.asdict(dataset.origin))
    write_tensors(folder.data, tensors, names)


def load(folder: Folder) -> Dataset | None:
    """Read the dataset that `save` wrote, with the distribution of its origin if it has one.

    Returns:
        The dataset; None if no examples were written.

    Raises:
        DifrunError: If the file is damaged, or the origin's plugin is not installed.
    """
    if not folder.data.is_file():
        return None
    tensors, names = read_tensors(folder.data)
    if "fingerprint" in names:
        return None
    try:
        scaling = None
        if "scale" in tensors:
            kind: Any = names.get("scaling", "std")
            scaling = Scaling(tensors["shift"], tensors["scale"], kind)
        origin = Origin(**json.loads(names["origin"])) if "origin" in names else None
        dataset = Dataset(
            name=names["name"],
            train=tensors["train"],
            held_out=tensors["held_out"],
            noise=tensors.get("noise"),
            columns=tuple(json.loads(names["columns"])),
            labels=tensors.get("labels"),
            held_out_labels=tensors.get("held_out_labels"),
            classes=tuple(json.loads(names.get("classes", "[]"))),
            scaling=scaling,
            notes=tuple(json.loads(names.get("notes", "[]"))),
            origin=origin,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DifrunError(
            f"{folder.data} does not hold the examples of a run: {error} is missing or wrong."
        ) from error
    return dataset if origin is None else _with_distribution(dataset, origin, folder.data)


def check(folder: Folder, dataset: Dataset) -> None:
    """Raise DifrunError if a dataset that was made again does not have the fingerprint that `save` wrote."""
    if not dataset.fingerprint or not folder.data.is_file():
        return
    _, names = read_tensors(folder.data)
    if names.get("fingerprint", dataset.fingerprint) != dataset.fingerprint:
        raise DifrunError(
            f"{folder.path} was made with other examples than dataset '{dataset.name}' has now: files were added, "
            "removed or changed. Put back what was there, or start a new run."
        )


def _with_distribution(dataset: Dataset, origin: Origin, file: Path) -> Dataset:
    """The dataset with the distribution of the dataset that it was drawn from."""
    entry = lookup(get_registry(), "dataset", origin.name)
    given = {name: GivenValue(value, f"{name} in {file}", "file") for name, value in origin.options.items()}
    original = instantiate(
        ChosenComponent("dataset", entry, build(entry.component.options, given, str(entry))), seed=origin.seed
    )
    known = ["fresh", "distribution", "log_density", "entropy"]
    if dataset.classes == original.classes:
        known += ["fresh_labelled", "component_labels"]
    return attrs.evolve(dataset, **{name: getattr(original, name) for name in known})


def describe(dataset: Dataset) -> str:
    """Describe the examples that were read from the user's file; empty for a dataset that draws its own."""
    if dataset.fresh is not None:
        return ""
    n, held_out = len(dataset.train) + len(dataset.held_out), len(dataset.held_out)
    if len(dataset.shape) == 1:
        names = f" ({listed(_clipped(dataset.columns))})" if dataset.columns else ""
        what = f"{n} rows of {dataset.shape[0]} column{'' if dataset.shape[0] == 1 else 's'}{names}"
    else:
        what = f"{n} examples of shape {dataset.shape}"
    scaled = ""
    if dataset.scaling is not None:
        scaled = (
            f" Each coordinate is scaled to {_SCALED[dataset.scaling.kind]}: metrics are in these units, samples and "
            "pictures in yours."
        )
    classes = ""
    if dataset.classes:
        classes = f" {len(dataset.classes)} classes: {listed(_clipped(dataset.classes))}."
    return f"{dataset.name}: {what}, {n - held_out} to train on and {held_out} held out.{classes}{scaled}"


def _clipped(columns: tuple[str, ...]) -> list[str]:
    return [*columns] if len(columns) <= 6 else [*columns[:5], f"and {len(columns) - 5} more"]
