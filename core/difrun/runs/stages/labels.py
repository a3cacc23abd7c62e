"""The classes or conditions of samples: those that the user asks for, else those of the data."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

import attrs
import torch
from torch import Tensor

from difrun.builtin.options import FILE_SUFFIXES
from difrun.data.condition import Condition
from difrun.data.csv_layout import CsvOptions, is_gap, is_number
from difrun.data.dataset import Dataset
from difrun.data.files import read_labelled
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.labels import labels_as_in_data
from difrun.options.parsing import shown_briefly
from difrun.plugin.listener import Listener
from difrun.storage import arrays
from difrun.storage.regular import open_regular
from difrun.text import listed


@attrs.frozen
class Words:
    """What messages call a class, a condition and the number of samples: flags of the command, or arguments.

    Attributes:
        label: The class.
        condition: The condition.
        n: The number of samples.
        join: What stands between such a word and its value.
    """

    label: str = "--label"
    condition: str = "--condition"
    n: str = "--n"
    join: str = " "

    def value(self, word: str, text: str) -> str:
        """Return ``--label cat`` or ``label=cat``."""
        return f"{word}{self.join}{shown_briefly(text)}"


FLAGS, ARGUMENTS = Words(), Words("label", "condition", "n", "=")

_words: ContextVar[Words] = ContextVar("words", default=FLAGS)


@contextlib.contextmanager
def in_words(words: Words) -> Iterator[None]:
    """Let messages about what is asked for use these words in the block, or in the function that it decorates."""
    token = _words.set(words)
    try:
        yield
    finally:
        _words.reset(token)


class Asked(Protocol):
    """What the user asks for: `difrun.config.SampleOptions`, or a `SampleRequest`."""

    @property
    def label(self) -> str | None:
        """A class, by name or number; None for all."""
        ...

    @property
    def condition(self) -> str | None:
        """The values of a condition, or a file of them; None for those of the data."""
        ...


def labels_of(model: ScoreModel, dataset: Dataset, asked: Asked | None, n: int) -> Tensor | None:
    """Return the class (n,) or condition (n, *shape) of each of n samples.

    It is the one asked for; else all classes in the proportion of the data, or the conditions of the training examples
    in turn.

    Returns:
        The labels; None if none are asked for and the model takes none, or if they have no effect.

    Raises:
        DifrunError: If the data do not have the class, the condition does not fit them, or the model takes no such
            thing.
    """
    if asked is None or (asked.label is None and asked.condition is None):
        return labels_as_in_data(model, n)
    labels = _labels_asked(model, dataset, asked, n)
    return labels if _have_effect(labels, model) else None


def _labels_asked(model: ScoreModel, dataset: Dataset, asked: Asked, n: int) -> Tensor:
    """The class or condition of each of n samples that the user asks for."""
    if asked.condition is not None:
        if asked.label is not None:
            words = _words.get()
            raise DifrunError(
                f"{words.label} and {words.condition} cannot be used together: data have classes or a condition."
            )
        return _condition_of(model, dataset, asked.condition, n)
    assert asked.label is not None
    number = dataset.class_number(asked.label)
    if not model.classes:
        words = _words.get()
        raise DifrunError(
            f"{words.value(words.label, asked.label)}: the model of this run was trained without labels. Train one "
            "with labels: a model that takes them, such as mlp, and --train.label-dropout 0.1."
        )
    return torch.full((n,), number)


def _have_effect(labels: Tensor, model: ScoreModel) -> bool:
    """Whether a model heeds labels that it is given: one whose guidance is off (cfg of scale 0) draws all classes."""
    heard = model.condition_on(labels[:1]).labels
    return heard is None or not _say_nothing(heard) or _say_nothing(labels[:1])


def _say_nothing(labels: Tensor) -> bool:
    return bool((labels.isnan() if labels.is_floating_point() else labels < 0).all())


def _condition_of(model: ScoreModel, dataset: Dataset, text: str, n: int) -> Tensor:
    """The condition of each of n samples that the user asks for, in the units of the model."""
    words = _words.get()
    source = words.value(words.condition, text)
    if dataset.condition is None:
        hint = f" They have classes: {words.label}." if dataset.classes else ""
        raise DifrunError(f"{source}: the examples of dataset '{dataset.name}' have no condition.{hint}")
    if model.condition_shape is None:
        raise DifrunError(
            f"{source}: the model of this run was trained without a condition. Train one with it: a model that takes "
            "it, such as mlp, and --train.label-dropout 0.1."
        )
    condition = dataset.condition.encode(_values(text, dataset.condition, source), source)
    if len(condition) == 1 or n == 1:
        return condition[:1].expand(n, *condition.shape[1:]).clone()
    if len(condition) != n:
        raise DifrunError(
            f"{source} has {len(condition)} rows for {n} samples; give one row for each, "
            f"{words.n}{words.join}{len(condition)}, or one row for all."
        )
    return condition


def is_file(condition: str | None) -> bool:
    """Whether a condition is a file of conditions, rather than values."""
    return condition is not None and Path(condition).suffix.lower() in FILE_SUFFIXES


def rows_asked(condition: str | None, dataset: Dataset) -> int | None:
    """Return the number of rows of a file of conditions; None for values, which hold for all samples."""
    if condition is None or not is_file(condition) or dataset.condition is None:
        return None
    words = _words.get()
    return len(_values(condition, dataset.condition, words.value(words.condition, condition)))


def identity(condition: str) -> str:
    """Return a text that differs between conditions: their values, or the digest of their file."""
    if not is_file(condition):
        return condition.replace(" ", "")
    try:
        with open_regular(condition) as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError as error:
        words = _words.get()
        source = words.value(words.condition, condition)
        raise DifrunError(f"{source} cannot be read: {error.strerror or error}.") from None


def note(listener: Listener, dataset: Dataset, asked: Asked, labels: Tensor | None) -> None:
    """Say which class is drawn, if its name is not written as it stands; or that a condition is beyond the data.

    And say if what was asked for has no effect.
    """
    words = _words.get()
    flag = words.label if asked.label is not None else words.condition
    if labels is None and (asked.label is not None or asked.condition is not None):
        listener.note(
            f"{flag} has no effect: guidance of this strength draws from all the data, whatever is asked for"
        )
    elif asked.label is not None:
        name = dataset.classes[dataset.class_number(asked.label)]
        if name != asked.label.strip():
            listener.note(
                f"{words.value(words.label, asked.label)} is class '{name}' of dataset '{dataset.name}'"
            )
    elif asked.condition is not None and dataset.condition is not None and labels is not None:
        text = dataset.condition.outside(labels)
        if text:
            listener.note(text)


def _values(text: str, condition: Condition, source: str) -> Tensor:
    """Conditions in the user's units, (rows, *shape), float64; NaN for gaps."""
    if is_file(text):
        return _from_file(Path(text), condition, source)
    cells = [cell.strip() for cell in text.split(",")]
    for cell in cells:
        if not (is_number(cell) or is_gap(cell)):
            raise DifrunError(
                f"{source}: '{shown_briefly(cell)}' is not a number. Expected values such as 0.5,-1, or a file that "
                f"ends in {', '.join(FILE_SUFFIXES)}."
            )
    return torch.tensor(
        [[float("nan") if is_gap(cell) else float(cell) for cell in cells]], dtype=torch.float64
    )


