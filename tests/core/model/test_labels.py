"""Labels from the data to the sample: what a model is given, what it learns, what is drawn, against exact
distributions."""

import math

import pytest
import torch
from tests.core.training.support import OU, options

from difrun.analysis import elbo, log_likelihood
from difrun.data import GaussianMixture
from difrun.data.toy import blobs, gmm, rings
from difrun.errors import DifrunError
from difrun.grid import check
from difrun.loss import Regression
from difrun.model import (
    MLP,
    PREDICTIONS,
    Centred,
    Counted,
    ExactEmpirical,
    ExactMixture,
    ModelWrapper,
    NetworkModel,
    condition_on_class_shares,
    proportional_labels,
)
from difrun.randomness import torch_generator
from difrun.sampler import Adaptive, Heun, generate, integrate
from difrun.testing.references import ReferenceVE, ReferenceVP
from difrun.training import Batches, Trainer
from difrun.tuning import pilot

LAW = GaussianMixture(
    [0.3, 0.2, 0.3, 0.2],
    [[-1.0, 0.0], [-2.5, 2.0], [0.6, 0.4], [2.2, -1.8]],
    [
        [[0.4, 0.1], [0.1, 0.3]],
        [[0.2, 0.0], [0.0, 0.2]],
        [[0.4, -0.15], [-0.15, 0.3]],
        [[0.25, 0.0], [0.0, 0.25]],
    ],
)
OWNER = torch.tensor([0, 0, 1, 1])
PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE()}


def logsnr(process, steps):
    low, high = process.lam_range
    times = process.time_at(torch.linspace(low, high, steps + 1, dtype=torch.float64)).tolist()
    times[0], times[-1] = process.horizon, process.t_min
    return check(times, process, steps)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.2, 0.1), (1.0,), (1 / 3, 2 / 3, 0.0)])
def test_labels_are_spread_in_proportion_from_the_first_on(shares):
    """After m labels class k has been met m·share_k times, to less than 2; more labels begin with the same."""
    labels = proportional_labels(shares, 500)
    assert labels.dtype == torch.int64
    for m in (1, 7, 100, 500):
        assert torch.equal(proportional_labels(shares, m), labels[:m])
        counts = torch.bincount(labels[:m], minlength=len(shares))
        assert ((counts - m * torch.tensor(shares)).abs() < 2).all()


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_exact_model_of_a_class_is_that_of_its_components(process, dtype):
    model = ExactMixture(LAW, process, OWNER)
    x = LAW.sample(9, torch_generator(0)).to(dtype)
    labels = torch.tensor([0, 1, -1] * 3)
    alone = {0: ExactMixture(LAW.part(OWNER == 0), process), 1: ExactMixture(LAW.part(OWNER == 1), process)}
    alone[-1] = ExactMixture(LAW, process)
    accuracy = 1e-11 if dtype == torch.float64 else 1e-5
    for t in (process.t_min, 0.4 * process.horizon, process.horizon):
        batch = process.at(torch.full((9,), t, dtype=dtype), 2)
        for at in (process.at(t), batch):
            for kind in PREDICTIONS:
                got = model.condition_on(labels).predict(x, at, kind)
                for label, truth in alone.items():
                    rows = labels == label
                    here = process.at(t) if at is not batch else process.at(batch.t[rows].reshape(-1), 2)
                    want = truth.predict(x[rows], here, kind)
                    scale = want.abs().max() + 1
                    torch.testing.assert_close(got[rows] / scale, want / scale, rtol=0, atol=accuracy)
    assert model.labels is None


def test_the_posterior_of_a_class_is_that_of_bayes():
    """p(c | x_t) = share_c p_t(x | c)/p_t(x), to 1e-12; it sums to 1, and so does that of the examples themselves."""
    process = ReferenceVP()
    model, at = ExactMixture(LAW, process, OWNER), process.at(0.3)
    x = LAW.sample(50, torch_generator(1))
    labels = torch.full((50,), 1)
    want = math.log(0.5) + model.condition_on(labels).log_prob(x, at) - model.log_prob(x, at)
    torch.testing.assert_close(model.log_posterior(x, at)[:, 1], want, rtol=0, atol=1e-12)
    data = gmm(seed=0, n=200, modes=3)
    empirical = ExactEmpirical(data.train, process, data.labels)
    total = empirical.log_posterior(data.held_out[:5].double(), at).exp().sum(1)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_bayes_guidance_of_weight_1_is_the_exact_conditional_model(process):
    """∇ log p_t + ∇ log p(c | x_t) = ∇ log p_t(· | c), in every kind, to 1e-10 of its size in float64."""
    model = ExactMixture(LAW, process, OWNER)
    x = LAW.sample(20, torch_generator(2))
    guided = process.condition(model, lambda x, at: model.log_posterior(x, at)[:, 0], 1.0)
    exact = model.condition_on(torch.zeros(20, dtype=torch.int64))
    for t in (process.t_min, 0.3 * process.horizon, process.horizon):
        with torch.no_grad():  # as in the sampling loop
            y = process.sample(x, t, 3)
            for kind in PREDICTIONS:
                got, want = (m.predict(y, process.at(t), kind) for m in (guided, exact))
                scale = want.abs().max()
                torch.testing.assert_close(got / scale, want / scale, rtol=0, atol=1e-10)
    assert process.condition(model, lambda x, at: x[:, 0], 0.0) is model


