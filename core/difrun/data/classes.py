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
    if text in classes:
        return classes.index(text)
    if not classes:
        raise DifrunError(f"there is no class {_quoted(text)}: the examples of {source} have no labels.")
    value, values = _as_number(text), [_as_number(known) for known in classes]
    alike = [index for index, other in enumerate(values) if value is not None and other == value]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    if alike:
        meant = " or ".join(f"'{classes[index]}'" for index in alike)
        raise DifrunError(f"class {_quoted(text)} of {source} may be {meant}: write the name as it stands.")
    by_position = all(other is None for other in values)
    if by_position and text.isascii() and text.isdigit() and len(text) < 10 and int(text) < len(classes):
        return int(text)
    advice = (
        f"Name one of them, or its number, 0 to {len(classes) - 1}." if by_position else "Name one of them."
    )
    raise DifrunError(
        f"there is no class {_quoted(text)}: {source} has {len(classes)} classes: {shown}. {advice}"
    )


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
    if names.dtype.kind in "biuf":
        distinct, numbers = np.unique(names.astype(np.int64), return_inverse=True)
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
