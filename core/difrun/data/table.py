"""A table of examples, from a file or from Python, and how it becomes a dataset: gaps, split and scaling."""

from typing import Any, Literal, get_args

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.data.checks import check_examples, check_finite, check_resolution, coordinate_name
from difrun.data.classes import split_labels
from difrun.data.condition import Condition
from difrun.data.dataset import Dataset
from difrun.data.scaling import FAR_OUT, Scaling, far_out
from difrun.errors import DifrunError
from difrun.randomness.generator import torch_generator
from difrun.text import did_you_mean, listed

Missing = Literal["refuse", "drop", "mean", "condition"]
"""What is done about missing values: the data are refused, rows with gaps are left out, gaps are filled with the mean
of their column, or rows with gaps are left out and the model learns to fill them."""

SCALES = ("std", "robust", "none")


@attrs.frozen(eq=False)
class Table:
    """Examples with what belongs to them, in the user's units.

    Attributes:
        values: The examples, (N, *shape); NaN where a value is missing.
        columns: The names of the columns; empty where they have none.
        labels: The class of each example, (N,), whole numbers or text, or None.
        notes: Sentences on what was read: separator, header, columns left out, the first row.
        conditions: The condition of each example, (N, *shape), or None.
        condition_columns: The names of its entries; empty where they have none.
    """

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    labels: NDArray | None
    notes: tuple[str, ...]
    conditions: NDArray[np.float64] | None = None
    condition_columns: tuple[str, ...] = ()


def dataset_of(
    table: Table,
    *,
    name: str,
    source: str,
    seed: int,
    scale: str = "std",
    held_out: float = 0.2,
    missing: Missing = "refuse",
) -> Dataset:
    """Split a table into examples to train on and held-out ones, and scale it by the former.

    Args:
        table: The examples.
        name: The name of the dataset.
        source: How messages begin, for example ``file 'x.csv'``.
        seed: Chooses the rows that are held out.
        scale: "std", "robust" or "none", as `difrun.data.files.file`.
        held_out: The fraction of the rows that is kept out of training.
        missing: What is done about missing values.

    Raises:
        DifrunError: If the table is not numeric, not finite, or has fewer than 20 rows, if a column to be scaled is
            constant, or if a class has no training example; or if `scale` or `missing` is another word, or two
            options exclude each other.
    """
    _check_words(scale, missing, source)
    if table.conditions is not None and missing == "condition":
        raise DifrunError(
            f"{source}: a condition beside the examples (--dataset.condition) and --dataset.missing condition cannot be "
            "used together: with the latter, the columns of the examples are the condition. Take the condition among "
            "these columns and leave out --dataset.condition, or take --dataset.missing drop."
        )
    if table.labels is not None and (table.conditions is not None or missing == "condition"):
        flag = "--dataset.condition" if table.conditions is not None else "--dataset.missing condition"
        raise DifrunError(
            f"{source}: classes and a condition ({flag}) cannot be used together. A class among the conditions is a "
            "column of 0 and 1."
        )
    table, notes = _without_gaps(table, missing, source)
    examples = torch.from_numpy(table.values)
    gaps = examples.isnan() if missing == "mean" else None
    check_examples(examples if gaps is None else examples.nan_to_num(nan=0.0), source, table.columns)
    order = torch.randperm(len(examples), generator=torch_generator(seed, "dataset", "file", "split"))
    count = _held_out_count(len(examples), held_out, source)
    if gaps is not None and bool(gaps.any()):
        filled = _filled(examples, order[count:], source, table.columns)
        notes = (*notes, _filling(gaps, filled, table.columns))
        examples = filled
    train, rest, scaling, told = _scaled(examples, order, count, scale, source, table.columns)
    labels: dict[str, Any] = {} if table.labels is None else split_labels(table.labels, order, count, source)
    condition = None
    if missing == "condition":
        condition = _of_coordinates(train, rest, scaling, table.columns, source)
    elif table.conditions is not None:
        condition, of_condition = _condition(table, order, count, scale, source)
        told = (*told, *of_condition)
    return Dataset(
        name=name,
        train=train,
        held_out=rest,
        columns=table.columns,
        scaling=scaling,
        condition=condition,
        notes=(*notes, *told),
        **labels,
    )


def _check_words(scale: str, missing: str, source: str) -> None:
    for name, word, known in (("scale", scale, SCALES), ("missing", missing, get_args(Missing))):
        if word not in known:
            guess = did_you_mean(word, known) if isinstance(word, str) else ""
            raise DifrunError(f"{source}: {name} is one of {listed(known)}, not {word!r}.{guess}")


def _without_gaps(table: Table, missing: Missing, source: str) -> tuple[Table, tuple[str, ...]]:
    """The table without the rows that have gaps, if they are to be left out, and its notes with what was done."""
    gaps = _incomplete(table.values)
    in_condition = np.zeros(len(gaps), dtype=bool)
    if table.conditions is not None:
        if len(table.conditions) != len(table.values):
            raise DifrunError(
                f"{source}: {len(table.conditions)} conditions for {len(table.values)} examples; each needs one."
            )
        in_condition = _incomplete(table.conditions)
    if missing == "refuse" or not (gaps | in_condition).any():
        return table, table.notes
    if missing == "mean" and in_condition.any():
        raise DifrunError(
            f"{source}: {in_condition.sum()} rows lack an entry of the condition; only values of the examples are "
            "filled with the mean. Leave these rows out: --dataset.missing drop."
        )
    if missing == "mean":
        return table, table.notes
    keep = ~(gaps | in_condition)
    note = f"{(~keep).sum()} of {len(keep)} rows have a missing value and are left out"
    kept = attrs.evolve(
        table,
        values=table.values[keep],
        labels=None if table.labels is None else table.labels[keep],
        conditions=None if table.conditions is None else table.conditions[keep],
    )
    if len(kept.values) < MIN_EXAMPLES:
        raise DifrunError(
            f"{source}: {note}; at least {MIN_EXAMPLES} rows without a gap are needed to train on."
        )
    return kept, (*table.notes, note)


