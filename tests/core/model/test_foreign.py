"""Networks written in other conventions: the exact denoiser of a mixture, wrapped, is the exact model again."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import difrun
from difrun.analysis import log_likelihood
from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import ExactMixture
from difrun.sampler import Adams, Heun, generate
from difrun.testing import two_classes

from .foreign_cases import (
    CASES,
    CHAIN,
    DATA,
    MIXTURE,
    MODELS,
    VP,
    Epsilon,
    wrapped,
)


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_those_of_the_exact_model(name):
    """Every kind, at instants of numbers and of tensors, in float64 to 1e-8 and in float32."""
    model, process = wrapped(name), CASES[name][0]
    reference = MODELS[process]
    times = [1.0, 3.0, 250.0, 900.0] if process is CHAIN else [0.01, 0.3, 0.6, 0.97]
    times = times if process is CHAIN else [t * process.horizon for t in times]
    noise = torch.randn(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for t in times:
        at = process.at(t)
        x = process.diffuse(DATA.double(), noise, at)
        for kind in ("x0", "noise", "score", "straight"):
            right = reference.predict(x, at, kind)
            scale = float(right.abs().max())
            torch.testing.assert_close(model.predict(x, at, kind), right, rtol=1e-8, atol=1e-8 * scale)
        in_float32 = model.predict(x.float(), at, "straight")
        assert in_float32.dtype == torch.float32
        right = reference.predict(x, at, "straight").float()
        torch.testing.assert_close(in_float32, right, rtol=1e-2, atol=1e-2)
    at = process.at(torch.tensor(times, dtype=torch.float64), 2)
    x = process.diffuse(DATA[:4].double(), noise[:4], at)
    right = reference.predict(x, at, "x0")
    torch.testing.assert_close(model.predict(x, at, "x0"), right, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["noise, index from 0", "v, log-snr", "F of EDM", "velocity of a flow, time from noise"]
)
def test_samples_are_those_of_the_exact_model(name):
    process = CASES[name][0]
    model = wrapped(name, mean=MIXTURE.mean, var=MIXTURE.var)
    model.mean, model.var = MIXTURE.mean, MIXTURE.var  # not rounded to float32
    model.cov = MIXTURE.cov
    grid = logsnr(process, 12)
    for sampler in (Heun(), Adams()):
        pair = [generate(sampler, m, 40, grid, seed=4, dtype=torch.float64) for m in (model, MODELS[process])]
        torch.testing.assert_close(*pair, rtol=1e-6, atol=1e-6)


def test_a_network_is_called_in_evaluation_mode_and_left_as_it_was():
    """Dropout is off, parameters take no gradient, x does, and the modes are restored, also after an error."""
    network = Epsilon()
    network.last.bias.requires_grad_(False)
    model = difrun.wrap(network, CHAIN, (2,), integer=True, arguments=("time", "x"), check=False)
    x = torch.randn(5, 2, requires_grad=True)
    one, two = (model.predict(x, CHAIN.at(500.0), "x0") for _ in range(2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(one.sum(), x)
    assert gradient.abs().min() > 0
    assert network.calls == [(False, False, False)] * 2
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training
    assert network.dropout.training
    assert network.first.weight.requires_grad
    assert not network.last.bias.requires_grad
    with pytest.raises(IndexError):
        difrun.wrap(
            network,
            CHAIN,
            (2,),
            time=lambda at: at.t + 5000,
            integer=True,
            arguments=("time", "x"),
            check=False,
        ).predict(x, CHAIN.at(500.0), "x0")
    assert network.training
    assert network.first.weight.requires_grad


def test_what_a_network_is_called_with():
    """Keywords, fixed keywords, whole numbers, another format, an output object and a learned variance."""
    seen = {}

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))

        def forward(self, sample, timestep, class_labels, style):
            seen.update(sample=sample, timestep=timestep, class_labels=class_labels, style=style)
            return SimpleNamespace(sample=torch.cat([sample * self.weight, 7 + sample], 1))

    model = difrun.wrap(
        Half(),
        CHAIN,
        (3, 4),
        "x0",
        arguments={"sample": "x", "timestep": "time", "class_labels": "label"},
        keywords={"style": "plain"},
        output=lambda out: out.sample,
        learned_variance=True,
        integer=True,
        classes=5,
        null=5,
        check=False,
    )
    x = torch.randn(2, 3, 4)
    prediction = model.condition_on(torch.tensor([3, -1])).predict(x, CHAIN.at(17.4), "x0")
    torch.testing.assert_close(prediction, x, rtol=1e-2, atol=1e-2)
    assert prediction.dtype == torch.float32
    assert seen["sample"].dtype == torch.bfloat16
    assert seen["timestep"].tolist() == [16, 16]
    assert seen["timestep"].dtype == torch.int64
    assert seen["class_labels"].tolist() == [3, 5]
    assert seen["style"] == "plain"
    assert model.predict(x, CHAIN.at(0.2), "x0") is not None
    assert seen["timestep"].tolist() == [0, 0]
    assert seen["class_labels"].tolist() == [5, 5]


def test_classes_and_guidance_without_a_classifier():
    """An exact network of four components in two classes, wrapped with a null label, is guided as the exact model."""
    mixture, labels = two_classes()
    reference = ExactMixture(mixture, VP, labels)

    def network(x, t, y):
        return reference.condition_on(torch.where(y == 9, -1, y)).predict(x, VP.at(t, 2), "noise")

    model = difrun.wrap(
        network, VP, (2,), "noise", "t", classes=2, null=9, mean=mixture.mean, var=mixture.var, data=None
    )
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    rows = torch.tensor([0, 1, 1, 0, 1, 0])
    guided = [
        VP.extrapolate(m, rows, lambda at: 2.5).predict(x, VP.at(0.4), "score") for m in (model, reference)
    ]
    torch.testing.assert_close(*guided, rtol=1e-9, atol=1e-9)
    assert model.knows_any
    alone = difrun.wrap(network, VP, (2,), "noise", "t", classes=(0.5, 0.5), check=False)
    assert not alone.knows_any
    with pytest.raises(DifrunError, match="predicts for a given class alone"):
        alone.predict(x, VP.at(0.4), "x0")


def test_a_condition_is_passed_on_and_its_null_stands_for_none():
    def network(x, t, c):
        return x * c[:, :1]

    model = difrun.wrap(network, VP, (2,), "x0", "t", condition_shape=(3,), null=0.5, check=False)
    x = torch.ones(2, 2)
    given = torch.tensor([[2.0, 0.0, 0.0], [math.nan] * 3])
    assert model.condition_on(given).predict(x, VP.at(1.0), "x0").tolist() == [[2, 2], [0.5, 0.5]]
    with pytest.raises(DifrunError, match=r"this model takes \(n, 3\)"):
        model.condition_on(torch.zeros(2, 4))


def test_the_likelihood_differentiates_through_the_network():
    model = wrapped("x0, t", mean=MIXTURE.mean, var=MIXTURE.var)
    x = DATA[:20].double()
    mine, right = (log_likelihood(m, x, steps=20).nats for m in (model, MODELS[VP]))
    torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-5)
