"""Samples of a class: chunks, the prior, and steps that only some of the rows need."""

import pytest
import torch
from tests.core.mixtures import CLASS_OF_COMPONENT, MIXTURE

from difrun.data import GaussianMixture
from difrun.data.toy import gmm
from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import (
    ExactMixture,
    proportional_labels,
)
from difrun.sampler import Adaptive, Heun, generate, integrate
from difrun.testing.references import ReferenceVE, ReferenceVP


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


def test_the_prior_has_the_moments_of_the_class():
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


def test_rows_that_need_more_adaptive_steps_keep_their_labels():
    """Each sample ends where it ends alone, to 1e-9: rows that need more steps are asked with their own labels."""
    model = ExactMixture(MIXTURE, ReferenceVP(), CLASS_OF_COMPONENT)
    labels = proportional_labels((0.5, 0.5), 12)
    x = model.process.prior((12, 2), mean=MIXTURE.mean, var=MIXTURE.var, generator=0, dtype=torch.float64)
    times = [model.process.horizon, model.process.t_min]
    together = integrate(Adaptive(), model.condition_on(labels), x, times)
    alone = [
        integrate(Adaptive(), model.condition_on(labels[i : i + 1]), x[i : i + 1], times) for i in range(12)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-9)
    assert (CLASS_OF_COMPONENT[MIXTURE.component(together)] == labels).double().mean() > 0.7
