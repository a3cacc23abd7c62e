"""Models guided by log p(c | x): Bayes' rule gives the exact model of the class."""

import pytest
import torch
from tests.core.mixtures import CLASS_OF_COMPONENT, MIXTURE

from difrun.analysis import log_likelihood
from difrun.errors import DifrunError
from difrun.model import (
    PREDICTIONS,
    ExactMixture,
)
from difrun.randomness import torch_generator
from difrun.testing.references import ReferenceVE, ReferenceVP

PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE()}


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_bayes_guidance_of_weight_1_is_the_exact_conditional_model(process):
    """∇ log p_t + ∇ log p(c | x_t) = ∇ log p_t(· | c), in every kind, to 1e-10 of its size in float64."""
    model = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)
    x = MIXTURE.sample(20, torch_generator(2))
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
    model = ExactMixture(MIXTURE, process, CLASS_OF_COMPONENT)
    guided = process.condition(model, lambda x, at: model.log_posterior(x, at)[:, 0], 1.0)
    alone = ExactMixture(MIXTURE.part(CLASS_OF_COMPONENT == 0), process)
    x = MIXTURE.part(CLASS_OF_COMPONENT == 0).sample(8, torch_generator(4))
    end = process.at(process.horizon)
    found = log_likelihood(guided, x[:4], steps=40, prior=lambda x: alone.log_prob(x, end)).nats
    truth = alone.log_prob(x[:4], process.at(process.t_min))
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-3)


def test_a_log_likelihood_that_is_none_is_refused():
    process = ReferenceVP()
    model = ExactMixture(MIXTURE, process)
    x, at = MIXTURE.sample(3, torch_generator(0)), process.at(0.5)
    for wrong in (lambda x, at: x, lambda x, at: torch.zeros(len(x))):
        with pytest.raises(DifrunError, match="one number per row"):
            process.condition(model, wrong, 1.0).predict(x, at, "x0")
