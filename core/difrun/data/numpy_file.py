"""Arrays of examples, labels and conditions in .npy and .npz files, never unpickled."""

import zipfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.storage import arrays
from difrun.storage.regular import open_regular
from difrun.text import clipped

LABEL_KINDS = "biuUS"
"""The NumPy kinds of arrays that can be labels: whole numbers and text."""


def read_numpy(
    path: Path, key: str | None, label: str | None, condition: tuple[str, ...] | None = None
) -> Table:
    """Read the examples, (N, *shape), and their classes, (N,), or conditions, (N, *shape), from a .npy or .npz file.

    Args:
        path: The file.
        key: The array of a .npz file that holds the examples. None: the only one, or 'x'.
        label: The array of a .npz file that holds the classes. None: 'y', if it can hold classes.
        condition: The array of a .npz file that holds the conditions. None: 'c', if there are no classes, and it has a
            row of numbers for every example.

    Raises:
        DifrunError: If the file is damaged or of another kind, or has no such arrays.
    """
    loaded = _load(path, key, label, condition)
    source = f"file '{path}'"
    conditions = loaded.conditions
    return Table(
        _as_numbers(loaded.examples, source),
        (),
        loaded.names,
        (),
        None
        if conditions is None
        else _as_numbers(conditions, f"{source}: its array '{loaded.condition_key}'"),
        eight_bit=loaded.examples.dtype == np.uint8,
        condition_eight_bit=conditions is not None and conditions.dtype == np.uint8,
    )


@attrs.frozen(eq=False)
class _Loaded:
    """What a file holds: examples, and the names of classes or the conditions, with the key of the latter."""

    examples: NDArray
    names: NDArray | None = None
    conditions: NDArray | None = None
    condition_key: str = "c"


def _load(path: Path, key: str | None, label: str | None, condition: tuple[str, ...] | None) -> _Loaded:
    try:
        with open_regular(path) as stream:
            loaded = arrays.load(stream)
            if isinstance(loaded, np.ndarray):
                return _Loaded(loaded)
            key = _choose_key(loaded.files, key, path)
            examples, names = loaded[key], _labels(loaded, key, label, path)
            rows = len(examples) if examples.ndim else 0
            conditions = _conditions(loaded, key, condition, rows, names is not None, path)
            return _Loaded(examples, names, conditions, condition[0] if condition else "c")
    except arrays.DamagedArray as error:
        if not _is_numpy(path):
            raise DifrunError(f"file '{path}' is not a {path.suffix} file, whatever its name says.") from None
        if "unpickled" in str(error):
            raise DifrunError(
                f"file '{path}' holds Python objects, not numbers; difrun never unpickles data. Save it with "
                "numpy.save(path, numpy.asarray(data, dtype=float))."
            ) from None
        raise DifrunError(f"file '{path}' is damaged: {error}.") from None


def _is_numpy(path: Path) -> bool:
    with open_regular(path) as stream:
        return stream.read(6) == b"\x93NUMPY" or zipfile.is_zipfile(stream)


def _choose_key(keys: list[str], key: str | None, path: Path) -> str:
    if not keys:
        raise DifrunError(f"file '{path}' holds no arrays.")
    listed = clipped(", ".join(keys), 500)
    if key is not None and key not in keys:
        raise DifrunError(f"file '{path}' has no array '{key}'. Its arrays: {listed}.")
    if key is not None or len(keys) == 1:
        return key or keys[0]
    if "x" not in keys:
        raise DifrunError(f"file '{path}' holds the arrays: {listed}. Choose one with --dataset.key NAME.")
    return "x"


def _labels(loaded: Any, key: str, label: str | None, path: Path) -> NDArray | None:
    """The array of the labels: the one that the user names, or else 'y' if it can hold labels."""
    if label is None:
        if "y" not in loaded.files or key == "y":
            return None
        names = loaded["y"]
        return names if names.ndim == 1 and names.dtype.kind in LABEL_KINDS else None
    if label not in loaded.files or label == key:
        others = clipped(", ".join(name for name in loaded.files if name != key), 500) or "none"
        raise DifrunError(
            f"file '{path}' has no other array '{label}' (--dataset.label). Its other arrays: {others}."
        )
    names = loaded[label]
    is_whole = names.dtype.kind == "f" and bool((names == np.rint(names)).all())
    if names.dtype.kind not in LABEL_KINDS and not is_whole:
        raise DifrunError(
            f"file '{path}': the array '{label}' holds {names.dtype} values; labels are whole numbers or text."
        )
    return names


def _conditions(
    loaded: Any, key: str, condition: tuple[str, ...] | None, n: int, labelled: bool, path: Path
) -> NDArray | None:
    """The array of the conditions: the one that the user names, or else 'c' if it can hold conditions."""
    if condition is None:
        if "c" not in loaded.files or key == "c" or labelled:
            return None
        found = loaded["c"]
        return found if found.ndim and len(found) == n and found.dtype.kind in "iuf" else None
    names = [name for name in loaded.files if name != key]
    if len(condition) != 1 or condition[0] not in names:
        raise DifrunError(
            f"file '{path}': --dataset.condition names one array of a .npz file, and not {', '.join(condition)!r}. Its "
            f"other arrays: {', '.join(names) or 'none'}."
        )
    found = loaded[condition[0]]
    if found.ndim == 0 or len(found) != n:
        raise DifrunError(
            f"file '{path}': the array '{condition[0]}' has shape {found.shape}; expected one row for each of the {n} "
            "examples."
        )
    return found


def _as_numbers(array: NDArray, source: str) -> NDArray[np.float64]:
    if array.dtype.kind not in "buif":
        kind = "text" if array.dtype.kind in "US" else f"{array.dtype} values"
        raise DifrunError(f"{source} holds {kind}; expected real numbers.")
    if array.ndim == 0:
        raise DifrunError(f"{source} holds a single number; expected an array of shape (N, columns).")
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)
