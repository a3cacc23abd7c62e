"""Checks that examples can form a dataset: enough of them, of one shape, and finite."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.data.casts import as_data, as_labels, data_on_cpu
from difrun.errors import DifrunError
from difrun.text import counted

CHUNK = 2**24
"""Numbers that are processed at once: 128 MB in float64."""


def chunks(examples: Tensor) -> tuple[Tensor, ...]:
    """Split examples (N, *shape) into parts of at most `CHUNK` numbers, as they may not fit into memory twice."""
    return examples.split(max(1, CHUNK // max(1, examples[:1].numel())))


REMOVE = "Remove or fill those rows."


def check_examples(examples: Tensor, source: str, columns: Sequence[str] = (), advice: str = REMOVE) -> None:
    """Raise `DifrunError` unless `examples` are at least 20 finite examples, of shape (N, *shape).

    Args:
        examples: The tensor to check.
        source: How the message begins, for example ``file 'x.npy'``.
        columns: Names of the coordinates, for the message.
        advice: What to do about rows that are not finite.

    Raises:
        DifrunError: If the examples are too few, of no valid shape, or not finite.
    """
    if examples.ndim < 2:
        raise DifrunError(
            f"{source}: an array of shape {tuple(examples.shape)} is not a list of examples; expected "
            "(N, columns)."
        )
    if 0 in examples.shape:
        raise DifrunError(f"{source} is empty (shape {tuple(examples.shape)}).")
    if len(examples) < MIN_EXAMPLES:
        raise DifrunError(
            f"{source} has {counted(len(examples), 'row')}; at least {MIN_EXAMPLES} are needed to train on."
        )
    if columns and examples.shape[1:] != (len(columns),):
        raise DifrunError(
            f"{source}: {len(columns)} column names for examples of shape {tuple(examples.shape[1:])}."
        )
    check_finite(examples, source, columns, advice)


def finite_data(value: Any, what: str = "data") -> Tensor:
    """Return real, finite numbers as a tensor, by `as_data`.

    Args:
        value: A tensor, an array, or nested lists of numbers: (N, *shape).
        what: What the numbers are, for the message.

    Raises:
        DifrunError: If they are no real numbers, or one of them is NaN or infinite.
    """
    x = as_data(value, what)
    if x.ndim > 1 and not x.is_meta and not bool(x.isfinite().all()):
        check_finite(x, what)
    return x


def check_finite(examples: Tensor, source: str, columns: Sequence[str] = (), advice: str = REMOVE) -> None:
    """Raise `DifrunError` if any of the examples holds NaN or infinity.

    Args:
        examples: The tensor to check, with shape (N, *shape).
        source: How the message begins, for example ``file 'x.npy'``.
        columns: Names of the coordinates, for the message.
        advice: What to do about it.

    Raises:
        DifrunError: With the first row and column that are not finite, and the number of such rows.
    """
    bad = torch.cat([~part.isfinite().flatten(1).all(1) for part in chunks(examples)])
    if not bool(bad.any()):
        return
    row = int(bad.nonzero()[0, 0])
    index = (~examples[row].isfinite()).nonzero()[0].tolist()
    value = float(examples[(row, *index)])
    raise DifrunError(
        f"{source}: {value:g} in row {row + 1}, {coordinate_name(index, columns)} ({int(bad.sum())} of "
        f"{len(examples)} rows hold NaN or infinity). {advice}"
    )


def as_float32(wide: Tensor, what: str) -> Tensor:
    """Return examples as float32, in which a dataset holds them.

    Args:
        wide: The examples, (N, *shape).
        what: What they are, for the message.

    Raises:
        DifrunError: If float32 cannot hold them, or tell them apart (`check_resolution`).
    """
    if wide.dtype == torch.float64 and wide.ndim and len(wide) and bool(wide.isfinite().all()):
        check_resolution(
            wide, what, advice="Scale them, and give the dataset the scaling (`difrun.data.Scaling`)."
        )
    return wide.float()


def check_resolution(
    examples: Tensor, source: str, columns: Sequence[str] = (), advice: str = "Let it be scaled."
) -> None:
    """Raise `DifrunError` if examples in float64 cannot be told apart as float32, in which a model computes.

    Args:
        examples: The tensor to check, with shape (N, *shape), float64.
        source: How the message begins, for example ``file 'x.npy'``.
        columns: Names of the coordinates, for the message.
        advice: What to do about it.

    Raises:
        DifrunError: If a coordinate is too large or too small for float32, or too far from 0 for its width.
    """
    low, high = examples.amin(0), examples.amax(0)
    largest = torch.maximum(low.abs(), high.abs())
    # Not high − low: that of two numbers near ±1e308 overflows.
    width = 2 * (high / 2 - low / 2)
    limits = torch.finfo(torch.float32)
    reasons = {
        "too large for 32-bit numbers": largest > limits.max,
        "too small for 32-bit numbers": (width > 0) & (width < limits.tiny),
        "too far from 0 for 32-bit numbers": (width > 0) & (width < 100 * limits.eps * largest),
    }
    for reason, bad in reasons.items():
        if bool(bad.any()):
            index = tuple(bad.nonzero()[0].tolist())
            raise DifrunError(
                f"{source}: {coordinate_name(index, columns)} has values from {float(low[index]):.9g} to "
                f"{float(high[index]):.9g}, {reason}, in which a model computes. {advice}"
            )


def coordinate_name(index: Sequence[int], columns: Sequence[str]) -> str:
    """Name a coordinate in a message; columns are counted from 1, as spreadsheets do."""
    if len(index) == 1:
        return f"column '{columns[index[0]]}'" if columns else f"column {index[0] + 1}"
    return f"entry ({', '.join(str(i) for i in index)})"


def check_types(dataset: Any, parts: Mapping[str, type]) -> None:
    """Raise `DifrunError` if a field of a dataset that is no tensor has a wrong type.

    Args:
        dataset: A `difrun.data.Dataset` that is being made.
        parts: Field -> the class that it must have, or be None.
    """
    for name in ("name", "fingerprint"):
        if not isinstance(getattr(dataset, name), str):
            raise DifrunError(f"the {name} of a dataset must be text, not {getattr(dataset, name)!r:.60}.")
    source = f"dataset '{dataset.name}'"
    for name in ("columns", "classes", "notes"):
        value = getattr(dataset, name)
        if not isinstance(value, tuple | list) or not all(isinstance(word, str) for word in value):
            raise DifrunError(f"{source}: {name} must be a tuple of texts, not {value!r:.60}.")
    for name in ("fresh", "fresh_labelled", "log_density"):
        value = getattr(dataset, name)
        if value is not None and not callable(value):
            raise DifrunError(f"{source}: {name} must be a function, not {value!r:.60}.")
    for name, kind in parts.items():
        value = getattr(dataset, name)
        if value is not None and not isinstance(value, kind):
            raise DifrunError(
                f"{source}: {name} must be a {kind.__module__}.{kind.__name__}, not {value!r:.60}."
            )


def stored_examples(value: Any) -> Tensor:
    """Return examples as a dataset keeps them, float32 on the CPU. Raises DifrunError if they are no finite numbers."""
    return as_float32(data_on_cpu(value, "examples of a dataset"), "examples of a dataset")


def stored_labels(value: Any) -> Tensor:
    """Return labels as a dataset keeps them, int64 on the CPU. Raises DifrunError if they are no whole numbers."""
    return as_labels(value).cpu()
