"""Prediction kinds by brute force, and networks as models."""

import itertools
import math

import pytest
import torch

from difrun.errors import DifrunError
from difrun.model import (
    PARAMETERISATIONS,
    PREDICTIONS,
    ExactMixture,
    NetworkModel,
    TrainableModel,
    conversion,
)
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP, two_gaussians


class Centred(ReferenceVP):
    centre = (1.0, -2.0)


PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE(), "centred": Centred()}
X0 = torch.tensor([[-1.7, 0.9], [0.4, 2.2]], dtype=torch.float64)
NOISE = torch.tensor([[0.3, -1.2], [2.1, 0.7]], dtype=torch.float64)


def definitions(at, x0, noise, data_std):
    """Every kind written out from its definition."""
    x = at.alpha * x0 + at.sigma * noise
    total = math.sqrt(at.alpha**2 * data_std**2 + at.sigma**2)
    skip = (
        at.alpha * data_std**2 / total**2
    )  # E[x0 | x] for Gaussian data; c_skip of Karras et al. where α = 1
    return {
        "x0": x0,
        "noise": noise,
        "score": -(x - at.alpha * x0) / at.sigma**2,
        "velocity": at.d_alpha * x0 + at.d_sigma * noise,
        "straight": noise - x0,
        "v": at.alpha * noise - at.sigma * x0,
        "edm": (x0 - skip * x) / (at.sigma * data_std / total),
    }


@pytest.mark.parametrize("data_std", [1.0, 0.4])
@pytest.mark.parametrize("name", ["vp", "ve"])
@pytest.mark.parametrize("t", [0.01, 0.6, 3.0])
def test_every_kind_converts_to_every_other(name, t, data_std):
    process = PROCESSES[name]
    at = process.at(t)
    x = at.alpha * X0 + at.sigma * NOISE
    truth = definitions(at, X0, NOISE, data_std)
    assert set(truth) == set(PARAMETERISATIONS)
    for source, target in itertools.product(PREDICTIONS, PREDICTIONS):
        got = process.convert(truth[source], x, at, source, target)
        torch.testing.assert_close(got, truth[target], rtol=1e-9, atol=1e-9, msg=f"{source} to {target}")
    for target in PREDICTIONS:
        p, q = conversion(at, "edm", target, data_std)
        torch.testing.assert_close(p * x + q * truth["edm"], truth[target], rtol=1e-9, atol=1e-9, msg=target)


def test_velocity_is_the_time_derivative_along_a_path():
    """dx/dt of x = α x_0 + σ ε, by central differences."""
    for process in (ReferenceVP(), ReferenceVE()):
        before, at, after = process.instants([0.7 - 1e-5, 0.7, 0.7 + 1e-5])
        there = [i.alpha * X0 + i.sigma * NOISE for i in (before, after)]
        got = process.convert(X0, at.alpha * X0 + at.sigma * NOISE, at, "x0", "velocity")
        torch.testing.assert_close(got, (there[1] - there[0]) / 2e-5, rtol=1e-8, atol=1e-8)


def test_preconditioning_is_that_of_karras():
    """With α = 1: c_skip = σ_d²/(σ² + σ_d²), c_out = σ σ_d/√(σ² + σ_d²) (arXiv 2206.00364, table 1)."""
    for sigma, data_std in ((0.002, 0.5), (1.3, 0.5), (20.0, 1.2)):
        skip, out = conversion(ReferenceVE().at(sigma), "edm", "x0", data_std)
        total = sigma**2 + data_std**2
        assert skip == pytest.approx(data_std**2 / total, rel=1e-12)
        assert out == pytest.approx(sigma * data_std / math.sqrt(total), rel=1e-12)


