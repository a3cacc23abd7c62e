"""Metrics that ask for the dataset or for labels."""

import pytest
import torch

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.metric import measure


def normal(n, seed):
    return torch.randn((n, 3), generator=torch.Generator().manual_seed(seed)) * 0.3 + torch.tensor(
        [5.0, 0.0, -2.0]
    )


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