def test_a_guided_model_has_a_likelihood():
    """Its gradient can be differentiated further: the flow of p + 1·log p(c|x) has the density of class c, to 1e-3."""
    process = ReferenceVP()
    model = ExactMixture(LAW, process, OWNER)
    guided = process.condition(model, lambda x, at: model.log_posterior(x, at)[:, 0], 1.0)
    alone = ExactMixture(LAW.part(OWNER == 0), process)
    x = LAW.part(OWNER == 0).sample(8, torch_generator(4))
    end = process.at(process.horizon)
    found = log_likelihood(guided, x[:4], steps=40, prior=lambda x: alone.log_prob(x, end)).nats
    truth = alone.log_prob(x[:4], process.at(process.t_min))
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-3)


def test_a_log_likelihood_that_is_none_is_refused():
    process = ReferenceVP()
    model = ExactMixture(LAW, process)
    x, at = LAW.sample(3, torch_generator(0)), process.at(0.5)
    for wrong in (lambda x, at: x, lambda x, at: torch.zeros(len(x))):
        with pytest.raises(DifrunError, match="one number per row"):
            process.condition(model, wrong, 1.0).predict(x, at, "x0")


class Wrapper(ModelWrapper):
    """A guidance that changes nothing, as a stranger would write it."""

    kind = "x0"

    def forward(self, x, at):
        return self.inner.predict(x, at, "x0")


def test_wrappers_pass_labels_on():
    process = ReferenceVP()
    exact = ExactMixture(LAW, process, OWNER)
    x, labels = LAW.sample(6, torch_generator(0)), torch.tensor([0, 1, 0, 1, -1, 0])
    at = process.at(0.4)
    want = exact.condition_on(labels).predict(x, at, "x0")
    counted = Counted(exact)
    for wrapper in (Wrapper(exact), counted, Centred(exact, x), Wrapper(Counted(Wrapper(exact)))):
        given = wrapper.condition_on(labels)
        assert torch.equal(given.predict(x, at, "x0"), want)
        assert torch.equal(given.rows(torch.tensor([1, 4])).predict(x[[1, 4]], at, "x0"), want[[1, 4]])
        assert torch.equal(given.rows(slice(2, 5)).predict(x[2:5], at, "x0"), want[2:5])
        assert wrapper.labels is None
        assert wrapper.classes == 2
        assert wrapper.rows(slice(2)) is wrapper
    assert (counted.evaluations, counted.examples) == (3, 6 + 2 + 3)


def test_labels_that_do_not_fit_are_refused():
    process = ReferenceVP()
    x, at = LAW.sample(3, torch_generator(0)), process.at(0.4)
    with pytest.raises(DifrunError, match="knows no classes"):
        ExactMixture(LAW, process).condition_on(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DifrunError, match="knows no classes"):
        Wrapper(NetworkModel(MLP((2,)), process, (2,))).condition_on(torch.zeros(3, dtype=torch.int64))
    model = ExactMixture(LAW, process, OWNER)
    for labels, match in (
        (torch.tensor([0, 1, 2]), "no class number 2"),
        (torch.tensor([0, -2, 0]), "no class number -2"),
        (torch.tensor([0.0, 1.0, 0.0]), "int64"),
    ):
        with pytest.raises(DifrunError, match=match):
            model.condition_on(labels)
    with pytest.raises(DifrunError, match="the classes of 2 rows is asked about 3"):
        model.condition_on(torch.tensor([0, 1])).predict(x, at, "x0")


def test_chunks_give_every_sample_its_class():
    """5 classes in chunks of 30, 7 and 100: the same samples to rounding, each in its own mode (20 widths apart)."""
    data = gmm(seed=0, n=100, modes=5, std=0.05)
    model = ExactMixture(data.distribution, ReferenceVP(), data.component_labels)
    labels = proportional_labels(data.shares, 100)
    times = logsnr(model.process, 20)
    found = [generate(Heun(), model, 100, times, chunk=c, labels=labels).double() for c in (30, 7, 100)]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-5)
    assert torch.equal(data.distribution.component(found[0]), labels)
    with pytest.raises(DifrunError, match="100 samples need 100 labels"):
        generate(Heun(), model, 100, times, labels=labels[:50])


def test_the_prior_is_that_of_the_class():
    """Data with a gap of 200 at σ_T = 100, where all classes' moments put half of x_T wrong: with those of its class
    every sample's x_T has the mean of its class, to 5 standard errors of 2000, and so have the samples."""
    distribution = GaussianMixture([0.5, 0.5], [[-100.0], [100.0]], [1.0, 4.0])
    model = ExactMixture(distribution, ReferenceVE(), torch.tensor([0, 1]))
    labels = proportional_labels((0.5, 0.5), 4000)
    mean, var = model.condition_on(labels).moments()
    assert mean[:, 0].tolist() == [-100.0, 100.0] * 2000
    assert var[:, 0].tolist() == [1.0, 4.0] * 2000
    drawn = generate(Heun(), model, 4000, logsnr(model.process, 40), labels=labels)
    for label, centre, std in ((0, -100.0, 1.0), (1, 100.0, 2.0)):
        own = drawn[labels == label].double()
        assert float(own.mean()) == pytest.approx(centre, abs=5 * std / 2000**0.5)
        assert float(own.std()) == pytest.approx(std, abs=5 * std / 4000**0.5 + 0.03 * std)


