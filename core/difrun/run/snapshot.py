"""The examples of a run that cannot be made again from its seed, kept in its folder."""

import json

import attrs

from difrun import checkpoint
from difrun.data import Dataset, Scaling
from difrun.errors import DifrunError
from difrun.run.folder import Folder
from difrun.words import listed


def keep(folder: Folder, dataset: Dataset) -> None:
    """Write data.safetensors if the examples come from outside: a user's file may move or change.

    Examples that the dataset draws itself (`fresh`) come back from the seed and are not written.
    """
    if dataset.fresh is not None:
        return
    tensors = {"train": dataset.train, "held_out": dataset.held_out}
    if dataset.noise is not None:
        tensors["noise"] = dataset.noise
    if dataset.scaling is not None:
        tensors |= attrs.asdict(dataset.scaling, recurse=False)
    names = {"name": dataset.name, "columns": json.dumps(dataset.columns)}
    checkpoint.write(folder.data, tensors, names)


def kept(folder: Folder) -> Dataset | None:
    """The dataset that `keep` wrote, None if it wrote none. Raises DifrunError when the file is damaged."""
    if not folder.data.is_file():
        return None
    tensors, names = checkpoint.read(folder.data)
    try:
        scaling = Scaling(tensors["shift"], tensors["scale"]) if "scale" in tensors else None
        return Dataset(
            name=names["name"],
            train=tensors["train"],
            held_out=tensors["held_out"],
            noise=tensors.get("noise"),
            columns=json.loads(names["columns"]),
            scaling=scaling,
        )
    except (KeyError, ValueError) as error:
        raise DifrunError(
            f"{folder.data} does not hold the examples of a run: {error} is missing or wrong."
        ) from error


def told(dataset: Dataset) -> str:
    """What was read of examples that come from outside, in a sentence; empty for those that the dataset draws."""
    if dataset.fresh is not None:
        return ""
    n, held = len(dataset.train) + len(dataset.held_out), len(dataset.held_out)
    if len(dataset.shape) == 1:
        names = f" ({listed(_clipped(dataset.columns))})" if dataset.columns else ""
        what = f"{n} rows of {dataset.shape[0]} column{'' if dataset.shape[0] == 1 else 's'}{names}"
    else:
        what = f"{n} examples of shape {dataset.shape}"
    scaled = ""
    if dataset.scaling is not None:
        scaled = (
            " Each coordinate is scaled to mean 0 and variance 1: metrics are in these units, samples and pictures "
            "in yours."
        )
    return f"{dataset.name}: {what}, {n - held} to train on and {held} held out.{scaled}"


def _clipped(columns: tuple[str, ...]) -> list[str]:
    return [*columns] if len(columns) <= 6 else [*columns[:5], f"and {len(columns) - 5} more"]
