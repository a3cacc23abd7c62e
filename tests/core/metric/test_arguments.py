"""Metrics that ask for the dataset, for labels, or for the samples alone; exact values."""

import pytest
import torch

from difrun.data import Dataset, GaussianMixture, toy
from difrun.errors import DifrunError
from difrun.metric import measure, reads
from difrun.metric.calls import PointSet, on_offer
from difrun.plugin.signatures import call


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n, seed):
    return torch.randn((n, 3), generator=generator(seed)) * 0.3 + torch.tensor([5.0, 0.0, -2.0])


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

    with pytest.raises(DifrunError, match="compares samples with classes, and these samples have none"):
        measure(of_labels, normal(20, 2), of_two_classes(), seed=0)


def test_a_metric_of_a_distribution_gets_the_dataset_and_the_error_of_its_samples():
    """It asks for the dataset and for no reference. The value is that of all samples, its deviation their standard
    error (40 %), the floor that of real sets."""
    data = toy.blobs(seed=0)
    seen = []

    def mean(samples, dataset, *, generator):
        seen.append(dataset)
        return {"mean": float(samples[:, 0].double().mean())}

    samples = data.fresh(4000, generator(99))
    found = measure(mean, samples, data, seed=5, repeats=60)["mean"]
    error = float(samples[:, 0].std()) / 4000**0.5
    assert all(dataset is data for dataset in seen)
    assert found["value"] == pytest.approx(float(samples[:, 0].double().mean()), abs=1e-12)
    assert found["value_sd"] == pytest.approx(error, rel=0.4)
    assert found["floor_sd"] == pytest.approx(error, rel=0.4)
    assert found["floor"] == pytest.approx(0, abs=5 * error / 60**0.5)


def test_the_floor_of_a_distribution_without_more_data_is_that_of_the_held_out_examples_with_their_error():
    """All 60 held-out examples are compared: the spread of the floor is their standard error, not 0. 24 resamples find
    it to 15 %; 50 % is above three of these."""
    random = generator(3)
    data = Dataset(
        name="own", train=torch.randn(200, 1, generator=random), held_out=torch.randn(60, 1, generator=random)
    )

    def mean(samples, dataset, *, generator):
        return {"mean": float(samples.double().mean())}

    found = measure(mean, torch.randn(500, 1, generator=random), data, seed=5)["mean"]
    assert found["floor"] == pytest.approx(float(data.held_out.double().mean()), abs=1e-12)
    assert found["floor_sd"] == pytest.approx(float(data.held_out.std()) / 60**0.5, rel=0.5)


def test_exact_values_stand_beside_what_was_measured():
    """Of the numbers that have one; they are asked for the dataset, with the metric's options."""
    distribution = GaussianMixture([1.0], [[0.0, 0.0]], [4.0])
    random = torch.Generator().manual_seed(0)
    data = Dataset(
        name="one",
        train=distribution.sample(50, random),
        held_out=distribution.sample(50, random),
        fresh=distribution.sample,
        distribution=distribution,
    )

    def exact(dataset, scale=1.0):
        return {"power": scale * float(dataset.distribution.var.sum())}

    @reads({}, exact=exact)
    def moments(samples, reference, *, generator, scale=1.0):
        return {"power": scale * float(samples.square().sum(1).mean()), "mean": float(samples.mean())}

    found = measure(moments, distribution.sample(4000, random), data, seed=0, scale=0.5)
    assert found["power"]["exact"] == pytest.approx(4.0)
    assert found["power"]["floor"] == pytest.approx(4.0, abs=5 * 4 / (6 * 4000) ** 0.5)
    assert "exact" not in found["mean"]


def test_a_metric_of_labels_without_reference_draws_nothing_for_one(monkeypatch):
    """The reference of a class is drawn for metrics that ask for it; others get the generator as it was seeded."""
    dataset = of_two_classes()
    first_numbers = []

    def metric(samples, labels, generator):
        first_numbers.append(float(torch.rand((), generator=generator)))
        return {"mean": float(samples.mean())}

    monkeypatch.setattr(
        Dataset, "real_pair_of", lambda *_: pytest.fail("a reference was drawn that nobody asked for")
    )
    of = PointSet(normal(40, 2), labels=torch.arange(40) % 2)
    called = call("metric", metric, on_offer(of, dataset, generator(7)))
    assert called == {"mean": pytest.approx(float(of.points.mean()))}
    assert first_numbers == [float(torch.rand((), generator=generator(7)))]