def test_the_adaptive_sampler_asks_some_rows_of_their_own_class():
    """Each sample ends where it ends alone, to 1e-9: rows that need more steps are asked with their own labels."""
    model = ExactMixture(LAW, ReferenceVP(), OWNER)
    labels = proportional_labels((0.5, 0.5), 12)
    x = model.process.prior((12, 2), mean=LAW.mean, var=LAW.var, generator=0, dtype=torch.float64)
    times = [model.process.horizon, model.process.t_min]
    together = integrate(Adaptive(), model.condition_on(labels), x, times)
    alone = [
        integrate(Adaptive(), model.condition_on(labels[i : i + 1]), x[i : i + 1], times) for i in range(12)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-9)
    assert (OWNER[LAW.component(together)] == labels).double().mean() > 0.7


def test_the_likelihood_of_labelled_examples_is_that_of_their_classes():
    """log p(x | class) by the flow and the ELBO, the rows in chunks: what each class's own model says, to 1e-9."""
    process = ReferenceVP()
    model = ExactMixture(LAW, process, OWNER)
    x, component = LAW.sample_with_components(6, torch_generator(5))
    labels = OWNER[component]
    assert 0 < int(labels.sum()) < 6

    def flat(x):  # the prior is another test's
        return x.new_zeros(len(x))

    def parts(model, chunk=None):
        found = elbo(model, x, times=2, chunk=chunk)
        return found.diffusion + found.reconstruction

    flow = log_likelihood(model.condition_on(labels), x, steps=2, chunk=4, prior=flat).nats
    for label in (0, 1):
        alone = ExactMixture(LAW.part(label == OWNER), process)
        alone.mean, alone.var = model.mean, model.var  # of the frame
        own = labels == label
        want = log_likelihood(alone, x[own], steps=2, prior=flat).nats
        torch.testing.assert_close(flow[own], want, rtol=0, atol=1e-9)
    first = parts(model.condition_on(torch.ones_like(labels)))
    torch.testing.assert_close(first, parts(alone), rtol=0, atol=1e-9)
    whole = parts(model.condition_on(labels))
    torch.testing.assert_close(parts(model.condition_on(labels), 5000), whole, rtol=0, atol=1e-9)
    assert not torch.allclose(whole, first, rtol=0, atol=1e-3)


def test_the_network_without_classes_is_what_it_was():
    """classes=0 has no more parameters; with classes the others are the same, and at first no label matters."""
    networks = []
    for classes in (0, 3):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            networks.append(MLP((2,), classes=classes, width=16))
    plain, of_classes = networks
    extra = set(of_classes.state_dict()) - set(plain.state_dict())
    assert extra == {"labels.weight"}
    assert all(torch.equal(of_classes.state_dict()[name], v) for name, v in plain.state_dict().items())
    x, level = torch.randn((4, 2), generator=torch_generator(0)), torch.zeros(4)
    assert torch.equal(of_classes(x, level, torch.tensor([-1, 0, 1, 2])), plain(x, level))


def labelled_trainer(data, *, classes=True, loss=None, seed=11, **given):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MLP(data.shape, classes=len(data.classes) if classes else 0, width=32)
    model = NetworkModel(network, OU(), data.shape, mean=data.mean, var=data.var)
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
    assert condition_on_class_shares(model, 4).labels.tolist() == [0, 1, 0, 1]


def test_the_distribution_of_a_class_of_the_built_in_data():
    """Labelled draws of rings lie on their own half-circle (5 noise widths), and `class_distribution` has their
    moments."""
    data = rings(seed=0, n=400)
    for name, centre, radius in (("upper", (0.6, 0.2), 1.4), ("lower", (-0.5, -1.0), 0.5)):
        label = data.class_number(name)
        for x in (
            data.train[data.labels == label],
            data.held_out[data.held_out_labels == label],
            *data.real_pair_of(torch.full((200,), label), torch_generator(1)),
        ):
            away = (x - torch.tensor(centre)).norm(dim=1) - radius
            assert away.abs().max() < 5 * 0.02
        distribution = data.class_distribution(label)
        assert float(distribution.weights.sum()) == pytest.approx(1)
        angle = torch.tensor(math.pi)
        height = (2 / angle) * radius * (1 if name == "upper" else -1) + centre[1]
        assert float(distribution.mean[1]) == pytest.approx(float(height), abs=1e-6)
    with pytest.raises(DifrunError, match=r"no class 'left'.*2 classes: upper, lower"):
        data.class_number("left")
    assert (data.class_number("1"), data.class_number(0)) == (1, 0)
