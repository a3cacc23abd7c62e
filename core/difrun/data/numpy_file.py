"""Arrays of examples, labels and conditions in .npy and .npz files, never unpickled."""

import zipfile
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from difrun.data.casts import refuse_lost_digits
from difrun.data.classes import as_classes, can_be_classes
from difrun.data.table import Table
from difrun.errors import DifrunError
from difrun.storage import arrays
from difrun.storage.regular import open_regular
from difrun.text import clipped, listed

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
        loaded.notes,
        None
        if conditions is None
        else _as_numbers(conditions, f"{source}: its array '{loaded.condition_key}'"),
        eight_bit=loaded.examples.dtype == np.uint8,
        condition_eight_bit=conditions is not None and conditions.dtype == np.uint8,
    )


@attrs.frozen(eq=False)
class _Loaded:
    """What a file holds: examples, and the names of classes or the conditions, with the key of the latter.

    And sentences on what was read and what was not, where the file holds more than one array.
    """

    examples: NDArray
    names: NDArray | None = None
    conditions: NDArray | None = None
    condition_key: str = "c"
    notes: tuple[str, ...] = ()


def _load(path: Path, key: str | None, label: str | None, condition: tuple[str, ...] | None) -> _Loaded:
    try:
        with open_regular(path) as stream:
            loaded = arrays.load(stream)
            if isinstance(loaded, np.ndarray):
                return _Loaded(loaded)
            key = _choose_key(loaded.files, key, path)
            examples = loaded[key]
            rows = len(examples) if examples.ndim else 0
            names = (
                _labels(loaded, key, label, path) if label else _found_labels(loaded, key, rows, condition)
            )
            conditions = _conditions(loaded, key, condition, rows, names is not None, path)
            of_condition = (condition[0] if condition else "c") if conditions is not None else ""
            of_names = (label or "y") if names is not None else ""
            notes = _notes(loaded, key, examples.shape, of_names, of_condition)
            return _Loaded(examples, names, conditions, of_condition, notes)
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


def _found_labels(loaded: Any, key: str, rows: int, condition: tuple[str, ...] | None) -> NDArray | None:
    """The array 'y', if it can hold one label for each example, and is not asked for as a condition."""
    if "y" not in loaded.files or "y" in (key, *(condition or ())):
        return None
    names = _array(loaded, "y")
    if names is None or names.dtype.kind not in LABEL_KINDS:
        return None
    return as_classes(names, "y") if names.ndim == 1 or names.shape == (rows, 1) else None


def _array(loaded: Any, name: str) -> NDArray | None:
    """An array of the file; None if it holds Python objects, which are not read."""
    try:
        return loaded[name]
    except arrays.DamagedArray as error:
        if "unpickled" in str(error):
            return None
        raise


def _notes(
    loaded: Any, key: str, shape: tuple[int, ...], of_names: str, of_condition: str
) -> tuple[str, ...]:
    """What was read, and what not, of a file of several arrays; what may be meant for labels says how it is read."""
    if len(loaded.files) < 2:
        return ()
    read = [f"the examples from array '{clipped(key)}', of shape {shape}"]
    read += [f"their classes from '{clipped(of_names)}'"] * bool(of_names)
    read += [f"their condition from '{clipped(of_condition)}'"] * bool(of_condition)
    left_out = [name for name in loaded.files if name not in (key, of_names, of_condition)]
    sentences = [f"read {listed(read)}"]
    if left_out:
        more = ", ..." if len(left_out) > 6 else ""
        sentences[0] += f"; left out: {listed(map(clipped, left_out[:6]))}{more}"
    if not of_names and not of_condition and shape:
        sentences += [_why_left_out(loaded, name, shape[0]) for name in ("y", "c") if name in left_out]
    return tuple(sentences)


def _why_left_out(loaded: Any, name: str, rows: int) -> str:
    """Why an array is not taken for labels or conditions, and what to do if it is meant as such."""
    array = _array(loaded, name)
    what = "Python objects" if array is None else f"{array.dtype} values of shape {array.shape}"
    expected = "classes are whole numbers or text" if name == "y" else "conditions are numbers"
    sentence = f"array '{name}' holds {what}, and is not read: {expected}, one for each example"
    if array is None or not array.ndim or len(array) != rows or array.dtype.kind not in "fiub":
        return sentence
    if array.dtype.kind == "f" and array.size == rows and can_be_classes(array):
        sentence += f". If these are classes: --dataset.label {name}"
    return f"{sentence}. If these are conditions: --dataset.condition {name}"


def _labels(loaded: Any, key: str, label: str, path: Path) -> NDArray:
    """The array of the labels that the user names."""
    if label not in loaded.files or label == key:
        others = clipped(", ".join(name for name in loaded.files if name != key), 500) or "none"
        raise DifrunError(
            f"file '{path}' has no other array '{label}' (--dataset.label). Its other arrays: {others}."
        )
    return as_classes(loaded[label], f"file '{path}', array '{label}'")


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
    if array.dtype.kind in "iu":
        refuse_lost_digits(array, source)
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)
