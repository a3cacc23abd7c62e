"""Metrics that ask for the dataset or for labels."""

import pytest
import torch

from difrun.data import Dataset
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
