"""Classes of examples: their names, their numbers, and the checks of both."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.errors import DifrunError
from difrun.options.parsing import shown_briefly

MOST_CLASSES = 1000


def check_labels(
    source: str, classes: Sequence[str], labels: Mapping[str, tuple[Tensor | None, int]]
) -> None:
    """Raise `DifrunError` unless the labels fit the classes and the rows that they belong to.

    Args:
        source: How the message begins, for example ``dataset 'rings'``.
        classes: The names of the classes; empty where there are none.
        labels: For each field of a dataset its labels, or None, and the number of rows that they are for.
    """
    for field, (numbers, rows) in labels.items():
        if (numbers is None) != (len(classes) == 0):
            raise DifrunError(
                f"{source}: labels, held_out_labels and the names of the classes must be given together."
            )
        if numbers is None:
            continue
        if numbers.shape != (rows,):
            raise DifrunError(
                f"{source}: {field} of shape {tuple(numbers.shape)} for {rows} rows; each row needs one."
            )
        if len(numbers) and not (int(numbers.min()) >= 0 and int(numbers.max()) < len(classes)):
            raise DifrunError(
                f"{source}: {field} must be from 0 to {len(classes) - 1}, the numbers of its classes."
            )


def class_number(source: str, classes: Sequence[str], name: str | int) -> int:
    """Return the number of the class that `name` stands for.

    It is the class of that name. Names that are numbers are compared as numbers: 2, 2.0 and 02 are one. The position of
    a class stands for it only where no name is a number.

    Args:
        source: Names the dataset in messages, for example ``dataset 'rings'``.
        classes: The names of its classes.
        name: What the user typed.

    Raises:
        DifrunError: If there is no such class, or several are meant; the message lists the classes.
    """
    text = str(name).strip()
    if not classes:
        raise DifrunError(f"there is no class {_quoted(text)}: the examples of {source} have no labels.")
    named = class_named(source, classes, text)
    if named is not None:
        return named
    shown = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    by_position = all(_as_number(known) is None for known in classes)
    if by_position and text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(classes):
        return int(text)
    advice = (
        f"Name one of them, or its number, 0 to {len(classes) - 1}." if by_position else "Name one of them."
    )
    raise DifrunError(
        f"there is no class {_quoted(text)}: {source} has {len(classes)} classes: {shown}. {advice}"
    )


def class_named(source: str, classes: Sequence[str], name: str) -> int | None:
    """Return the number of the class of this name, or whose name is the same number; None if there is none.

    Args:
        source: Names the dataset in messages.
        classes: The names of its classes.
        name: The name.

    Raises:
        DifrunError: If the names of several classes are this number.
    """
    if name in classes:
        return classes.index(name)
    value = _as_number(name)
    alike = [index for index, known in enumerate(classes) if value is not None and _as_number(known) == value]
    if len(alike) > 1:
        meant = " or ".join(f"'{classes[index]}'" for index in alike)
        raise DifrunError(f"class {_quoted(name)} of {source} may be {meant}: write the name as it stands.")
    return alike[0] if alike else None


def _quoted(text: str) -> str:
    return f"'{shown_briefly(text)}'"


def _as_number(text: str) -> Decimal | None:
    """The exact value of a name that is a number; None for any other."""
    try:
        # Names such as ² count as digits, but are no numbers; NaN equals nothing.
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def as_classes(values: NDArray, what: str) -> NDArray:
    """Return names of classes, (N,): whole numbers, or text, which is empty where a value is missing.

    Args:
        values: Whole numbers of any format, text, or objects of these; (N, 1) is (N,). What a masked array masks, None
            and NaN are missing.
        what: How messages begin.

    Raises:
        DifrunError: If the values are neither.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    kind = values.dtype.kind
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        values = np.array(values.tolist(), dtype=object)  # with None where it is masked
    if values.dtype.kind in "biuUS" and not isinstance(values, np.ma.MaskedArray):
        return values
    if kind == "f" and can_be_classes(values):
        # A missing value among whole numbers has made them floating-point numbers.
        values = np.array(
            [None if is_missing(value) else int(value) for value in values.flatten().tolist()], dtype=object
        ).reshape(values.shape)
    if values.dtype.kind not in "biuUSO":
        raise DifrunError(f"{what}: labels are whole numbers or text, not {values.dtype} values.")
    if values.dtype.kind != "O" or values.ndim != 1:
        return np.asarray(values).astype(str)
    return np.array(["" if is_missing(value) else str(value) for value in values.tolist()])


