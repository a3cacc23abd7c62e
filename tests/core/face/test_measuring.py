"""Likelihoods, metrics, comparisons and tunings of a model alone, against what is known of it."""

import numpy as np
import pytest
import torch

import difrun
from difrun.data import GaussianMixture
from difrun.errors import ConfigError, DifrunError
from difrun.face import few_steps
from difrun.metric.distances import sliced_w2
from difrun.model import ExactMixture
from difrun.sampler import Adaptive, Sampler
from difrun.sampler.tuning.search import tune as search
from difrun.testing import ReferenceVP

VP = ReferenceVP()
WEIGHTS, MEANS, VARIANCES = [0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.2, 0.3]
MIXTURE = GaussianMixture(WEIGHTS, MEANS, VARIANCES)
MODEL = ExactMixture(MIXTURE, VP)


def test_the_likelihood_is_that_of_the_mixture_with_the_noise_that_remains():
    x = MIXTURE.sample(30, torch.Generator().manual_seed(0)).double()
    smoothed = GaussianMixture(WEIGHTS, MEANS, [variance + VP.noise_floor**2 for variance in VARIANCES])
    found = difrun.log_likelihood(MODEL, x, steps=40)
    torch.testing.assert_close(found, smoothed.log_prob(x), atol=5e-4, rtol=0)
    as_array = difrun.log_likelihood(MODEL, x.numpy(), steps=40)
    assert isinstance(as_array, np.ndarray)
    np.testing.assert_array_equal(as_array, found.numpy())
    with pytest.raises(DifrunError, match=r"examples of shape \(30, 1\) do not fit"):
        difrun.log_likelihood(MODEL, x[:, :1])


class Halved(Sampler):
    """A sampler of one's own: Euler's method, with all steps of half the length on the way."""

    order, evaluations = 1, 2

    def step(self, model, x, at, to, state, generator):
        """Two steps of DDIM."""
        middle = model.process.at(0.5 * (at.t + to.t))
        for here, there in ((at, middle), (middle, to)):
            x0 = model.predict(x, here, "x0")
            x = there.alpha * x0 + there.sigma / here.sigma * (x - here.alpha * x0)
        return x, None


def test_a_comparison_takes_names_classes_and_objects(tmp_path):
    found = difrun.compare(
        MODEL,
        samplers=["heun", Halved, Adaptive(rtol=0.1), Adaptive(rtol=1e-7, atol=1e-7)],
        steps=[3],
        metrics=[sliced_w2],
        options={"metric.sliced-w2.projections": 20},
        n=60,
        out=tmp_path / "compared",
    )
    names = [row.sampler for row in found.rows]
    assert names[0] == "heun"
    assert names[1].endswith(":Halved")
    assert names[2:] == ["adaptive (rtol=0.1, atol=0.0001)", "adaptive (rtol=1e-07, atol=1e-07)"]
    assert [row.evaluations for row in found.rows[:2]] == [6, 6]
    assert found.rows[3].evaluations > found.rows[2].evaluations > 0
    assert all("sliced-w2" in row.metrics and not row.problem for row in found.rows), found.rows
    assert (tmp_path / "compared" / "compare.csv").is_file()
    with pytest.raises(ConfigError, match="those of a sampler or a grid come with an object"):
        difrun.compare(MODEL, samplers=["adaptive"], options={"sampler.rtol": 1.0})


def test_tuning_serves_the_model_it_was_made_for(monkeypatch):
    monkeypatch.setattr(few_steps, "search", lambda *a, **k: search(*a, trajectories=16, **k))
    monkeypatch.setattr("difrun.sampler.tuning.search.SELECTION_TRAJECTORIES", 32)
    found = difrun.tune(MODEL, [3, 4], iterations=1)
    assert list(found) == [3, 4]
    assert list(MODEL.tunings) == [3, 4]
    assert difrun.tune(MODEL, 4, iterations=1) == found[4] == MODEL.tunings[4]
    drawn = difrun.sample(MODEL, 50, "tuned", 4)
    assert drawn.isfinite().all()
    with pytest.raises(DifrunError, match="tuned for 3, 4"):
        difrun.sample(MODEL, 50, "tuned", 5)
    with pytest.raises(ConfigError, match="Invalid value for steps"):
        difrun.tune(MODEL, "six")


def test_samples_are_measured_beside_their_floor():
    good = MIXTURE.sample(500, torch.Generator().manual_seed(3)).double()
    numbers = difrun.evaluate(MODEL, good, metric="sliced-w2")["sliced-w2"]
    assert numbers["value"] < 3 * numbers["floor"]
    shifted = difrun.evaluate(MODEL, good.numpy() + 1, metric=["sliced-w2"])["sliced-w2"]
    # Projections of a shift by (1, 1) on random directions: root mean square 1.
    assert shifted["value"] == pytest.approx(1.0, abs=0.15)

    def gap(samples, reference, *, scale: float = 1.0):
        return {"gap": scale * float((samples.mean(0) - reference.mean(0)).norm())}

    own = difrun.evaluate(MODEL, good + 1, metric=gap, options={"metric.gap.scale": 2.0})["gap"]
    assert own["value"] == pytest.approx(2 * 2**0.5, abs=0.3)
    alone = difrun.wrap(lambda x, t: x, VP, (2,), "x0", "t", check=False)
    for samples in (good, None):
        with pytest.raises(ConfigError, match="measured against data, and this model has none: give dataset"):
            difrun.evaluate(alone, samples, n=500)
