"""The contract of a dataset: sets of real examples, and what is refused."""

import numpy as np
import pytest
import torch

from difrun.data import Dataset
from difrun.errors import DifrunError

from .support import dataset, generator, numbered


def rows(x: torch.Tensor) -> set[tuple[float, ...]]:
    return {tuple(row) for row in x.tolist()}


def test_reference_is_held_out_without_repeats_and_without_training_examples():
    data = dataset()
    assert data.references == 30
    chosen = data.reference(20, generator())
    assert len(rows(chosen)) == 20
    assert rows(chosen) <= rows(data.held_out)
    assert rows(data.reference(30, generator())) == rows(data.held_out)
    with pytest.raises(
        DifrunError, match=r"'mine' has 30 held-out examples; 31 were asked for\. Ask for fewer, or hold out"
    ):
        data.reference(31, generator())


def test_a_real_pair_is_held_out_examples_and_as_many_training_examples():
    first, second = dataset().real_pair(25, generator())
    assert len(rows(first)) == len(rows(second)) == 25
    assert rows(first) <= rows(dataset().held_out)
    assert rows(second) <= rows(dataset().train)
    again = dataset().real_pair(25, generator())
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    few = dataset(train=numbered(20))
    with pytest.raises(
        DifrunError, match=r"'mine' has 20 training examples; 25 were asked for\. Ask for fewer\.$"
    ):
        few.real_pair(25, generator())


def test_references_are_fresh_and_independent_where_the_distribution_can_be_drawn_from():
    data = dataset(fresh=lambda n, generator: torch.randn((n, 2), generator=generator))
    assert data.references is None
    first, second = data.real_pair(5000, generator())
    assert not rows(first) & rows(second)
    correlation = np.corrcoef(first.flatten(), second.flatten())[0, 1]
    assert abs(correlation) < 5 / 10_000**0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": numbered(19)}, r"^dataset 'mine' has 19 rows; at least 20 are needed"),
        ({"train": torch.zeros(0, 2)}, r"^dataset 'mine' is empty \(shape \(0, 2\)\)"),
        ({"train": torch.zeros(50)}, r"^dataset 'mine': an array of shape \(50,\) is not a list of examples"),
        ({"held_out": torch.zeros(9, 3)}, r"held-out examples have shape \(9, 3\); expected \(M, 2\)"),
        ({"held_out": torch.zeros(0, 2)}, r"held-out examples have shape \(0, 2\).* M at least 1"),
        ({"columns": ("a",)}, r"1 column names for examples of shape \(2,\)"),
    ],
)
def test_arrays_that_make_no_dataset_are_refused(changes, message):
    with pytest.raises(DifrunError, match=message):
        dataset(**changes)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_the_first_value_that_is_not_finite_is_named(value):
    train = numbered(50)
    train[10:13, 1] = float(value)
    with pytest.raises(DifrunError) as caught:
        dataset(train=train)
    expected = (
        f"dataset 'mine': {value} in row 11, column 'b' (3 of 50 rows hold NaN or infinity). Remove or fill"
    )
    assert str(caught.value).startswith(expected)
    held_out = torch.ones(25, 2, 2)
    held_out[3, 1, 0] = float(value)
    with pytest.raises(DifrunError, match=rf"held-out examples: {value} in row 4, entry \(1, 0\)"):
        dataset(train=torch.ones(25, 2, 2), held_out=held_out, columns=())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", 5, "the name of a dataset must be text, not 5."),
        ("fingerprint", b"x", "the fingerprint of a dataset must be text, not b'x'."),
        ("columns", "ab", "columns must be a tuple of texts, not 'ab'."),
        ("notes", (3,), "notes must be a tuple of texts, not (3,)."),
        ("classes", {"a"}, "classes must be a tuple of texts"),
        ("fresh", 3, "fresh must be a function, not 3."),
        ("log_density", 3, "log_density must be a function, not 3."),
        ("scaling", 3, "scaling must be a difrun.data.scaling.Scaling, not 3."),
        ("origin", "x", "origin must be a difrun.data.origin.Origin, not 'x'."),
        ("condition", [1], "condition must be a difrun.data.condition.Condition, not [1]."),
    ],
)
def test_fields_of_another_type_are_refused_by_name(field, value, said):
    x = torch.randn(60, 2, generator=generator())
    fields = {"name": "mine", "train": x[:40], "held_out": x[40:], field: value}
    with pytest.raises(DifrunError) as refused:
        Dataset(**fields)
    assert said in str(refused.value)
