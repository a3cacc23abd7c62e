"""A user's own data: .npy, .npz and .csv files, checked, split and scaled."""

import csv
import difflib
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from difrun.api import MIN_EXAMPLES
from difrun.builtin.options import FILE_SUFFIXES as SUFFIXES
from difrun.data.dataset import Dataset, Scaling, check_examples, check_finite
from difrun.errors import DifrunError
from difrun.randomness.generator import torch_generator

DELIMITERS = ",;\t"

MOST_CLASSES = 1000


def file(
    *,
    seed: int,
    path: Path | None = None,
    key: str | None = None,
    label: str | None = None,
    standardise: bool = True,
    held_out: float = 0.2,
) -> Dataset:
    """Examples from a file, one per row; `held_out` of the rows, chosen by `seed`, are kept from training.

    path: .npy (one array), .npz (the array `key`; without it the only one, or 'x'), or .csv (comma, semicolon
        or tab; with or without a first line of column names; lines that start with # are comments). An array
        (N,) is one column; (N, …) with more axes is N examples of that shape.
    label: where the class of each example is: a column of a .csv file, by its name or its number from 1, of any text;
        an array (N,) of a .npz file, of whole numbers or text. Without it an array 'y' of that kind, if there is one.
        Classes are numbered in the order of their names, of numbers where all are.
    standardise: scale each coordinate to mean 0 and variance 1, measured on the training rows.

    Raises `DifrunError`, with the file and where in it, when it is missing, unreadable, not numeric, not
    finite, has fewer than 20 rows, when a column to be scaled is constant, or a class is left without an example to
    train on.
    """
    if path is None:
        raise DifrunError("dataset 'file' needs a file: --dataset.path FILE, or --dataset FILE for short.")
    values, columns, names = read_labelled(Path(path), key, label)
    source = f"file '{path}'"
    examples = torch.from_numpy(values)
    check_examples(examples, source, columns)

    order = torch.randperm(len(examples), generator=torch_generator(seed, "dataset", "file", "split"))
    kept = min(max(1, round(held_out * len(examples))), len(examples) - 1)
    if len(examples) - kept < MIN_EXAMPLES:
        raise DifrunError(
            f"{source}: of {len(examples)} rows, holding out {held_out:g} leaves {len(examples) - kept} to "
            f"train on; at least {MIN_EXAMPLES} are needed. Lower --dataset.held-out, or bring more rows."
        )
    train, rest = examples[order[kept:]], examples[order[:kept]]
    scaling = None
    if standardise:
        try:
            scaling = Scaling.standardising(train, columns)
        except DifrunError as error:
            raise DifrunError(f"{source}: {error}") from None
        train, rest = scaling.encode(train), scaling.encode(rest)
    elif bool((examples.abs() > torch.finfo(torch.float32).max).any()):
        check_finite(examples.float(), f"{source}, too large for 32-bit numbers", columns)
    known = {} if names is None else split_labels(names, order, kept, source)
    return Dataset(
        name=Path(path).name, train=train, held_out=rest, columns=columns, scaling=scaling, **known
    )


def split_labels(names: NDArray, order: torch.Tensor, kept: int, source: str) -> dict[str, Any]:
    """`labels`, `held_out_labels` and `classes` of a `Dataset` whose held-out examples are order[:kept].

    Raises `DifrunError` where a class is left without an example to train on, and what `numbered` raises.
    """
    classes, labels = numbered(names, len(order), source)
    train, rest = labels[order[kept:]], labels[order[:kept]]
    found: dict[str, Any] = {"classes": classes, "labels": train, "held_out_labels": rest}
    missing = set(range(len(classes))) - set(found["labels"].tolist())
    if missing:
        raise DifrunError(
            f"{source}: no example of class '{classes[min(missing)]}' is left to train on. Bring more of it, or "
            "remove it, or take another --seed."
        )
    return found


