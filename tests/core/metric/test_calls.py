"""What a metric returns becomes finite numbers with names that can be written; anything else is refused."""

import itertools
from collections.abc import Mapping
from decimal import Decimal

import pytest
import torch

from difrun.data.toy import rings
from difrun.metric import measure
from difrun.metric.calls import LARGEST, MOST_NUMBERS, finite_numbers


def gap():
    """Stands for a metric."""


class Endless(Mapping):
    def __getitem__(self, key):
        return 1.0

    def __len__(self):
        return 1

    def __iter__(self):
        return map(str, itertools.count())


@pytest.mark.parametrize(
    "value", [1.5, 3, Decimal("1.5"), torch.tensor(1.5), torch.tensor(1.5, requires_grad=True), -LARGEST]
)
def test_numbers_of_any_kind_become_floats(value, recwarn):
    (number,) = finite_numbers(gap, {"a": value}).values()
    assert type(number) is float
    assert number == float(value.detach() if isinstance(value, torch.Tensor) else value)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1.0", "the text '1.0' for a; expected a finite number of at most 1e+100"),
        (b"1", "the text b'1' for a; expected a finite number"),
        (1.7e308, "1.7e+308 for a; expected a finite number of at most 1e+100"),
        (1j, "1j for a; expected a finite number"),
        ([1], "1 for a; expected a finite number"),
    ],
)
def test_what_is_no_number_is_shown(value, said):
    with pytest.raises(ValueError, match="gap returned ") as refused:
        finite_numbers(gap, {"a": value})
    assert said in str(refused.value)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "a\ud800", "a" * 101])
def test_names_that_cannot_be_written_are_refused(name):
    with pytest.raises(ValueError, match="expected a name of 1 to 100 printable characters") as refused:
        finite_numbers(gap, {name: 1.0})
    assert len(str(refused.value)) < 250


def test_numbers_without_end_are_refused():
    with pytest.raises(ValueError, match=f"gap returned more than {MOST_NUMBERS} numbers"):
        finite_numbers(gap, Endless())


def test_a_metric_that_writes_into_its_points_changes_no_other():
    data = rings(seed=0, n=100)

    def mean(samples, reference):
        return {"mean": float(samples.mean() - reference.mean())}

    def eraser(samples, reference):
        samples.zero_()
        reference.zero_()
        return {"mean": 0.0}

    before = data.train.clone(), data.held_out.clone()
    samples = data.train[:20] + 1
    expected = measure(mean, samples, data, seed=0)
    erased = samples.clone()
    measure(eraser, erased, data, seed=0)
    assert torch.equal(erased, samples)
    assert torch.equal(data.train, before[0])
    assert torch.equal(data.held_out, before[1])
    assert measure(mean, erased, data, seed=0) == expected
