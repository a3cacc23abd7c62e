"""Examples that do not fit into memory: moments and checks part by part; metrics that ask for the data."""

import pytest
import torch

from difrun.data import Dataset
from difrun.data import dataset as module
from difrun.errors import DifrunError
from difrun.metric import measure


def normal(n, seed):
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(seed)) * 0.3 + torch.tensor(
        [5.0, 0.0, -2.0]
    )


def test_moments_part_by_part_are_those_of_the_whole(monkeypatch):
    whole = Dataset(name="d", train=normal(1001, 0), held_out=normal(20, 1))
    parts = Dataset(name="d", train=normal(1001, 0), held_out=normal(20, 1))
    expected = whole.mean, whole.var
    monkeypatch.setattr(module, "AT_ONCE", 100)
    torch.testing.assert_close(parts.mean, expected[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(parts.var, expected[1], rtol=1e-6, atol=1e-7)


def test_the_first_bad_row_is_found_part_by_part(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 30)
    train = normal(100, 0)
    train[57, 1] = float("nan")
    train[91, 0] = float("inf")
    with pytest.raises(DifrunError, match=r"nan in row 58, column 2 \(2 of 100 rows"):
        Dataset(name="d", train=train, held_out=normal(20, 1))


def test_a_metric_of_the_data_gets_the_dataset_beside_the_reference():
    dataset = Dataset(name="d", train=normal(200, 0), held_out=normal(50, 1))
    seen = []

    def metric(samples, reference, dataset, *, generator):
        seen.append((samples.shape, reference.shape, dataset))
        return {"gap": float((samples.mean(0) - reference.mean(0)).norm())}

    found = measure(metric, normal(70, 2) + 1, dataset, seed=0, data=True)
    assert all(sizes == ((50, 3), (50, 3), dataset) for sizes in seen)
    assert len(seen) == 12
    assert found["gap"]["value"] == pytest.approx(3**0.5, abs=0.3)
    assert found["gap"]["floor"] < 0.3


@pytest.mark.parametrize("distribution", [False, True])
def test_the_floor_of_a_metric_of_labels_is_of_training_or_held_out_examples(distribution):
    """With `distribution` the real examples are held-out ones, as without labels; else those of training."""
    labels = torch.arange(40) % 2
    dataset = Dataset(
        name="d", train=normal(40, 0), held_out=normal(40, 1),
        labels=labels, held_out_labels=labels, classes=("a", "b"),
    )  # fmt: skip
    rows = {tuple(row) for row in dataset.held_out.tolist()}

    def metric(samples, labels, dataset, *, generator):
        return {"held": sum(tuple(row) in rows for row in samples.tolist()) / len(samples)}

    found = measure(
        metric, normal(20, 2), dataset, seed=0, labels=torch.arange(20) % 2, distribution=distribution
    )
    assert found["held"]["value"] == 0
    assert found["held"]["floor"] == float(distribution)


def test_the_covariance_of_many_examples_is_summed_part_by_part(monkeypatch):
    """Seven parts against one, to 1e-12; no part holds more numbers than are looked at together."""
    x = torch.randn(1000, 3, 2, generator=torch.Generator().manual_seed(0)) * 2 + 5
    want = Dataset(name="d", train=x, held_out=x[:20]).cov
    monkeypatch.setattr(module, "AT_ONCE", 6 * 150)
    found = Dataset(name="d", train=x, held_out=x[:20]).cov
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