def test_what_does_not_follow_is_an_error_in_words():
    """At α = 0 only noise and score come from the noise; at σ = 0 only x0 comes from x0."""
    process = ReferenceFlow()
    last, first = process.at(1.0), process.at(0.0)
    assert conversion(last, "noise", "score") == (0.0, -1.0)
    assert conversion(first, "x0", "x0") == (0.0, 1.0)
    assert conversion(last, "v", "x0") == pytest.approx((0.0, -1.0))
    for at, source, target, message in (
        (
            last,
            "noise",
            "x0",
            r"t = 1 nothing of the data is left \(α = 0\), and x0 does not follow from noise",
        ),
        (
            last,
            "score",
            "v",
            r"t = 1 nothing of the data is left \(α = 0\), and v does not follow from score",
        ),
        (first, "x0", "noise", r"t = 0 there is no noise \(σ = 0\), and noise does not follow from x0"),
    ):
        with pytest.raises(DifrunError, match=message):
            conversion(at, source, target)


@pytest.mark.parametrize("predicts", ["noise", "score"])
def test_a_noise_predictor_says_the_mean_where_nothing_is_left(predicts):
    """At T it answers x̂_0 = m and ε̂ = (x − E[x_T])/σ, whatever the network does, and is not trained on x̂_0 there."""
    process = ReferenceFlow()
    model = network_model(process, predicts, True)
    for at in (process.at(1.0), process.at(torch.ones(2, dtype=torch.float64), 2)):
        torch.testing.assert_close(model.predict(X0, at, "x0"), model.mean.double().expand(2, 2))
        torch.testing.assert_close(model.predict(X0, at, "straight"), X0 - model.mean)
        assert model.network.level.tolist() == pytest.approx([5 / 4] * len(model.network.level))
    assert (model.regression(X0, X0, NOISE, at, "x0")["gain"] == 0).all()
    assert (model.regression(X0, X0, NOISE, at, "noise")["gain"].abs() == 1).all()


@pytest.mark.parametrize("scaled", [True, False])
def test_a_network_predicts_the_score_in_units_of_its_size(scaled):
    """What it puts out and is trained on is σ∇ log p, of the size of one at every noise level; unscaled, ∇ log p."""
    process = ReferenceVE()
    model = network_model(process, "score", scaled)
    for t in (0.003, 15.0):
        at = process.at(t)
        output = model.network(model._input(model._centred(X0, at), at), model._level(X0, at))
        unit = at.sigma if scaled else 1.0
        torch.testing.assert_close(model.predict(X0, at, "score"), output / unit)
        aim = model.regression(X0, X0, NOISE, process.at(torch.full((2,), t), 2), "score")["target"]
        torch.testing.assert_close(aim, -NOISE if scaled else -NOISE / at.sigma, rtol=1e-6, atol=1e-6)


def test_an_unknown_kind_is_an_error_that_lists_them():
    process = ReferenceVP()
    with pytest.raises(DifrunError, match="no prediction kind 'nose'; there are x0, noise, score"):
        process.convert(X0, X0, process.at(0.5), "x0", "nose")


@pytest.mark.parametrize("predicts", PARAMETERISATIONS)
def test_no_model_can_be_asked_for_edm(predicts):
    """It would mean one thing for a network that predicts it, and another elsewhere."""
    process = ReferenceVP()
    at = process.at(0.5)
    model = network_model(process, predicts, True)
    for ask in (
        lambda: model.predict(X0, at, "edm"),
        lambda: process.convert(X0, X0, at, "edm", "x0"),
        lambda: process.convert(X0, X0, at, "x0", "edm"),
        lambda: process.convert(X0, X0, at, "edm", "edm"),
        lambda: ExactMixture(two_gaussians(), process).predict(X0, at, "edm"),
        lambda: TrainableModel.regression(model, X0, X0, NOISE, at, "edm"),
    ):
        with pytest.raises(DifrunError, match=r"edm is what a network predicts.*ask for one of x0, noise"):
            ask()
    with pytest.raises(DifrunError, match=r"a network cannot predict 'nose'; choose one of x0, .*edm"):
        network_model(process, "nose", True)


class Probe(torch.nn.Module):
    """A fixed function of input and level, which keeps what it was given."""

    def forward(self, x, level):
        self.input, self.level = x, level
        return torch.sin(3 * x) + level.reshape(-1, 1) * torch.ones_like(x)


