"""Classifier-free guidance against the closed form of a mixture."""

import math

import pytest
import torch

from difrun.guidance import Context
from difrun.model import PREDICTIONS, ExactMixture
from difrun.randomness import torch_generator
from difrun.testing.references import ReferenceVE, ReferenceVP
from difrun_guidance.labels.cfg import cfg
from difrun_guidance.labels.classifier import classifier

from .overlapping import MIXTURE, exact, labelled


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0])
def test_cfg_is_the_combination_in_closed_form(process, scale):
    """Every kind is (1 − s) of the mixture and s of the class, for one time and one per sample, to 1e-12 of its size;
    within the interval alone, at whose ends and outside it is the model of the class, bit for bit."""
    model = exact(process)
    labels = torch.tensor([0, 1, -1] * 3)
    x = MIXTURE.sample(9, torch_generator(0))
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
    x, context = MIXTURE.sample(3, torch_generator(0)), Context(labelled())
    want = cfg(model, scale=3.0).condition_on(labels).predict(x, at, "score")
    got = (
        classifier(model, context=context, scale=2.0, exact=True).condition_on(labels).predict(x, at, "score")
    )
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    unconditional = ExactMixture(MIXTURE, process)
    other = classifier(unconditional, context=context, scale=3.0, exact=True)
    torch.testing.assert_close(
        other.condition_on(labels).predict(x, at, "score"), want, rtol=1e-10, atol=1e-10
    )
    assert other.shares == pytest.approx(Context(labelled()).dataset.shares)
    assert unconditional.classes == 0
