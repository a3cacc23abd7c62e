"""Guidance by classes against the closed form of a mixture: scores, samples, a classifier that is learnt and kept."""

import attrs
import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import rho
from difrun.guidance import Context
from difrun.metric.distances import sliced_w2
from difrun.model import ExactMixture, NetworkModel
from difrun.randomness import torch_generator
from difrun.sampler import Heun, generate
from difrun.testing.references import ReferenceVP
from difrun_guidance.labels.cfg import cfg
from difrun_guidance.labels.classifier import classifier

from .overlapping import CLASS_OF_COMPONENT, MIXTURE, Exploding, exact, labelled


def accuracy(x):
    """Share of x that the exact classifier of clean examples takes for class A."""
    a, b = (MIXTURE.part(k == CLASS_OF_COMPONENT).log_prob(x.double()) for k in (0, 1))
    return float((a > b).double().mean())


def test_bayes_guidance_samples_the_class():
    """w = 1, the exact classifier, Heun in 30 steps from 30 to 0.002, 4000 samples: sliced W2 from class A at most 0.05
    (two exact sets: 0.030), accuracy within 0.015 of Bayes' 0.933. The prior of all classes would give 0.06."""
    process = Exploding()
    model = classifier(
        ExactMixture(MIXTURE, process), context=Context(labelled(10000)), target="A", exact=True
    )
    samples = generate(Heun(), model, 4000, rho(process, 30, rho=7.0), seed=1)
    reference = MIXTURE.part(CLASS_OF_COMPONENT == 0).sample(4000, torch_generator(2), stratified=True)
    found = sliced_w2(samples, reference.float(), generator=torch_generator(3))["sliced-w2"]
    assert found <= 0.05
    assert accuracy(samples) == pytest.approx(0.933, abs=0.015)


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
        cfg(ExactMixture(MIXTURE, process), scale=2.0)
    always = NetworkModel(torch.nn.Identity(), process, (2,))
    always.set_classes((0.5, 0.5), knows_any=False)
    with pytest.raises(DifrunError, match="was trained with the class of every example"):
        cfg(always, scale=2.0)
