"""Guidance by classes against the closed form of a mixture: scores, samples, a classifier that is learnt and kept."""

import math

import attrs
import pytest
import torch

from difrun.data import Dataset, GaussianMixture
from difrun.errors import DifrunError, Interrupted
from difrun.grid import rho
from difrun.guidance import Context
from difrun.metric.distances import sliced_w2
from difrun.model import PREDICTIONS, ExactMixture, NetworkModel, proportional_labels
from difrun.process import GaussianProcess
from difrun.randomness import torch_generator
from difrun.sampler import Adaptive, Heun, generate, integrate
from difrun.testing.references import ReferenceVE, ReferenceVP
from difrun_guidance.labels import noisy_classifier
from difrun_guidance.labels.cfg import cfg
from difrun_guidance.labels.classifier import classifier
from difrun_guidance.labels.noisy_classifier import FILE, learnt
from difrun_guidance.measurements.exact_posterior import Exact
from difrun_guidance.measurements.methods import LinearMMPS

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


class Exploding(GaussianProcess):
    """x_t = x_0 + t ε from t = 30 down to 0.002."""

    horizon = 30.0

    def __init__(self):
        self.noise_floor = 0.002

    def log_alpha(self, t):
        return torch.zeros_like(t)

    def variance(self, t):
        return t**2


def labelled(n=2000, seed=0):
    """A dataset of the mixture in which components 0 and 1 are class A, 2 and 3 class B."""
    (x, k), (y, m) = (
        LAW.sample_with_components(n, torch_generator(seed, part)) for part in ("train", "held")
    )
    return Dataset(
        name="overlapping",
        train=x,
        held_out=y,
        distribution=LAW,
        labels=OWNER[k],
        held_out_labels=OWNER[m],
        classes=("A", "B"),
        component_labels=OWNER,
    )


def exact(process):
    return ExactMixture(LAW, process, OWNER)


def accuracy(x):
    """Share of x that the exact classifier of clean examples takes for class A."""
    a, b = (LAW.part(k == OWNER).log_prob(x.double()) for k in (0, 1))
    return float((a > b).double().mean())


def test_bayes_guidance_samples_the_class():
    """w = 1, the exact classifier, Heun in 30 steps from 30 to 0.002, 4000 samples: sliced W2 from class A at most 0.05
    (two exact sets: 0.030), accuracy within 0.015 of Bayes' 0.933. The prior of all classes would give 0.06."""
    process = Exploding()
    model = classifier(ExactMixture(LAW, process), context=Context(labelled(10000)), target="A", exact=True)
    samples = generate(Heun(), model, 4000, rho(process, 30, rho=7.0), seed=1)
    reference = LAW.part(OWNER == 0).sample(4000, torch_generator(2), stratified=True)
    found = sliced_w2(samples, reference.float(), generator=torch_generator(3))["sliced-w2"]
    assert found <= 0.05
    assert accuracy(samples) == pytest.approx(0.933, abs=0.015)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_cfg_is_the_combination_in_closed_form(process, scale):
    """Every kind is (1 − s) of the mixture and s of the class, for one time and one per sample, to 1e-12 of its size;
    within the interval alone, at whose ends and outside it is the model of the class, bit for bit."""
    model = exact(process)
    labels = torch.tensor([0, 1, -1] * 3)
    x = LAW.sample(9, torch_generator(0))
    guided = cfg(model, scale=scale).condition_on(labels)
    narrow = cfg(model, scale=scale, low=0.3, high=3.0).condition_on(labels)
    for noise in (0.1, 0.31, 1.0, 2.9, 10.0):
        at = process.at(float(process.time_at(torch.tensor(-math.log(noise), dtype=torch.float64))))
        batch = process.at(torch.full((9,), at.t, dtype=torch.float64), 2)
        for here in (at, batch):
            for kind in PREDICTIONS:
                own, free = model.condition_on(labels).predict(x, here, kind), model.predict(x, here, kind)
                want = (1 - scale) * free + scale * own
                size = want.abs().max() + own.abs().max()
                torch.testing.assert_close(
                    guided.predict(x, here, kind) / size, want / size, rtol=0, atol=1e-12
                )
                inside = 0.3 <= noise <= 3.0
                limited = narrow.predict(x, here, kind)
                assert torch.equal(limited, guided.predict(x, here, kind) if inside else own)


