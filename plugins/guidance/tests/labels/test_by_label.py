"""What holds of both guidances to a class."""

import pytest
import torch

from difrun.errors import DifrunError
from difrun.guidance import Context
from difrun.model import ExactMixture, proportional_labels
from difrun.randomness import torch_generator
from difrun.sampler import Adaptive, integrate
from difrun.testing.references import ReferenceVP
from difrun_guidance.labels.cfg import cfg
from difrun_guidance.labels.classifier import classifier
from difrun_guidance.measurements.methods import LinearMMPS

from .overlapping import MIXTURE, exact, labelled


def test_no_guidance_is_the_model_itself():
    """cfg of scale 1, and a classifier of scale 0, are the model: nothing is computed that could round."""
    model = exact(ReferenceVP())
    assert cfg(model, scale=1.0) is model
    assert classifier(model, context=Context(labelled()), target="B", scale=0.0) is model


def test_samples_of_guided_models_do_not_depend_on_their_neighbours():
    """Rows of different classes with steps of their own, to 1e-9: `rows` goes through every guidance."""
    process = ReferenceVP()
    labels = proportional_labels((0.5, 0.5), 6)
    x = process.prior((6, 2), mean=MIXTURE.mean, var=MIXTURE.var, generator=0, dtype=torch.float64)
    times = [process.horizon, process.t_min]
    by_classifier = classifier(
        ExactMixture(MIXTURE, process), context=Context(labelled()), scale=1.5, exact=True
    )
    for model in (cfg(exact(process), scale=2.0), by_classifier):
        together = integrate(Adaptive(), model.condition_on(labels), x, times)
        alone = [
            integrate(Adaptive(), model.condition_on(labels[i : i + 1]), x[i : i + 1], times)
            for i in range(6)
        ]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-9)


def test_no_guidance_by_classes_is_left_out_unasked():
    """An exact model draws no classes by itself, but guided by them it does, in the proportion of its distribution;
    what stands around a guidance by classes still draws them. Rows of any class are those of the model, to 1e-12."""
    process, context = ReferenceVP(), Context(labelled())
    model = exact(process)
    assert model.shares == ()
    assert cfg(model, scale=3.0).shares == pytest.approx((0.5, 0.5))
    by_classifier = classifier(ExactMixture(MIXTURE, process), context=context, scale=2.0, exact=True)
    for guided in (cfg(model, scale=3.0), by_classifier):
        around = LinearMMPS(guided, y=torch.zeros(1), seen="left")
        assert around.shares == guided.shares
    labels, x, at = torch.tensor([0, -1, 1]), MIXTURE.sample(3, torch_generator(0)), process.at(0.4)
    found = by_classifier.condition_on(labels).predict(x, at, "score")
    free = model.predict(x, at, "score")
    torch.testing.assert_close(found[1], free[1], rtol=1e-12, atol=1e-12)
    assert (found - free)[[0, 2]].abs().amax(1).min() > 1e-3
    with pytest.raises(DifrunError, match="name cfg first"):
        cfg(by_classifier)
