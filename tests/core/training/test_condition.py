"""Training with a condition: what batches bring, what the network learns, and how it is handed to the model."""

import math

import torch

from difrun.config import TrainOptions
from difrun.loss import Regression
from difrun.model import MLP, NetworkModel, condition_as_data
from difrun.testing import ReferenceVP
from difrun.training import Trainer
from difrun.training.batches import Batches


def linear_data(n=2000, seed=0):
    """x = (c, −c) + ½ ε in the plane, c standard normal."""
    random = torch.Generator().manual_seed(seed)
    c = torch.randn((n, 1), generator=random)
    return torch.cat((c, -c), 1) + 0.5 * torch.randn((n, 2), generator=random), c


def model_of(x, c=None, **set_options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = tuple(x.shape[1:]) if c is None else tuple(c.shape[1:])
        network = MLP(tuple(x.shape[1:]), condition_shape=shape, width=32, depth=1)
    model = NetworkModel(network, ReferenceVP(), (2,), mean=x.mean(0), var=x.var(0))
    model.set_condition(shape, **set_options)
    return model


def test_batches_bring_conditions_and_drop_some_whole():
    x, c = linear_data()
    model = model_of(x, c)
    batches = Batches(model, Regression("x0"), x, 200, 3, labels=c, label_dropout=0.3)
    plain = Batches(model, Regression("x0"), x, 200, 3)
    given = batches[0]["label"]
    known = ~given.isnan()[:, 0]
    order = batches.order(0, 200)
    assert torch.equal(given[known], c[order][known])
    assert abs(int((~known).sum()) - 60) < 5 * math.sqrt(200 * 0.3 * 0.7)
    assert torch.equal(batches[0]["input"], plain[0]["input"])


def test_hidden_entries_are_every_subset_in_the_same_measure():
    """Of d = 3 entries 1, 2 or 3 are hidden with probability ⅓ each, all subsets of one size alike."""
    x = torch.randn(600, 3)
    with torch.random.fork_rng():
        network = MLP((3,), condition_shape=(3,), width=8, depth=1)
    model = NetworkModel(network, ReferenceVP(), (3,))
    batches = Batches(model, Regression("x0"), x, 3000, 1, labels=x, hides=True)
    hidden = batches[0]["label"].isnan().long()
    pattern = hidden @ torch.tensor([1, 2, 4])
    expected = torch.tensor([0, 1 / 9, 1 / 9, 1 / 9, 1 / 9, 1 / 9, 1 / 9, 1 / 3])
    counts = torch.bincount(pattern, minlength=8) / 3000
    assert counts[0] == 0
    assert ((counts - expected).abs() < 5 * (expected * (1 - expected) / 3000).sqrt() + 1e-9).all()


def trained(x, c, steps=400, **set_options):
    model = model_of(x, None if set_options.get("completes") else c, **set_options)
    options = TrainOptions(steps=steps, batch=128, lr=5e-3, ema=0.99, label_dropout=0.1)
    trainer = Trainer(model, Regression("x0"), x, options, seed=1, labels=x if c is None else c)
    trainer.run()
    trainer.finish()
    return model


def test_a_network_learns_what_the_condition_says():
    """At much noise x̂_0 is E[x | c] = (c, −c), and E[x] = 0 without c."""
    x, c = linear_data()
    model = trained(x, c, known=c)
    at = model.process.at(model.process.horizon)
    given = torch.tensor([[-1.5], [0.0], [1.0], [math.nan]])
    noise = torch.randn((400, 4, 2), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        x0 = torch.stack([model.condition_on(given).predict(part, at, "x0") for part in noise]).mean(0)
    expected = torch.cat((given, -given), 1).nan_to_num(nan=0.0)
    assert (x0 - expected).abs().max() < 0.15
    assert torch.equal(condition_as_data(model, 3).labels, c[:3])


def test_training_with_conditions_continues_bit_for_bit():
    x, c = linear_data(300)
    whole = trained(x, c, steps=20).network.state_dict()
    model = model_of(x, c)
    options = TrainOptions(steps=20, batch=128, lr=5e-3, ema=0.99, label_dropout=0.1, stop_at=7)
    first = Trainer(model, Regression("x0"), x, options, seed=1, labels=c)
    first.run()
    options = TrainOptions(steps=20, batch=128, lr=5e-3, ema=0.99, label_dropout=0.1)
    second = Trainer(model_of(x, c), Regression("x0"), x, options, seed=1, labels=c)
    second.load(first.state())
    second.run()
    second.finish()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in second.network.state_dict().items())


def test_a_network_that_fills_gaps_learns_the_regression_of_one_column_on_the_other():
    """E[x_2 | x_1 = v] = −0.8 v, as the covariance is −1 and the variance 1.25; x_1 keeps its value at every kind."""
    x, _ = linear_data()
    model = trained(x, None, completes=True)
    at, end = (model.process.at(part * model.process.horizon) for part in (0.6, 1.0))
    given = torch.tensor([[1.2, math.nan]]).expand(500, 2)
    noise = torch.randn((500, 2), generator=torch.Generator().manual_seed(2))
    model = model.condition_on(given)
    with torch.no_grad():
        x0, eps, last = (
            model.predict(noise, at, "x0"),
            model.predict(noise, at, "noise"),
            model.predict(noise, end, "x0"),
        )
    assert torch.equal(x0[:, 0], torch.full((500,), 1.2))
    torch.testing.assert_close(eps[:, 0], (noise[:, 0] - at.alpha * 1.2) / at.sigma, rtol=1e-5, atol=1e-5)
    assert abs(float(last[:, 1].mean()) + 0.8 * 1.2) < 0.15