def test_no_guidance_is_the_model_itself():
    """cfg of scale 1, and a classifier of scale 0, are the model: nothing is computed that could round."""
    model = exact(ReferenceVP())
    assert cfg(model, scale=1.0) is model
    assert classifier(model, context=Context(labelled()), target="B", scale=0.0) is model


def test_cfg_of_an_exact_model_draws_the_classes_of_the_data():
    """Such a model draws none by itself: without shares of classes the guidance would be taken and ignored."""
    model = exact(ReferenceVP())
    assert model.shares == ()
    assert cfg(model, scale=2.0).shares == pytest.approx((0.5, 0.5))


def test_cfg_is_bayes_guidance_of_the_class():
    """p^{1−s} p(·|c)^s = p(·|c) p(c|·)^{s−1}: cfg of scale s is the exact classifier of weight s − 1 on the model
    of the class, to 1e-10; with that of the mixture the weight is s."""
    process, labels = ReferenceVP(), torch.tensor([0, 0, 1])
    model, at = exact(process), process.at(0.3)
    x, context = LAW.sample(3, torch_generator(0)), Context(labelled())
    want = cfg(model, scale=3.0).condition_on(labels).predict(x, at, "score")
    got = (
        classifier(model, context=context, scale=2.0, exact=True).condition_on(labels).predict(x, at, "score")
    )
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    unconditional = ExactMixture(LAW, process)
    other = classifier(unconditional, context=context, scale=3.0, exact=True)
    torch.testing.assert_close(
        other.condition_on(labels).predict(x, at, "score"), want, rtol=1e-10, atol=1e-10
    )
    assert other.shares == pytest.approx(Context(labelled()).dataset.shares)
    assert unconditional.classes == 0


def test_samples_of_guided_models_do_not_depend_on_their_neighbours():
    """Rows of different classes with steps of their own, to 1e-9: `rows` goes through every guidance."""
    process = ReferenceVP()
    labels = proportional_labels((0.5, 0.5), 6)
    x = process.prior((6, 2), mean=LAW.mean, var=LAW.var, generator=0, dtype=torch.float64)
    times = [process.horizon, process.t_min]
    by_classifier = classifier(ExactMixture(LAW, process), context=Context(labelled()), scale=1.5, exact=True)
    for model in (cfg(exact(process), scale=2.0), by_classifier):
        together = integrate(Adaptive(), model.condition_on(labels), x, times)
        alone = [
            integrate(Adaptive(), model.condition_on(labels[i : i + 1]), x[i : i + 1], times)
            for i in range(6)
        ]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-9)


def test_a_classifier_learns_the_posterior():
    """After 400 steps |p̂ − p| of the exact p_t(A | x_t) is below 0.035 on average at noises from 0.1 to 10, where a
    guess of ½ is off by up to 0.48; where class A lies its gradient is off by less than half of the exact one."""
    process = Exploding()
    data = labelled(5000)
    posterior = learnt(exact(process), Context(data, seed=3), steps=400, width=64)
    of_a = LAW.part(OWNER == 0).sample(1000, torch_generator(4)).float()
    for noise in (0.1, 0.5, 2.0, 10.0):
        at = process.at(noise)
        x = process.sample(data.held_out[:1000], noise, 5)
        truth = exact(process).log_posterior(x.double(), at)[:, 0].exp()
        got = posterior(x, at)[:, 0].detach().exp().double()
        assert float((got - truth).abs().mean()) < 0.035, noise
        near = process.sample(of_a, noise, 6)
        learned, want = (
            process.condition(exact(process), lambda x, at, f=f: f(x, at)[:, 0], 1.0).gradient(near, at)
            for f in (posterior, exact(process).log_posterior)
        )
        assert float((learned - want).norm() / want.norm()) < 0.5, noise