def network_model(process, predicts, scaled):
    mean, var = torch.tensor([0.25, -0.5]), torch.tensor([0.5, 1.5])  # exact in float32
    return NetworkModel(Probe(), process, (2,), predicts=predicts, mean=mean, var=var, scaled=scaled)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("predicts", PARAMETERISATIONS)
@pytest.mark.parametrize("name", list(PROCESSES))
def test_all_kinds_of_a_network_come_from_one_pair(name, predicts, scaled):
    """x = μ + α(x̂_0 − μ) + σε̂, and every kind is that of the pair; for a number and for a batch of times."""
    process = PROCESSES[name]
    model = network_model(process, predicts, scaled)
    for t in (0.01, 0.7, 3.0):
        at = process.at(t)
        centre = process.centre_like(X0)
        x = process.diffuse(X0, NOISE, at)
        x0, noise = model.predict(x, at, "x0"), model.predict(x, at, "noise")
        torch.testing.assert_close(
            centre + at.alpha * (x0 - centre) + at.sigma * noise, x, rtol=1e-6, atol=1e-6
        )
        batch = process.at(torch.tensor([t, t], dtype=torch.float64), 2)
        for kind in ("score", "velocity", "v", "straight", "x0", "noise"):
            got = model.predict(x, at, kind)
            scale = got.abs().max()
            expected = process.convert(x0, x, at, "x0", kind)
            assert (got - expected).abs().max() < 2e-5 * scale / min(1.0, at.sigma), kind
            torch.testing.assert_close(model.predict(x, batch, kind), got, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("predicts", PARAMETERISATIONS)
def test_a_scaled_network_sees_unit_variance_and_a_level(predicts):
    """c_in y has variance 1 for Gaussian data of the declared moments, and c_noise = ¼ ln(σ/α)."""
    process = Centred()
    model = network_model(process, predicts, scaled=True)
    data = model.mean + torch.randn(40000, 2, generator=torch.Generator().manual_seed(1))  # σ_d = 1 here
    for t in (0.01, 0.7, 3.0):
        x = process.sample(data, t, 2)
        at = process.at(t)
        model.predict(x, at, "x0")
        assert (model.network.input.mean(0)).abs().max() < 5 / 40000**0.5
        assert (model.network.input.var(0) - 1).abs().max() < 5 * (2 / 40000) ** 0.5
        assert model.network.level.item() == pytest.approx(0.25 * math.log(at.sigma / at.alpha), rel=1e-6)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("predicts", PARAMETERISATIONS)
@pytest.mark.parametrize("kind", ["x0", "noise", "score", "velocity", "v", "straight"])
def test_regression_is_the_error_of_the_kind(kind, predicts, scaled):
    """gain · residual = prediction of the kind − its truth, for training examples at their own times."""
    process = Centred()
    model = network_model(process, predicts, scaled)
    at = process.at(torch.tensor([0.3, 1.2], dtype=torch.float64), 2)
    x = process.diffuse(X0, NOISE, at)
    examples = model.regression(x, X0, NOISE, at, kind)
    error = examples["gain"] * model.residual(examples, kind)
    a, b = PREDICTIONS[kind](at)
    truth = X0 if kind == "x0" else a * (X0 - process.centre_like(X0)) + b * NOISE
    torch.testing.assert_close(error, model.predict(x, at, kind) - truth, rtol=1e-6, atol=1e-6)


def test_regression_of_any_model_is_the_error_of_the_kind():
    process = Centred()

    class Zero(TrainableModel):
        def forward(self, x, at):
            return torch.zeros_like(x)

    model = Zero()
    model.process = process
    at = process.at(torch.tensor([0.3, 1.2], dtype=torch.float64), 2)
    x = process.diffuse(X0, NOISE, at)
    for kind in PREDICTIONS:
        examples = model.regression(x, X0, NOISE, at, kind)
        a, b = PREDICTIONS[kind](at)
        truth = X0 if kind == "x0" else a * (X0 - process.centre_like(X0)) + b * NOISE
        torch.testing.assert_close(model.residual(examples, kind), model.predict(x, at, kind) - truth)
        assert examples["gain"] == 1