def can_be_classes(values: NDArray) -> bool:
    """Whether floating-point numbers are all whole, or missing, and float64 holds their neighbours, too."""
    values = values.astype(np.float64)
    return bool((np.isnan(values) | ((values == np.rint(values)) & (np.abs(values) < 2**53))).all())


def is_missing(value: Any) -> bool:
    """Whether a value of a column of objects stands for a missing one: None, NaN, or one that equals nothing."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor different
        return True
    except ValueError:  # an array in a cell
        return False


def split_labels(names: NDArray, order: Tensor, held_out: int, source: str) -> dict[str, Any]:
    """Return the fields `classes`, `labels` and `held_out_labels` of a `Dataset` that is split at random.

    Args:
        names: The class of each example, (N,), whole numbers or text.
        order: A permutation of the examples, (N,); those of order[:held_out] are held out.
        held_out: How many are held out.
        source: How messages begin, for example ``file 'x.npz'``.

    Raises:
        DifrunError: If a class has no training example, or `number_classes` refuses the names.
    """
    classes, labels = number_classes(names, len(order), source)
    train, rest = labels[order[held_out:]], labels[order[:held_out]]
    missing = set(range(len(classes))) - set(train.tolist())
    if missing:
        raise DifrunError(
            f"{source}: no example of class '{classes[min(missing)]}' is left to train on. Bring more of it, or "
            "remove it, or take another --seed."
        )
    return {"classes": classes, "labels": train, "held_out_labels": rest}


def number_classes(names: NDArray, n: int, source: str) -> tuple[tuple[str, ...], Tensor]:
    """Number the classes of n examples in the order of their names.

    Args:
        names: The class of each example, (n,), whole numbers or text. Names that are all whole numbers are ordered
            as numbers, others as text.
        n: The number of examples.
        source: How messages begin, for example ``file 'x.npz'``.

    Returns:
        The names of the classes, and the class number of every example, (n,), int64.

    Raises:
        DifrunError: If there are not n names, a name is empty, or there are more than 1000 classes.
    """
    if names.shape != (n,):
        raise DifrunError(
            f"{source}: labels of shape {names.shape} for {n} examples; each example needs one: ({n},)."
        )
    classes, numbers = _sorted_names(names)
    if "" in classes:
        row = int(np.flatnonzero(numbers == classes.index(""))[0])
        raise DifrunError(f"{source}: the label of row {row + 1} is missing. Fill it, or remove the row.")
    if len(classes) > MOST_CLASSES:
        raise DifrunError(
            f"{source}: the labels have {len(classes)} different values; at most {MOST_CLASSES} classes are allowed. "
            "Are they the numbers of the examples?"
        )
    return classes, torch.from_numpy(numbers.astype(np.int64))


def _sorted_names(names: NDArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The distinct names in order, (K,), and the number of the name of each example, (n,)."""
    if names.dtype.kind in "biu":
        whole = names.astype(np.int64) if names.dtype.kind == "b" else names
        distinct, numbers = np.unique(whole, return_inverse=True)
        return tuple(map(str, distinct.tolist())), numbers
    # Bytes of any encoding become text, and what is not UTF-8 stays distinct.
    text = (
        np.char.decode(names, "utf-8", "backslashreplace") if names.dtype.kind == "S" else names.astype(str)
    )
    text = np.char.strip(text)
    distinct, numbers = np.unique(text, return_inverse=True)
    values = [_as_number(name) for name in distinct.tolist()]
    if any(value is None or value != value.to_integral_value() for value in values):
        return tuple(distinct.tolist()), numbers
    order = sorted(range(len(distinct)), key=lambda index: (values[index], index))
    rank = np.argsort(np.array(order))
    return tuple(str(distinct[index]) for index in order), rank[numbers]
