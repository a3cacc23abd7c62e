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

    found = measure(metric, normal(70, 2) + 1, dataset, seed=0)
    assert all(sizes == ((50, 3), (50, 3), dataset) for sizes in seen)
    assert len(seen) == 12
    assert found["gap"]["value"] == pytest.approx(3**0.5, abs=0.3)
    assert found["gap"]["floor"] < 0.3


def of_two_classes():
    labels = torch.arange(40) % 2
    return Dataset(
        name="d", train=normal(40, 0), held_out=normal(40, 1),
        labels=labels, held_out_labels=labels, classes=("a", "b"),
    )  # fmt: skip


@pytest.mark.parametrize("with_reference", [True, False])
def test_the_floor_of_a_metric_of_labels_is_of_training_or_held_out_examples(with_reference):
    """With a reference, which is held-out examples of the same classes, it is of training examples; else of held-out
    ones."""
    dataset = of_two_classes()
    rows = {tuple(row): index for index, row in enumerate(dataset.held_out.tolist())}

    def share(samples, labels, dataset, *, generator):
        return {"held": sum(tuple(row) in rows for row in samples.tolist()) / len(samples)}

    def share_beside_reference(samples, labels, reference, *, dataset, generator):
        classes = [rows[tuple(row)] % 2 for row in reference.tolist()]
        assert classes == labels.tolist()
        return share(samples, labels, dataset, generator=generator)

    metric = share_beside_reference if with_reference else share
    found = measure(metric, normal(20, 2), dataset, seed=0, labels=torch.arange(20) % 2)
    assert found["held"]["value"] == 0
    assert found["held"]["floor"] == float(not with_reference)


def test_a_metric_that_can_do_without_labels_gets_them_where_there_are_any():
    def classes(samples, reference, labels=None):
        return {"classes": 0.0 if labels is None else float(labels.max()) + 1}

    labels, dataset = torch.arange(20) % 2, of_two_classes()
    assert measure(classes, normal(20, 2), dataset, seed=0)["classes"]["value"] == 0
    assert measure(classes, normal(20, 2), dataset, seed=0, labels=labels)["classes"]["value"] == 2


def test_a_metric_of_labels_refuses_samples_without():
    def of_labels(samples, labels):
        return {"classes": 0.0}

    with pytest.raises(DifrunError, match="of samples with classes, and these have none"):
        measure(of_labels, normal(20, 2), of_two_classes(), seed=0)


def test_the_covariance_of_many_examples_is_summed_part_by_part(monkeypatch):
    """Seven parts against one, to 1e-12; no part holds more numbers than are looked at together."""
    x = torch.randn(1000, 3, 2, generator=torch.Generator().manual_seed(0)) * 2 + 5
    want = Dataset(name="d", train=x, held_out=x[:20]).cov
    monkeypatch.setattr(module, "AT_ONCE", 6 * 150)
    found = Dataset(name="d", train=x, held_out=x[:20]).cov
    torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
