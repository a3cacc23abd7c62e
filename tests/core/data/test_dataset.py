"""The Dataset contract: moments (of many examples part by part), scaling, real reference sets, and what is refused."""

import numpy as np
import pytest
import torch

from difrun.data import Dataset, Scaling
from difrun.data import dataset as module
from difrun.errors import DifrunError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, first: int = 0) -> torch.Tensor:
    """Examples (n, 2) that can be told apart."""
    return torch.arange(2 * first, 2 * (first + n), dtype=torch.float32).reshape(n, 2)


def dataset(**changes) -> Dataset:
    fields = {"name": "mine", "train": numbered(50), "held_out": numbered(30, 50), "columns": ("a", "b")}
    return Dataset(**{**fields, **changes})


def rows(x: torch.Tensor) -> set[tuple[float, ...]]:
    return {tuple(row) for row in x.tolist()}


def test_moments_are_those_of_numpy_in_float64():
    """A mean of 10⁶ with a spread of 1: float32 sums would lose the variance."""
    values = np.random.default_rng(0).normal(1e6, [1.0, 3.0], (4000, 2)).astype(np.float32)
    data = dataset(train=values)
    assert data.mean.dtype == data.var.dtype == torch.float32
    np.testing.assert_allclose(data.mean, values.astype(np.float64).mean(0), rtol=1e-7)
    np.testing.assert_allclose(data.var, values.astype(np.float64).var(0), rtol=1e-6)


def test_moments_of_images_are_per_pixel():
    values = torch.rand((40, 1, 3, 4), generator=generator())
    data = dataset(train=values, held_out=values[:5], columns=())
    assert data.shape == (1, 3, 4)
    np.testing.assert_allclose(data.var, values.double().numpy().var(0), rtol=1e-6)


def test_scaling_standardises_and_decode_undoes_it():
    raw = torch.randn((500, 3), generator=generator(), dtype=torch.float64) * torch.tensor([1e-6, 1, 1e6]) + 7
    scaling = Scaling.standardising(raw)
    coded = scaling.encode(raw)
    torch.testing.assert_close(coded.mean(0), torch.zeros(3).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(coded.var(0, correction=0), torch.ones(3).double())
    torch.testing.assert_close(scaling.decode(coded), raw, rtol=1e-12, atol=0)
    data = dataset(train=coded, held_out=coded, columns=(), scaling=scaling)
    torch.testing.assert_close(data.decode(data.train), raw.float(), rtol=1e-6, atol=0)
    assert torch.equal(dataset().decode(numbered(3)), numbered(3))


def test_scaling_names_constant_columns():
    raw = torch.rand((30, 3), generator=generator())
    raw[:, 1] = 0.1
    with pytest.raises(DifrunError, match=r"^column 'y': constant.*Remove it.*--dataset.no-standardise"):
        Scaling.standardising(raw, ("x", "y", "z"))
    raw[:, 2] = -4.0
    with pytest.raises(DifrunError, match=r"^column 2, column 3: constant"):
        Scaling.standardising(raw)
    with pytest.raises(DifrunError, match=r"^entry \(0, 0\), .* and 1 more: constant"):
        Scaling.standardising(torch.ones(30, 2, 2))


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


def test_real_pair_is_held_out_against_training_examples_of_equal_number():
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


def test_where_the_distribution_can_be_drawn_from_references_are_fresh_and_independent():
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
        ({"train": torch.zeros(50)}, r"^dataset 'mine': an array of shape \(50,\) is no list of examples"),
        ({"held_out": torch.zeros(9, 3)}, r"held-out examples have shape \(9, 3\); expected \(M, 2\)"),
        ({"held_out": torch.zeros(0, 2)}, r"held-out examples have shape \(0, 2\).* M at least 1"),
        ({"columns": ("a",)}, r"1 column names for examples of shape \(2,\)"),
    ],
)
def test_what_is_no_dataset_is_refused(changes, message):
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


def test_scaling_answers_in_the_format_it_is_given():
    """Evaluated in float64, whatever the format: a shift of 10⁶ does not cost float32 its digits."""
    scaling = Scaling(torch.tensor([1e6]).double(), torch.tensor([0.5]).double())
    x = torch.tensor([[1e6 + 0.5], [1e6 - 0.25]])
    coded = scaling.encode(x)
    assert coded.dtype == torch.float32
    assert torch.equal(coded, torch.tensor([[1.0], [-0.5]]))
    assert scaling.decode(coded).dtype == torch.float32
    assert torch.equal(scaling.decode(coded), x)


def shifted_normal(n, seed):
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(seed)) * 0.3 + torch.tensor(
        [5.0, 0.0, -2.0]
    )


def test_moments_part_by_part_are_those_of_the_whole(monkeypatch):
    whole = Dataset(name="d", train=shifted_normal(1001, 0), held_out=shifted_normal(20, 1))
    parts = Dataset(name="d", train=shifted_normal(1001, 0), held_out=shifted_normal(20, 1))
    expected = whole.mean, whole.var
    monkeypatch.setattr(module, "AT_ONCE", 100)
    torch.testing.assert_close(parts.mean, expected[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(parts.var, expected[1], rtol=1e-6, atol=1e-7)


def test_the_first_bad_row_is_found_part_by_part(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 30)
    train = shifted_normal(100, 0)
    train[57, 1] = float("nan")
    train[91, 0] = float("inf")
    with pytest.raises(DifrunError, match=r"nan in row 58, column 2 \(2 of 100 rows"):
        Dataset(name="d", train=train, held_out=shifted_normal(20, 1))


def test_the_covariance_of_many_examples_is_summed_part_by_part(monkeypatch):
    """Seven parts against one, to 1e-12; no part holds more numbers than are looked at together."""
    x = torch.randn(1000, 3, 2, generator=torch.Generator().manual_seed(0)) * 2 + 5
    want = Dataset(name="d", train=x, held_out=x[:20]).cov
    monkeypatch.setattr(module, "AT_ONCE", 6 * 150)
    found = Dataset(name="d", train=x, held_out=x[:20]).cov
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
