"""Networks written in other conventions: the exact denoiser of a mixture, wrapped, is the exact model again."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import difrun
from difrun.analysis import log_likelihood
from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.guidance import classifier_free
from difrun.model import ExactMixture
from difrun.process.tabulated import TabulatedProcess
from difrun.sampler import Adams, Heun, generate
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP, two_classes

CHAIN = TabulatedProcess.from_betas(np.linspace(1e-4, 0.02, 1000))
MIXTURE = GaussianMixture([0.3, 0.7], [[-1.0, 0.3], [1.2, 0.8]], [0.05, 0.1])
MODELS = {p: ExactMixture(MIXTURE, p) for p in (CHAIN, ReferenceVP(), ReferenceVE(), ReferenceFlow())}
VP, VE, FLOW = list(MODELS)[1:]
DATA = MIXTURE.sample(400, torch.Generator().manual_seed(0)).float()


def exact(process, kind, time_of, factor=None):
    """A network F(x, time) that computes the exact prediction: `time_of` turns its time into t, `factor` is c_in."""

    def network(x, time):
        assert time.shape == (len(x),)
        t = time_of(time.double()).clamp(0, process.horizon)
        at = process.at(t, 2)
        if factor is not None:
            x = x / factor(at)
        if isinstance(kind, str):
            return MODELS[process].predict(x.double(), at, kind).to(x.dtype)
        return kind(x.double(), at).to(x.dtype)

    return network


def karras(x, at):
    """F of Karras et al., table 1, with σ_d = 0.5: (D − c_skip x)/c_out."""
    total = (at.sigma**2 + 0.25).sqrt()
    denoised = MODELS[VE].predict(x, at, "x0")
    return (denoised - 0.25 / total**2 * x) / (0.5 * at.sigma / total)


SMALL = 1e-9


def vp_time(lam):
    """The time of a log-SNR of the process with α = e^−t."""
    return 0.5 * torch.nn.functional.softplus(-2 * lam)


CASES = {
    "noise, index from 0": (CHAIN, exact(CHAIN, "noise", lambda n: n + 1), "noise", "index", {}),
    "v, whole numbers": (CHAIN, exact(CHAIN, "v", lambda n: n + 1), "v", "index", {"integer": True}),
    "x0, t": (VP, exact(VP, "x0", lambda t: t), "x0", "t", {}),
    "score, 1000 t": (VP, exact(VP, "score", lambda t: t / 1000), "score", lambda at: 1000 * at.t, {}),
    "v, log-snr": (VP, exact(VP, "v", vp_time), "v", "log-snr", {}),
    "noise, c-noise": (VP, exact(VP, "noise", lambda c: vp_time(-4 * c)), "noise", "c-noise", {}),
    "noise, sigma": (VE, exact(VE, "noise", lambda s: s), "noise", "sigma", {}),
    "F of EDM": (
        VE,
        exact(VE, karras, lambda c: (4 * c).exp(), lambda at: 1 / (at.sigma**2 + 0.25).sqrt()),
        "edm",
        "c-noise",
        {"input_scale": "edm", "data_std": 0.5},
    ),
    "velocity of a flow, time from noise": (
        FLOW,
        exact(FLOW, lambda x, at: -MODELS[FLOW].predict(x, at, "straight"), lambda t: 1 - t),
        lambda at: (1, -1),
        lambda at: 1 - at.t,
        {},
    ),
}


def wrapped(name, **changes):
    process, network, predicts, time, options = CASES[name]
    return difrun.wrap(network, process, (2,), predicts, time, **{"data": DATA, **options, **changes})


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


class Epsilon(nn.Module):
    """A network in training mode, with dropout and an embedding table, called as (time, x, y)."""

    def __init__(self, wide=False):
        super().__init__()
        self.table = nn.Embedding(1000, 8)
        self.first, self.last = nn.Linear(10, 32), nn.Linear(32, 4 if wide else 2)
        self.dropout = nn.Dropout(0.5)
        self.calls = []

    def forward(self, time, x):
        self.calls.append((self.training, self.dropout.training, self.first.weight.requires_grad))
        return self.last(self.dropout(torch.tanh(self.first(torch.cat([x, self.table(time)], 1)))))


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
    assert classifier_free is not None


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


@pytest.mark.parametrize("name", CASES)
def test_the_right_reading_passes_with_and_without_data(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped(name)
        wrapped(name, data=None, mean=MIXTURE.mean, var=MIXTURE.var)


@pytest.mark.parametrize(
    ("name", "predicts", "time", "suggestion"),
    [
        ("noise, index from 0", "x0", "index", "predicts='noise', time='index'"),
        ("noise, index from 0", "v", "index", "predicts='noise', time='index'"),
        ("noise, index from 0", "noise", lambda at: at.t / 1000, "predicts='noise', time='index'"),
        ("noise, index from 0", "noise", "sigma", "predicts='noise', time='index'"),
        ("v, log-snr", "noise", "log-snr", "predicts='v', time='log-snr'"),
        ("score, 1000 t", "score", "t", "time=lambda at: 1000 . at.t"),
        ("x0, t", "x0", lambda at: 1000 * at.t, "predicts='x0', time='t'"),
        ("noise, sigma", "noise", "c-noise", "predicts='noise', time='(sigma|t)'"),
        ("F of EDM", "noise", "sigma", "predicts='edm', time='c-noise'"),
        (
            "velocity of a flow, time from noise",
            "straight",
            "t",
            "lambda at: .1.0, -1.0., time=lambda at: 1 - at.t",
        ),
    ],
)
def test_a_wrong_reading_is_refused_and_the_right_one_is_named(name, predicts, time, suggestion):
    process, network, _, _, options = CASES[name]
    with pytest.raises(DifrunError, match=suggestion):
        difrun.wrap(network, process, (2,), predicts, time, data=DATA, **options)


@pytest.mark.parametrize(
    ("name", "predicts", "time", "suggestion"),
    [
        ("noise, index from 0", "x0", "index", "predicts='noise', time='index'"),
        ("noise, index from 0", "noise", lambda at: at.t / 1000, "predicts='noise', time='index'"),
        ("v, log-snr", "noise", "log-snr", "predicts='v', time='log-snr'"),
        ("score, 1000 t", "score", "t", "time=lambda at: 1000 . at.t"),
        ("F of EDM", "noise", "sigma", "predicts='edm', time='sigma'"),
    ],
)
def test_without_data_gross_misfits_are_refused(name, predicts, time, suggestion):
    """There is a suggestion if one change is enough."""
    process, network, _, _, options = CASES[name]
    with pytest.raises(DifrunError, match=f"normal noise in the place of data.*{suggestion}"):
        difrun.wrap(network, process, (2,), predicts, time, mean=MIXTURE.mean, var=MIXTURE.var, **options)


def test_an_untrained_network_and_data_of_another_kind_are_told():
    with pytest.raises(DifrunError, match=r"does not denoise.*No other reading.*is it trained"):
        difrun.wrap(lambda x, t: 3 + x.flip(1).sin() + t[:, None], VP, (2,), "noise", "t", data=DATA)

    def weak(x, t):
        at = VP.at(t, 2)
        linear = at.sigma / (at.alpha**2 * DATA.var(0) + at.var) * (x - at.alpha * DATA.mean(0))
        return linear + 0.45 * torch.sin(7 * x)

    with pytest.warns(UserWarning, match=r"less well than the best linear denoiser: its error is 1\.\d"):
        difrun.wrap(weak, VP, (2,), "noise", "t", data=DATA)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predicts": "epsilon"}, "predicts='epsilon'.*noise"),
        ({"time": "n"}, "time='n'.*index.*lambda"),
        ({"input_scale": "c_in"}, "input_scale='c_in'"),
        ({"arguments": ("x",)}, "called with x, time, each once"),
        ({"arguments": ("x", "time", "label")}, "classes=K"),
        ({"time": lambda at: 3.0}, "must return a tensor"),
        ({"output": lambda out: (out, None)}, r"output=lambda out: out\[0\]"),
        ({"output": lambda out: SimpleNamespace(sample=out)}, "output=lambda out: out.sample"),
        ({"output": lambda out: "x"}, "returned a str"),
        ({"output": lambda out: torch.cat([out, out], 1)}, "learned_variance=True"),
        ({"output": lambda out: out[:, :1]}, r"returned \(256, 1\) for x of shape \(256, 2\)"),
        ({"output": lambda out: out / 0}, "not finite"),
        ({"process": ReferenceVP()}, "not made from a table"),
        ({"data": DATA[:, :1]}, r"data of shape \(400, 1\); expected \(N, 2\)"),
        ({"data": 300 * DATA, "data_range": (-1, 1)}, "data run from .* trained on -1 to 1"),
        ({"data": DATA / 0}, "data must be finite"),
        ({"data": DATA, "labels": [0]}, "labels are given for a network without"),
        ({"classes": 2, "condition_shape": (1,)}, "give one of classes and condition_shape"),
    ],
)
def test_bad_input_is_refused_in_words(changes, message):
    given = {"process": CHAIN, "predicts": "noise", "time": "index", "data": DATA} | changes
    network = exact(CHAIN, "noise", lambda n: n + 1)
    with pytest.raises(DifrunError, match=message):
        difrun.wrap(network, given.pop("process"), (2,), **given)


def test_a_call_that_fails_says_what_it_was_called_with_and_what_works():
    with pytest.raises(
        DifrunError,
        match=r"x float32 \(256, 2\), time float32 \(256,\).*works with arguments=\('time', 'x'\) and integer=True",
    ):
        difrun.wrap(Epsilon(), CHAIN, (2,), data=DATA)
    with pytest.raises(DifrunError, match="works with integer=True"):
        difrun.wrap(Epsilon(), CHAIN, (2,), arguments=("time", "x"), data=DATA)
    with pytest.raises(DifrunError, match=r"failed.*Its arguments are said by"):
        difrun.wrap(lambda x: x, CHAIN, (2,), data=DATA)


def test_moments_come_from_the_data_or_their_range():
    network = exact(CHAIN, "noise", lambda n: n + 1)
    model = difrun.wrap(network, CHAIN, (2,), data=DATA)
    torch.testing.assert_close(model.mean, DATA.mean(0))
    torch.testing.assert_close(model.var, DATA.var(0, correction=0))
    torch.testing.assert_close(model.cov, torch.cov(DATA.double().T, correction=0))
    ranged = difrun.wrap(network, CHAIN, (2,), data_range=(0, 6), check=False)
    assert (ranged.mean, ranged.var) == (3, 3)
