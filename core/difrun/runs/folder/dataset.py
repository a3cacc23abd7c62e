"""The examples in a run folder, for datasets that cannot be made again from the seed."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from os.path import lexists
from pathlib import Path
from typing import Any

import attrs
from torch import Tensor

from difrun.config.plan import ChosenComponent
from difrun.config.selection import lookup
from difrun.data.checks import chunks
from difrun.data.condition import Condition
from difrun.data.dataset import Dataset
from difrun.data.origin import Origin
from difrun.data.scaling import Scaling
from difrun.errors import DifrunError
from difrun.options.attrs_fields import GivenValue, build
from difrun.plugin.registry import get_registry
from difrun.runs.build import instantiate
from difrun.runs.folder import lock
from difrun.runs.folder.contents import DatasetText, example_forms
from difrun.runs.folder.layout import Folder
from difrun.runs.folder.schema import damaged, fitting, parse_json, structure
from difrun.storage.tensors import read_tensors, write_tensors
from difrun.text import few

_SCALED = {
    "std": "mean 0 and variance 1",
    "robust": "median 0 and interquartile range 1.349",
    "pixels": "−1 for black and 1 for white",
}

Contents = tuple[dict[str, Tensor], dict[str, str]]
"""The tensors and the text of data.safetensors."""


def contents(dataset: Dataset) -> Contents | None:
    """Return what data.safetensors holds if the examples come from a user's file or from another run; else None.

    Examples that the dataset draws itself (`fresh`) can be drawn again from the seed. They are not written, unless the
    dataset has an `origin`, which is then written as well. If it has a `fingerprint`, only that is written.
    """
    if dataset.fresh is not None and dataset.origin is None:
        return None
    if dataset.fingerprint:
        return {}, {"fingerprint": dataset.fingerprint, "name": dataset.name}
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
    if dataset.condition is not None:
        of_condition, told = _condition_contents(dataset.condition)
        tensors |= of_condition
        names |= told
    if dataset.origin is not None:
        names["origin"] = json.dumps(attrs.asdict(dataset.origin))
    return tensors, {name: text.encode("utf-8", "replace").decode() for name, text in names.items()}


def _condition_contents(condition: Condition) -> Contents:
    """What data.safetensors holds of the condition; nothing but its kind if it consists of the columns of x."""
    if condition.completes:
        return {}, {"condition": "columns"}
    tensors = {"condition": condition.train, "held_out_condition": condition.held_out}
    names = {"condition": "beside", "condition_columns": json.dumps(condition.columns)}
    if condition.scaling is not None:
        tensors |= {"condition_shift": condition.scaling.shift, "condition_scale": condition.scaling.scale}
        names["condition_scaling"] = condition.scaling.kind
    return tensors, names


def digest(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> str:
    """Return the SHA-256 of tensors and text, whatever their order."""
    found = hashlib.sha256(json.dumps(sorted(names.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        for part in chunks(tensor) if tensor.ndim else (tensor,):
            found.update(part.contiguous().numpy().tobytes())
    return found.hexdigest()


def open_examples(folder: Folder, rebuild: Callable[[], Dataset]) -> Dataset:
    """Return the dataset of a run: the examples in its folder, or those that are made again from options and seed.

    If the folder lacks the examples that run.toml has the fingerprint of, they are restored from where they came from.

    Args:
        folder: The run folder.
        rebuild: Makes the dataset that run.toml names.

    Raises:
        DifrunError: If the file is damaged, or holds other examples than the run was made with.
    """
    recorded = _recorded(folder)
    if lexists(folder.data) or recorded is None:
        kept = load(folder, recorded)
        dataset = rebuild() if kept is None else kept
        check(folder, dataset)
        return dataset
    lost = f"{folder.data} is missing, which held the examples of the run"
    try:
        dataset = rebuild()
    except DifrunError as error:
        raise DifrunError(f"{lost}, and they cannot be made again: {error}") from error
    again = contents(dataset)
    if again is None or digest(*again) != recorded:
        raise DifrunError(
            f"{lost}, and dataset '{dataset.name}' has other examples now (SHA-256 differs). Put the file back, or "
            "start a new run."
        )
    with lock.hold_lock(folder.path):
        write_tensors(folder.data, *again)
    return load(folder, recorded) or dataset


def _recorded(folder: Folder) -> str | None:
    """The fingerprint of data.safetensors in run.toml; None for a run whose data are not in its folder."""
    table = folder.record().get("data", {})
    value = table.get("sha256") if isinstance(table, dict) else table
    if value is not None and not (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)):
        raise DifrunError(f"data.sha256 in {folder.config}: expected 64 hexadecimal digits.")
    return value


def load(folder: Folder, recorded: str | None = None) -> Dataset | None:
    """Read the dataset in data.safetensors, with the distribution of its origin if it has one.

    Args:
        folder: The run folder.
        recorded: The SHA-256 that the file must have; None: any.

    Returns:
        The dataset; None if no examples were written.

    Raises:
        DifrunError: If the file is damaged, or the origin's plugin is not installed.
    """
    if not lexists(folder.data):
        return None
    tensors, names = read_tensors(
        folder.data, check=lambda forms: fitting(example_forms, forms, folder.data), within=folder.path
    )
    if recorded is not None and digest(tensors, names) != recorded:
        raise DifrunError(
            f"{folder.data} does not hold the examples that the run was made with: its SHA-256 is not the one in "
            f"{folder.config}. Put the file back, or start a new run."
        )
    if "fingerprint" in names:
        return None
    text = structure(DatasetText, _parsed(names, folder.data), folder.data)
    for name in ("train", "held_out"):
        if name not in tensors:
            raise damaged(folder.data, f"{name}: expected examples, found nothing")
    origin = (
        Origin(**{name: text["origin"][name] for name in ("name", "options", "seed")})
        if "origin" in text
        else None
    )
    try:
        dataset = Dataset(
            name=text["name"],
            train=tensors["train"],
            held_out=tensors["held_out"],
            noise=tensors.get("noise"),
            columns=tuple(text["columns"]),
            labels=tensors.get("labels"),
            held_out_labels=tensors.get("held_out_labels"),
            classes=tuple(text.get("classes", ())),
            scaling=_scaling(tensors, text.get("scaling", "std"), folder.data),
            condition=_condition(tensors, text, folder.data),
            notes=tuple(text.get("notes", ())),
            origin=origin,
        )
    except DifrunError as error:
        raise damaged(folder.data, str(error).rstrip(".")) from error
    return dataset if origin is None else _with_distribution(dataset, origin, folder.data)


def _parsed(names: Mapping[str, str], file: Path) -> dict[str, Any]:
    """The text of data.safetensors, with its lists and objects parsed."""
    parsed: dict[str, Any] = dict(names)
    for name in ("columns", "notes", "classes", "origin", "condition_columns"):
        if name in names:
            try:
                parsed[name] = parse_json(names[name])
            except ValueError as error:
                raise damaged(file, f"{name}: expected JSON ({error})") from None
    return parsed


def _scaling(
    tensors: Mapping[str, Tensor], kind: Any, file: Path, of: str = "train", prefix: str = ""
) -> Scaling | None:
    """The scaling of the examples or of their conditions, if there is one."""
    names = f"{prefix}shift", f"{prefix}scale"
    if not any(name in tensors for name in names):
        return None
    (shift, scale), shape = map(tensors.get, names), tensors[of].shape[1:]
    if shift is None or scale is None or shift.shape != shape or scale.shape != shape:
        raise damaged(file, f"{' and '.join(names)}: expected two tensors of shape {tuple(shape)}")
    if not bool(shift.isfinite().all() and scale.isfinite().all() and (scale > 0).all()):
        raise damaged(file, f"{' and '.join(names)}: expected finite numbers, and scales above 0")
    return Scaling(shift, scale, kind)


def _condition(tensors: Mapping[str, Tensor], text: Mapping[str, Any], file: Path) -> Condition | None:
    """The condition of the examples, if there is one."""
    if "condition" not in text:
        return None
    if text["condition"] == "columns":
        scaling = _scaling(tensors, text.get("scaling", "std"), file)
        columns = tuple(text["columns"])
        return Condition(tensors["train"], tensors["held_out"], columns, scaling, completes=True)
    for name in ("condition", "held_out_condition"):
        if name not in tensors:
            raise damaged(file, f"{name}: expected the conditions of examples, found nothing")
    scaling = _scaling(tensors, text.get("condition_scaling", "std"), file, "condition", "condition_")
    columns = tuple(text.get("condition_columns", ()))
    return Condition(tensors["condition"], tensors["held_out_condition"], columns, scaling)


def check(folder: Folder, dataset: Dataset) -> None:
    """Raise DifrunError if a dataset that was made again does not have the fingerprint that the folder has."""
    if not dataset.fingerprint or not lexists(folder.data):
        return
    _, names = read_tensors(folder.data, within=folder.path)
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
    if dataset.condition is not None and original.condition is not None:
        known += ["conditional"]
    return attrs.evolve(dataset, **{name: getattr(original, name) for name in known})


def describe(dataset: Dataset) -> str:
    """Describe the examples that were read from the user's file; empty for a dataset that draws its own."""
    if dataset.fresh is not None:
        return ""
    n, held_out = len(dataset.train) + len(dataset.held_out), len(dataset.held_out)
    if len(dataset.shape) == 1:
        names = f" ({few(dataset.columns)})" if dataset.columns else ""
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
        classes = f" {len(dataset.classes)} classes: {few(dataset.classes)}."
    given = "" if dataset.condition is None else f" {dataset.condition.described()}"
    return (
        f"{dataset.name}: {what}, {n - held_out} to train on and {held_out} held out.{classes}{given}{scaled}"
    )