def test_a_classifier_is_trained_once_and_for_its_own_run(tmp_path, monkeypatch):
    """The file gives the same numbers bit for bit; another process or other data are refused, other options train."""
    data, process, notes = labelled(200), ReferenceVP(), []
    context = Context(data, folder=tmp_path, note=notes.append)
    x, at = data.train[:5], process.at(0.4)
    first = learnt(exact(process), context, steps=3, width=8)(x, at)
    assert [note for note in notes if "is trained, 3 steps" in note]
    with monkeypatch.context() as no_training:
        no_training.setattr(noisy_classifier, "_train", None)
        assert torch.equal(learnt(exact(process), context, steps=3, width=8)(x, at), first)
    with pytest.raises(
        DifrunError, match=r"of another process: it was trained on ReferenceVP.* has ReferenceVE"
    ):
        learnt(exact(ReferenceVE()), context, steps=3, width=8)
    with pytest.raises(DifrunError, match=r"of another dataset: .*overlapping \(201 examples"):
        learnt(exact(process), attrs.evolve(context, dataset=labelled(201)), steps=3, width=8)
    learnt(exact(process), context, steps=4, width=8)
    assert "trained with steps 3, width 8; it is trained anew" in notes[-2]
    (tmp_path / FILE).unlink()
    learnt(exact(process), attrs.evolve(context, trial=True), steps=10**9, width=8)
    assert not (tmp_path / FILE).exists()
    with pytest.raises(Interrupted, match="Stopped at step 0 of 3 of the classifier"):
        learnt(exact(process), attrs.evolve(context, stopping=lambda: True), steps=3, width=8)


def test_bad_requests_are_refused():
    process, data = ReferenceVP(), labelled(200)
    model, context = exact(process), Context(data)
    with pytest.raises(DifrunError, match=r"no class 'C': .* 2 classes: A, B"):
        classifier(model, context=context, target="C")
    plain = Context(attrs.evolve(data, labels=None, held_out_labels=None, classes=(), component_labels=None))
    trained = NetworkModel(torch.nn.Identity(), process, (2,))
    trained.shares = (0.5, 0.5)
    never = attrs.evolve(context, stage=lambda _: pytest.fail("a classifier is trained before the refusal"))
    for asked in (context, never):
        with pytest.raises(DifrunError, match="draw the class with --label"):
            classifier(trained, context=asked, target="A", exact=asked is context)
    with pytest.raises(DifrunError, match="have none"):
        classifier(model, context=plain, target="A")
    unknown = Context(attrs.evolve(data, distribution=None, component_labels=None))
    with pytest.raises(DifrunError, match="needs a Gaussian process, and a dataset whose distribution"):
        classifier(model, context=unknown, target="A", exact=True)
    with pytest.raises(DifrunError, match="a model that was trained on labels"):
        cfg(ExactMixture(LAW, process), scale=2.0)
    always = NetworkModel(torch.nn.Identity(), process, (2,))
    always.set_classes((0.5, 0.5), knows_any=False)
    with pytest.raises(DifrunError, match="was always told it"):
        cfg(always, scale=2.0)


def test_no_guidance_by_classes_is_left_out_unasked():
    """An exact model draws no classes by itself, but guided by them it does, in the proportion of its distribution;
    what stands around a guidance by classes still draws them. Rows of any class are those of the model, to 1e-12."""
    process, context = ReferenceVP(), Context(labelled())
    model = exact(process)
    assert model.shares == ()
    assert cfg(model, scale=3.0).shares == pytest.approx((0.5, 0.5))
    by_classifier = classifier(ExactMixture(LAW, process), context=context, scale=2.0, exact=True)
    for guided in (cfg(model, scale=3.0), by_classifier):
        around = LinearMMPS(guided, y=torch.zeros(1), seen="left")
        assert around.shares == guided.shares
    labels, x, at = torch.tensor([0, -1, 1]), LAW.sample(3, torch_generator(0)), process.at(0.4)
    found = by_classifier.condition_on(labels).predict(x, at, "score")
    free = model.predict(x, at, "score")
    torch.testing.assert_close(found[1], free[1], rtol=1e-12, atol=1e-12)
    assert (found - free)[[0, 2]].abs().amax(1).min() > 1e-3
    with pytest.raises(DifrunError, match="name cfg first"):
        cfg(by_classifier)


def test_a_class_that_the_measurement_rules_out_is_refused():
    distribution = GaussianMixture([0.5, 0.5], [[-50.0, 0.0], [50.0, 0.0]], [0.01, 0.01])
    data = attrs.evolve(labelled(200), distribution=distribution, component_labels=torch.tensor([0, 1]))
    guided = Exact(exact(ReferenceVP()), context=Context(data), y=[50.0], sigma_y=0.1)
    assert (
        guided.condition_on(torch.tensor([1]))
        .predict(torch.ones(1, 2).double(), guided.process.at(0.1), "x0")
        .isfinite()
        .all()
    )
    with pytest.raises(DifrunError, match="no example of class 'A' would be measured as y"):
        guided.condition_on(torch.tensor([0, 1]))