def _from_file(path: Path, condition: Condition, source: str) -> Tensor:
    try:
        found = path.stat()
        stamp = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
        has_c = path.suffix.lower() == ".npz" and "c" in arrays.archive_names(path)
    except (OSError, DifrunError):  # the reader says in words what is wrong with the path
        stamp, has_c = None, False
    return _read_once(path, "c" if has_c else None, stamp, condition.columns, condition.completes, source)


@functools.lru_cache(maxsize=1)
def _read_once(
    path: Path,
    key: str | None,
    stamp: tuple[int, ...] | None,
    names: tuple[str, ...],
    completes: bool,
    source: str,
) -> Tensor:
    """The rows of a file, which is read again if it has changed: first their number is asked for, and then they are."""
    try:
        table = read_labelled(path, key, None, csv=CsvOptions(asks=False, names=names, gaps=True))
    except DifrunError as error:
        raise DifrunError(f"{_words.get().condition}: {error}") from None
    values = torch.from_numpy(table.values)
    if len(values) == 0:
        raise DifrunError(f"{source} holds no rows.")
    if table.columns and names and table.columns != names:
        return _by_name(values, table.columns, names, completes, source)
    return values


def _by_name(
    values: Tensor, found: tuple[str, ...], names: tuple[str, ...], completes: bool, source: str
) -> Tensor:
    """The columns of a file in the order of the condition; those that it lacks are gaps, where gaps are allowed."""
    unknown = [name for name in found if name not in names]
    lacking = [name for name in names if name not in found]
    if unknown or (lacking and not completes):
        raise DifrunError(
            f"{source} has the columns {listed(found)}; the condition consists of {listed(names)}."
        )
    gap = torch.full((len(values),), float("nan"), dtype=torch.float64)
    return torch.stack([values[:, found.index(n)] if n in found else gap for n in names], dim=1)
