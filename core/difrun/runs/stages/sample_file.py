"""Files of samples, with their classes or conditions: read into the units of the model, and written in the user's."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.data.classes import as_classes, class_named
from difrun.data.condition import Condition
from difrun.data.dataset import Dataset
from difrun.data.files import read
from difrun.errors import DifrunError
from difrun.storage import arrays, atomic


def read_samples(path: Path, dataset: Dataset, n: int | None) -> Tensor:
    """The first n samples (None: all) in a file, in the units of the model.

    Args:
        path: The file, .npz (its array x), .npy or .csv. Its samples are in the user's units, as in files that
            `difrun sample` writes.
        dataset: The data, whose scaling turns the user's units into the model's.
        n: How many samples.

    Raises:
        DifrunError: If the file cannot be read, holds fewer than n, or has other columns than the data.
    """
    try:
        array, columns = read(path, "x" if path.suffix.lower() == ".npz" else None, dataset.columns)
    except DifrunError as error:
        raise DifrunError(f"--samples: {error}") from None
    columns = columns or _columns(path)
    if columns and dataset.columns and columns != dataset.columns:
        raise DifrunError(
            f"--samples {path} has the columns {', '.join(columns)}; the data of the run have "
            f"{', '.join(dataset.columns)}."
        )
    if n is not None and n > len(array):
        raise DifrunError(f"--samples {path} holds {len(array)} samples, fewer than --n {n}.")
    x = torch.from_numpy(array[:n])
    # `comparable` refuses shapes that do not fit, with the shape that was expected.
    fits = dataset.scaling is not None and tuple(x.shape[1:]) == dataset.shape
    return (dataset.scaling.encode(x) if fits and dataset.scaling is not None else x).float()


def _columns(path: Path) -> tuple[str, ...]:
    """The names of columns in a file of samples."""
    if path.suffix.lower() != ".npz":
        return ()
    columns = arrays.read_archive(path, ("columns",)).get("columns")
    return () if columns is None or columns.dtype.kind != "U" else tuple(map(str, columns.flatten().tolist()))


def read_labels(dataset: Dataset, path: Path, n: int) -> Tensor | None:
    """Read the classes (n,) or conditions of the first n samples in a file, from its array y or c; None without it.

    Raises:
        DifrunError: If the data do not have such a class, or a condition of another shape.
    """
    if dataset.condition is not None:
        return _read_conditions(dataset.condition, path, n)
    if not dataset.classes or path.suffix.lower() != ".npz":
        return None
    try:
        names = arrays.read_archive(path, ("y",)).get("y")
    except arrays.DamagedArray as error:
        raise DifrunError(f"{path}: its array y cannot be read: {error}.") from None
    if names is None:
        return None
    names = as_classes(names, f"{path}, array y")
    if names.ndim != 1 or len(names) < n:
        raise DifrunError(
            f"{path} holds classes y of shape {names.shape} for {n} samples; expected one for each: ({n},)."
        )
    texts = [
        name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in names[:n]
    ]
    source = f"dataset '{dataset.name}'"
    known = {text: class_named(source, dataset.classes, text.strip()) for text in set(texts)}
    unknown = sorted(text for text, number in known.items() if number is None)
    if unknown:
        raise DifrunError(f"{path}: samples of class '{unknown[0]}', which {source} does not have.")
    return torch.tensor([known[text] for text in texts])


def _read_conditions(condition: Condition, path: Path, n: int) -> Tensor | None:
    """The conditions of the first n samples, in the units of the model; None if the file has none."""
    if path.suffix.lower() != ".npz":
        return None
    try:
        values = arrays.read_archive(path, ("c",)).get("c")
    except arrays.DamagedArray as error:
        raise DifrunError(f"{path}: its array c cannot be read: {error}.") from None
    if values is None:
        return None
    if values.ndim == 0 or values.dtype.kind not in "biuf":
        raise DifrunError(
            f"{path}: its array c holds {values.dtype} values of shape {values.shape}; conditions are numbers, one row "
            "for each sample."
        )
    if len(values) < n:
        raise DifrunError(f"{path} holds {len(values)} conditions for {n} samples; expected one for each.")
    return condition.encode(torch.from_numpy(values[:n].astype("float64")), f"{path}, array c")


def checked_path(out: Path, force: bool, argument: str, replace: str) -> Path:
    """Return the file that a user names for samples.

    Args:
        out: The file.
        force: Whether it may replace another.
        argument: What stands before its name where the user writes it: ``--out `` or ``out=``.
        replace: What to say to replace it.

    Raises:
        DifrunError: If it is no .npz, its folder is missing, or it exists and is not to be replaced.
    """
    if out.suffix != ".npz":
        raise DifrunError(f"{argument}{out}: samples are written as .npz; give a name that ends in .npz.")
    if not out.parent.is_dir():
        raise DifrunError(f"{argument}{out}: there is no folder {out.parent}. Make it first.")
    if out.exists() and not force:
        raise DifrunError(
            f"{argument}{out} already exists. Choose another name, or replace it with {replace}."
        )
    return out


def write(
    path: Path, samples: Tensor, labels: Tensor | None, dataset: Dataset | None, drawn: Mapping[str, Any]
) -> None:
    """Write an .npz file of samples.

    Its arrays are x, the samples in the user's units; "columns", their names, if there are any; y, the classes as the
    user names them, whole numbers if all of them are, else text; c, the conditions in the user's units, NaN where
    nothing was given; and "drawn", which says how they were drawn. The time taken is left out, so that equal samples
    make equal files.

    Args:
        path: The file.
        samples: In the units of the model, (n, ...).
        labels: Their classes (n,) or conditions (n, ...), if any.
        dataset: The data, which know the units; None where there are none.
        drawn: How the samples were drawn: their number and seed, and the facts that `sampling.draw` returns.
    """
    arrays: dict[str, Any] = {"x": (samples if dataset is None else dataset.decode(samples)).numpy()}
    if dataset is not None and dataset.columns:
        arrays["columns"] = np.array(dataset.columns)
    if labels is not None and labels.is_floating_point():
        known = None if dataset is None else dataset.condition
        arrays["c"] = (labels if known is None else known.decode(labels)).numpy()
    elif labels is not None:
        arrays["y"] = labels.numpy() if dataset is None else _names(labels, dataset)
    told = {key: value for key, value in drawn.items() if key != "seconds"}
    arrays["drawn"] = np.array(json.dumps(told))
    atomic.write_npz(path, **arrays)


def _names(labels: Tensor, dataset: Dataset) -> Any:
    """The classes as the user names them."""
    names = np.array(dataset.classes)[labels.numpy()]
    # Only names that a whole number gives back: not 02, and not ², which Python calls a digit.
    whole = all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", name) for name in dataset.classes)
    return names.astype(np.int64) if whole else names
