"""A table of examples, from a file or from Python, and how it becomes a dataset: gaps, split and scaling."""

from typing import Any, Literal, get_args

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.api import MIN_EXAMPLES
from difrun.data.checks import check_examples, check_finite, coordinate_name
from difrun.data.classes import split_labels
from difrun.data.condition import Condition
from difrun.data.dataset import Dataset
from difrun.data.scaled_rows import Scale, ScaledRows, scaled
from difrun.data.source import Source
from difrun.errors import DifrunError
from difrun.randomness.generator import torch_generator
from difrun.text import did_you_mean, listed

Missing = Literal["refuse", "drop", "mean", "condition"]
"""What is done about missing values: the data are refused, rows with gaps are left out, gaps are filled with the mean
of their column, or rows with gaps are left out and the model learns to fill them."""


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
        eight_bit: Whether the examples are whole numbers of 8 bits, in which images are stored.
        condition_eight_bit: Whether the conditions are.
    """

    values: NDArray[np.float64]
    columns: tuple[str, ...]
    labels: NDArray | None
    notes: tuple[str, ...]
    conditions: NDArray[np.float64] | None = None
    condition_columns: tuple[str, ...] = ()
    eight_bit: bool = False
    condition_eight_bit: bool = False


def dataset_of(
    table: Table,
    *,
    name: str,
    source: Source,
    seed: int,
    scale: Scale = "auto",
    held_out: float = 0.2,
    missing: Missing = "refuse",
) -> Dataset:
    """Split a table into examples to train on and held-out ones, and scale it by the former.

    Args:
        table: The examples.
        name: The name of the dataset.
        source: How messages begin, for example ``file 'x.csv'``, and how they write options.
        seed: Chooses the rows that are held out.
        scale: "auto", "std", "robust", "pixels" or "none", as `difrun.data.files.file`.
        held_out: The fraction of the rows that is kept out of training.
        missing: What is done about missing values.

    Raises:
        DifrunError: If the table is not numeric, not finite, or has fewer than 20 rows, if a column to be scaled is
            constant, or if a class has no training example; or if `scale`, `missing` or `held_out` has a value that it
            cannot have, or two options exclude each other.
    """
    _check_options(scale, missing, held_out, source)
    _refuse_exclusive(table, missing, source)
    table, notes = _without_gaps(table, missing, source)
    examples = torch.from_numpy(table.values)
    gaps = examples.isnan() if missing == "mean" else None
    filled_in = examples if gaps is None else examples.nan_to_num(nan=0.0)
    check_examples(filled_in, source, table.columns, _gap_advice(source))
    order = torch.randperm(len(examples), generator=torch_generator(seed, "dataset", "file", "split"))
    count = _held_out_count(len(examples), held_out, source)
    if gaps is not None and bool(gaps.any()):
        filled = _filled(examples, order[count:], source, table.columns)
        notes = (*notes, _filling(gaps, filled, table.columns, source))
        examples = filled
    rows = scaled(
        examples, order, count, scale=scale, source=source, columns=table.columns, eight_bit=table.eight_bit
    )
    told = rows.notes
    labels: dict[str, Any] = {} if table.labels is None else split_labels(table.labels, order, count, source)
    condition = None
    if missing == "condition":
        condition = _of_coordinates(rows, table.columns, source)
    elif table.conditions is not None:
        condition, of_condition = _condition(table, order, count, scale, source)
        told = (*told, *of_condition)
    return Dataset(
        name=name,
        train=rows.train,
        held_out=rows.held_out,
        columns=table.columns,
        scaling=rows.scaling,
        condition=condition,
        notes=(*notes, *told),
        **labels,
    )


def _check_options(scale: Any, missing: Any, held_out: Any, source: Source) -> None:
    for name, word, known in (("scale", scale, get_args(Scale)), ("missing", missing, get_args(Missing))):
        if word not in known:
            guess = did_you_mean(word, known) if isinstance(word, str) else ""
            raise DifrunError(
                f"{source}: {source.option(name)} is one of {listed(known)}, not {word!r}.{guess}"
            )
    if not isinstance(held_out, int | float) or not 0 < held_out < 1:
        raise DifrunError(
            f"{source}: {source.option('held_out')} is the fraction of the rows that is kept out of training, between "
            f"0 and 1, not {held_out!r}."
        )


def _refuse_exclusive(table: Table, missing: Missing, source: Source) -> None:
    """Raise DifrunError if both the columns and something beside them are the condition, or there are classes too."""
    beside, inside = source.option("condition"), source.option("missing", "condition")
    if table.conditions is not None and missing == "condition":
        raise DifrunError(
            f"{source}: a condition beside the examples ({beside}) and {inside} cannot be used together: with the "
            f"latter, the columns of the examples are the condition. Take the condition among these columns and leave "
            f"out {beside}, or take {source.option('missing', 'drop')}."
        )
    if table.labels is not None and (table.conditions is not None or missing == "condition"):
        raise DifrunError(
            f"{source}: classes and a condition ({beside if table.conditions is not None else inside}) cannot be used "
            "together. A class among the conditions is a column of 0 and 1."
        )


def _gap_advice(source: Source) -> str:
    return (
        f"Remove or fill those rows. {source.option('missing', 'drop')} leaves out rows with NaN, "
        f"{source.option('missing', 'mean')} fills them."
    )


def _without_gaps(table: Table, missing: Missing, source: Source) -> tuple[Table, tuple[str, ...]]:
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
            f"filled with the mean. Leave these rows out: {source.option('missing', 'drop')}."
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


def _filling(gaps: Tensor, filled: Tensor, columns: tuple[str, ...], source: Source) -> str:
    """A sentence on what was filled."""
    counts = gaps.sum(0).flatten()
    names = [columns[j] if columns else f"column {j + 1}" for j in counts.nonzero()[:, 0].tolist()]
    shown = listed(names[:6]) + (", ..." if len(names) > 6 else "")
    return (
        f"{int(gaps.sum())} missing values ({shown}) are filled with the mean of their column: samples will have too "
        f"many values near it, and too weak relations to other columns. {source.option('missing', 'drop')} leaves such "
        "rows out"
    )


def _of_coordinates(rows: ScaledRows, columns: tuple[str, ...], source: Source) -> Condition:
    """The condition that consists of the coordinates of the examples themselves."""
    train = rows.train
    if train.ndim != 2 or train.shape[1] < 2:
        raise DifrunError(
            f"{source}: {source.option('missing', 'condition')} is for tables of at least two columns, in which some "
            f"may be known; these examples have shape {tuple(train.shape[1:])}."
        )
    return Condition(train, rows.held_out, columns, rows.scaling, completes=True)


def _condition(
    table: Table, order: Tensor, count: int, scale: Scale, source: Source
) -> tuple[Condition, tuple[str, ...]]:
    """The conditions of a table, split and scaled as the examples are, and notes on them."""
    assert table.conditions is not None
    values, part, columns = (
        torch.from_numpy(table.conditions),
        source.part("condition"),
        table.condition_columns,
    )
    check_finite(values, part, columns, _gap_advice(source))
    rows = scaled(
        values,
        order,
        count,
        scale="auto"
        if scale == "pixels"
        else scale,  # the examples are images, their conditions may be anything
        source=part,
        columns=columns,
        eight_bit=table.condition_eight_bit,
    )
    return Condition(rows.train, rows.held_out, columns, rows.scaling), rows.notes


def _held_out_count(n: int, fraction: float, source: Source) -> int:
    """How many of n rows are held out: at least one, and not all."""
    count = min(max(1, round(fraction * n)), n - 1)
    if n - count < MIN_EXAMPLES:
        raise DifrunError(
            f"{source}: of {n} rows, holding out {fraction:g} leaves {n - count} to train on; at least {MIN_EXAMPLES} "
            f"are needed. Lower {source.option('held_out')}, or bring more rows."
        )
    return count