def class_names(names: NDArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct names in order, of numbers where all are, and the number of each: (K,) and (N,)."""
    if names.dtype.kind in "biuf":
        distinct, numbers = np.unique(names.astype(np.int64), return_inverse=True)
        return tuple(map(str, distinct.tolist())), numbers
    text = np.char.strip(names.astype(str))
    distinct, numbers = np.unique(text, return_inverse=True)
    try:
        rank = np.argsort(np.argsort([int(name) for name in distinct]))
    except ValueError:
        return tuple(distinct.tolist()), numbers
    return tuple(distinct[np.argsort(rank)].tolist()), rank[numbers]


def numbered(names: NDArray, n: int, source: str) -> tuple[tuple[str, ...], torch.Tensor]:
    """The classes of n examples, and the number of that of each, (n,) int64, from their names as `read_labelled` gives
    them. Raises `DifrunError` where they are of another number, one is missing, or they are more than 1000 classes."""
    if names.shape != (n,):
        raise DifrunError(
            f"{source}: labels of shape {names.shape} for {n} examples; each example needs one: ({n},)."
        )
    classes, numbers = class_names(names)
    if "" in classes:
        row = int(np.flatnonzero(numbers == classes.index(""))[0])
        raise DifrunError(f"{source}: the label of row {row + 1} is missing. Fill it, or remove the row.")
    if len(classes) > MOST_CLASSES:
        raise DifrunError(
            f"{source}: the labels have {len(classes)} different values; at most {MOST_CLASSES} classes are taken. Do "
            "they number the examples?"
        )
    return classes, torch.from_numpy(numbers.astype(np.int64))


def read(path: Path, key: str | None = None) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The array in a file as float64, shape (N, *shape), and the names of its columns, where it has them.

    Raises `DifrunError` when the file cannot be read as numbers; rows are not counted and NaN is not looked
    for.
    """
    values, columns, _ = read_labelled(path, key, None, suggest=False)
    return values, columns


def read_labelled(
    path: Path, key: str | None, label: str | None, *, suggest: bool = True
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray | None]:
    """`read`, and the names of the classes of the examples, whole numbers or text, where `file` says that there are.

    suggest: whether the error of a column of text says how classes are named.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DifrunError(f"file '{path}': expected a file that ends in {', '.join(SUFFIXES)}.")
    if key is not None and suffix != ".npz":
        raise DifrunError(
            f"file '{path}' holds one array; --dataset.key {key} is for .npz files. Leave it out."
        )
    if not path.exists():
        raise DifrunError(
            f"file '{path}' does not exist (looked in {path.absolute().parent}).{_similar(path)}"
        )
    if path.is_dir():
        raise DifrunError(f"'{path}' is a folder; expected a file that ends in {', '.join(SUFFIXES)}.")
    try:
        if suffix == ".csv":
            return _read_csv(path, label, suggest)
        if suffix == ".npy" and label is not None:
            raise DifrunError(
                f"file '{path}' holds one array, and no labels: --dataset.label {label} is for .npz and .csv files."
            )
        array, names = _load(path, key, label)
        return _numbers(array, path), (), names
    except PermissionError:
        raise DifrunError(f"file '{path}': you have no permission to read it.") from None
    except OSError as error:
        raise DifrunError(f"file '{path}' cannot be read: {error.strerror or error}.") from None


def _similar(path: Path) -> str:
    folder = path.absolute().parent
    names = [p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES] if folder.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean '{path.with_name(close[0])}'?" if close else ""


def _load(path: Path, key: str | None, label: str | None) -> tuple[NDArray, NDArray | None]:
    """The array, and that of the labels."""
    try:
        # Opened here, because numpy leaves a damaged archive open.
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded, None
            taken = _choose_key(loaded.files, key, path)
            return loaded[taken], _labels_in(loaded, taken, label, path)
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if not _is_numpy(path):
            raise DifrunError(f"file '{path}' is not a {path.suffix} file, whatever its name says.") from None
        if "pickle" in str(error) or "Object arrays" in str(error):
            raise DifrunError(
                f"file '{path}' holds Python objects, not numbers; difrun never unpickles data. Save it with "
                "numpy.save(path, numpy.asarray(data, dtype=float))."
            ) from None
        raise DifrunError(f"file '{path}' is damaged; numpy says: {error}") from None


def _is_numpy(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) == b"\x93NUMPY" or zipfile.is_zipfile(path)


def _labels_in(loaded: Any, taken: str, label: str | None, path: Path) -> NDArray | None:
    """The array of the labels: the one that the user names, or 'y' where it can be one."""
    if label is None:
        names = loaded["y"] if "y" in loaded.files and taken != "y" else None
        return names if names is not None and names.ndim == 1 and names.dtype.kind in "biuUS" else None
    if label not in loaded.files or label == taken:
        others = ", ".join(name for name in loaded.files if name != taken) or "none"
        raise DifrunError(
            f"file '{path}' has no other array '{label}' (--dataset.label). Others are: {others}."
        )
    names = loaded[label]
    whole = names.dtype.kind in "biuUS" or (names.dtype.kind == "f" and bool((names == np.rint(names)).all()))
    if not whole:
        raise DifrunError(
            f"file '{path}': the array '{label}' holds {names.dtype} values; labels are whole numbers or text."
        )
    return names


def _choose_key(keys: list[str], key: str | None, path: Path) -> str:
    if not keys:
        raise DifrunError(f"file '{path}' holds no arrays.")
    listed = ", ".join(keys)
    if key is not None and key not in keys:
        raise DifrunError(f"file '{path}' has no array '{key}'. Its arrays: {listed}.")
    if key is not None or len(keys) == 1:
        return key or keys[0]
    if "x" not in keys:
        raise DifrunError(f"file '{path}' holds the arrays: {listed}. Choose one with --dataset.key NAME.")
    return "x"


def _numbers(array: NDArray, path: Path) -> NDArray[np.float64]:
    if array.dtype.kind not in "buif":
        raise DifrunError(f"file '{path}' holds {array.dtype} values; expected real numbers.")
    if array.ndim == 0:
        raise DifrunError(f"file '{path}' holds a single number; expected an array of shape (N, columns).")
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)


def _read_csv(
    path: Path, label: str | None, suggest: bool
) -> tuple[NDArray[np.float64], tuple[str, ...], NDArray | None]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = stream.read().splitlines()
    except UnicodeDecodeError as error:
        raise DifrunError(
            f"file '{path}' is not UTF-8 text (byte {error.start + 1}). Save it as CSV in UTF-8."
        ) from None
    rows = list(_rows(lines))
    if not rows:
        raise DifrunError(f"file '{path}' is empty.")
    taken = None if label is None else _label_column(rows[0][1], label, path)
    width = len(rows[0][1])
    if width == 1 and taken is not None:
        raise DifrunError(f"file '{path}' has one column; beside that of the labels there must be another.")
    columns = _header(rows[0], path, taken)
    body = rows[1:] if columns else rows
    names = []
    if taken is not None and columns:
        columns = (*columns[:taken], *columns[taken + 1 :])
    values = np.empty((len(body), width if taken is None else width - 1))
    for i, (line, cells) in enumerate(body):
        if len(cells) != width:
            raise DifrunError(
                f"file '{path}', line {line}: {len(cells)} values, but {width} in line {rows[0][0]}."
            )
        if taken is not None:
            names.append(cells.pop(taken))
        try:
            values[i] = cells
        except ValueError:
            # Text in the first row already is a column of text; further down it is a slip of the pen.
            asked = suggest and taken is None and i == 0
            raise _bad_cell(cells, columns, f"file '{path}', line {line}", asked) from None
        if not np.isfinite(values[i]).all():
            j = int(np.flatnonzero(~np.isfinite(values[i]))[0])
            raise DifrunError(
                f"file '{path}', line {line}, {_column(j, columns)}: {values[i, j]:g}. Remove "
                "or fill that row."
            )
    return values, columns, None if taken is None else np.array(names)


def _label_column(first: list[str], label: str, path: Path) -> int:
    """The column of the labels, from 0: by a name in the first line, or by its number from 1."""
    if label in first and not label.isdigit():
        return first.index(label)
    if label.isdigit() and 1 <= int(label) <= len(first):
        return int(label) - 1
    raise DifrunError(
        f"file '{path}' has no column '{label}' (--dataset.label). Its first line: {', '.join(first)}. Give a name in "
        f"it, or the number of a column, 1 to {len(first)}."
    )


def _rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line with data; the delimiter is the commonest one in the first."""
    kept = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")
    ]
    if kept:
        delimiter = max(DELIMITERS, key=kept[0][1].count)
        cells = csv.reader((line for _, line in kept), delimiter=delimiter, skipinitialspace=True)
        for (number, _), row in zip(kept, cells, strict=False):
            yield number, [cell.strip() for cell in row]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _header(first: tuple[int, list[str]], path: Path, label: int | None = None) -> tuple[str, ...]:
    """Column names, when no cell of the first line is a number; empty when all are. The column `label` may be text."""
    line, cells = first
    numeric = [_is_number(cell) for i, cell in enumerate(cells) if i != label]
    if not any(numeric):
        return tuple(cell or f"column {j}" for j, cell in enumerate(cells, 1))
    if not all(numeric):
        raise _bad_cell(cells, (), f"file '{path}', line {line}")
    return ()


def _bad_cell(cells: list[str], columns: tuple[str, ...], where: str, suggest: bool = False) -> DifrunError:
    j = next(j for j, cell in enumerate(cells) if not _is_number(cell))
    what = f"'{cells[j]}' is not a number" if cells[j] else "the value is missing"
    hint = " Write decimals with a point." if cells[j].replace(",", "", 1).lstrip("-").isdigit() else ""
    if suggest and not hint and cells[j] and columns:
        hint = f" If these are classes: --dataset.label {shlex.quote(columns[j])}."
    return DifrunError(f"{where}, {_column(j, columns)}: {what}.{hint}")


def _column(j: int, columns: tuple[str, ...]) -> str:
    return f"column '{columns[j]}'" if columns else f"column {j + 1}"
