"""Training with labels: what batches bring, what the network learns."""

import torch
from tests.core.training.support import options

from difrun.data.toy import blobs
from difrun.loss import Regression
from difrun.model import (
    MLP,
    NetworkModel,
    condition_as_data,
    proportional_labels,
)
from difrun.sampler import Heun, generate
from difrun.sampler.tuning import pilot
from difrun.testing import ReferenceVP
from difrun.training import Batches, Trainer


def labelled_trainer(data, *, classes=True, loss=None, seed=11, **given):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MLP(data.shape, classes=len(data.classes) if classes else 0, width=32)
    model = NetworkModel(network, ReferenceVP(), data.shape, mean=data.mean, var=data.var)
    model.shares = data.shares if classes else ()
    labels = data.labels if classes else None
    return Trainer(model, loss or Regression("x0"), data.train, options(**given), seed=seed, labels=labels)


def test_batches_bring_labels_beside_what_the_loss_drew():
    """Each row its own label, of which a share `label_dropout` is −1 (within 5 deviations); all else is unchanged."""
    data = blobs(seed=0, n=200, variance=0.01)
    model = labelled_trainer(data).model
    with_labels = Batches(model, Regression("x0"), data.train, 50, 3, labels=data.labels, label_dropout=0.3)
    plain = Batches(model, Regression("x0"), data.train, 50, 3)
    dropped = []
    for step in (0, 1, 63, 64, 200):
        examples, other = with_labels[step], plain[step]
        label = examples["label"]
        order = with_labels.order(step * 50, step * 50 + 50)
        assert torch.equal(label[label >= 0], data.labels[order][label >= 0])
        assert all(torch.equal(examples[name], other[name]) for name in other)
        again = Batches(model, Regression("x0"), data.train, 50, 3, labels=data.labels, label_dropout=0.3)
        assert torch.equal(again[step]["label"], label)
        dropped.append((label < 0).double().mean())
    assert abs(torch.stack(dropped).mean() - 0.3) < 5 * (0.3 * 0.7 / 250) ** 0.5


def test_training_with_labels_continues_bit_for_bit():
    data = blobs(seed=0, n=200)
    whole, first = labelled_trainer(data, steps=40), labelled_trainer(data, steps=40, stop_at=17)
    whole.run()
    first.run()
    second = labelled_trainer(data, steps=40)
    second.load(first.state())
    second.run()
    for name, tensor in whole.state().items():
        if name != "seconds":
            assert torch.equal(second.state()[name], tensor), name
    moved = whole.network.labels.weight.detach().abs().sum(1)
    assert (moved > 0).all(), "a label that is met has learnt something"


def test_a_network_learns_its_classes_and_their_mixture():
    """On two far blobs: the label decides the mode (all of 200); without one both come, 50 % within 5 deviations."""
    data = blobs(seed=0, n=500, variance=0.05)
    trainer = labelled_trainer(data, steps=250, batch=64, lr=1e-2, ema=0.97, label_dropout=0.2)
    trainer.run()
    trainer.finish()
    model = trainer.model
    times = pilot(model, 12)
    labels = proportional_labels(data.shares, 200)
    drawn = generate(Heun(), model, 200, times, labels=labels)
    assert torch.equal((drawn.sum(1) < 0).long(), labels)
    free = generate(Heun(), model, 200, times)
    assert abs(int((free.sum(1) < 0).sum()) - 100) < 5 * 50**0.5
    assert condition_as_data(model, 4).labels.tolist() == [0, 1, 0, 1]