def _incomplete(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows have a missing value, (N,)."""
    return np.asarray(np.isnan(values).any(axis=tuple(range(1, values.ndim))), dtype=np.bool_)


def _filled(examples: Tensor, trained: Tensor, source: str, columns: tuple[str, ...]) -> Tensor:
    """The examples, with the mean of the training examples in the place of gaps."""
    mean = examples[trained].nanmean(0)
    if bool(mean.isnan().any()):
        where = coordinate_name(mean.isnan().nonzero()[0].tolist(), columns)
        raise DifrunError(f"{source}: {where} has no value in the training examples, so there is no mean.")
    return torch.where(examples.isnan(), mean, examples)


def _filling(gaps: Tensor, filled: Tensor, columns: tuple[str, ...]) -> str:
    """A sentence on what was filled."""
    counts = gaps.sum(0).flatten()
    names = [columns[j] if columns else f"column {j + 1}" for j in counts.nonzero()[:, 0].tolist()]
    shown = listed(names[:6]) + (", ..." if len(names) > 6 else "")
    return (
        f"{int(gaps.sum())} missing values ({shown}) are filled with the mean of their column: samples will have too "
        "many values near it, and too weak relations to other columns. --dataset.missing drop leaves such rows out"
    )


def _of_coordinates(
    train: Tensor, rest: Tensor, scaling: Scaling | None, columns: tuple[str, ...], source: str
) -> Condition:
    """The condition that consists of the coordinates of the examples themselves."""
    if train.ndim != 2 or train.shape[1] < 2:
        raise DifrunError(
            f"{source}: --dataset.missing condition is for tables of at least two columns, in which some may be known; "
            f"these examples have shape {tuple(train.shape[1:])}."
        )
    return Condition(train, rest, columns, scaling, completes=True)


def _condition(
    table: Table, order: Tensor, count: int, scale: str, source: str
) -> tuple[Condition, tuple[str, ...]]:
    """The conditions of a table, split and scaled as the examples are, and notes on them."""
    assert table.conditions is not None
    values = torch.from_numpy(table.conditions)
    of_condition = f"{source}, condition"
    check_finite(values, of_condition, table.condition_columns)
    columns = table.condition_columns
    train, rest, scaling, told = _scaled(values, order, count, scale, of_condition, columns)
    return Condition(train, rest, columns, scaling), told


def _scaled(
    values: Tensor, order: Tensor, count: int, scale: str, source: str, columns: tuple[str, ...]
) -> tuple[Tensor, Tensor, Scaling | None, tuple[str, ...]]:
    """Training rows, held-out rows, the scaling of both, and notes on it."""
    train, rest = values[order[count:]], values[order[:count]]
    if scale == "none":
        check_resolution(values, source, columns)
        return train, rest, None, ()
    scaling, told = _scaling(train, scale, columns, source)
    train, rest = (_encoded(part, scaling, source, columns) for part in (train, rest))
    return train, rest, scaling, told


def _held_out_count(n: int, fraction: float, source: str) -> int:
    """How many of n rows are held out: at least one, and not all."""
    count = min(max(1, round(fraction * n)), n - 1)
    if n - count < MIN_EXAMPLES:
        raise DifrunError(
            f"{source}: of {n} rows, holding out {fraction:g} leaves {n - count} to "
            f"train on; at least {MIN_EXAMPLES} are needed. Lower --dataset.held-out, or bring more rows."
        )
    return count


def _scaling(
    train: Tensor, scale: str, columns: tuple[str, ...], source: str
) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling of the training rows, and a sentence if values far out decide it."""
    try:
        if scale == "robust":
            return Scaling.robust(train, columns), ()
        scaling = Scaling.standardising(train, columns)
    except DifrunError as error:
        raise DifrunError(f"{source}: {error}") from None
    ratio, bulk = far_out(train, scaling)
    wide = (ratio > FAR_OUT).nonzero()
    if not len(wide):
        return scaling, ()
    index = tuple(wide[0].tolist())
    more = f" (and {len(wide) - 1} more coordinates)" if len(wide) > 1 else ""
    return scaling, (
        f"{coordinate_name(index, columns)}{more}: few values far out decide its standard deviation, "
        f"{float(scaling.scale[index]):.3g}; that of the bulk is {float(bulk[index]):.3g} (interquartile range/1.349). "
        "Scaled by the first, samples of the bulk come out too wide. Scale by the bulk with --dataset.scale robust, or "
        "remove those values.",
    )


def _encoded(part: Tensor, scaling: Scaling, source: str, columns: tuple[str, ...]) -> Tensor:
    """Rows in the model's units, float32. Raises DifrunError if one is too far out for these."""
    scaled = scaling.encode(part)
    largest = torch.finfo(torch.float32).max
    if not bool((scaled.abs() <= largest).all()):
        index = (~(scaled.abs() <= largest)).nonzero()[0].tolist()
        raise DifrunError(
            f"{source}: {float(part[tuple(index)]):g} in {coordinate_name(index[1:], columns)} is more than 1e38 times "
            "farther out than the other values are wide. Remove it."
        )
    return scaled.float()
