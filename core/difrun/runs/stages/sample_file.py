"""Read samples and their classes or conditions from a file, in the units of the model."""

from pathlib import Path

import torch
from torch import Tensor

from difrun.data.classes import as_classes, class_named
from difrun.data.condition import Condition
from difrun.data.dataset import Dataset
from difrun.data.files import read
from difrun.errors import DifrunError
from difrun.storage import arrays


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
