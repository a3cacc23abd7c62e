"""The training loop against plain references: bit-equal continuation, torch's own Adam, a closed-form optimum."""

import copy
import math
import random

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from difrun.loss import Regression, TimeDistribution
from difrun.model import NetworkModel
from difrun.storage.tensors import read_tensors, write_tensors
from difrun.testing import ReferenceVP
from difrun.training import Trainer
from difrun.training.network_state import restore

from .support import DATA, Net, differing, options, trainer

# ---- continuation


@pytest.mark.parametrize("cut", [37, 64, 71, 149])
@pytest.mark.parametrize("settings", [{}, {"ema": 0.0, "clip": 0.0}], ids=["ema and clip", "plain"])
@pytest.mark.parametrize("net", [{}, {"dropout": 0.3}, {"norm": True}], ids=["mlp", "dropout", "batch norm"])
def test_continuation_is_bit_equal(tmp_path, net, settings, cut):
    """n steps = k steps, a file, another process's objects, n − k steps; within a block of noise and across it."""
    whole = trainer(Net(**net), **settings)
    whole.run()
    first = trainer(Net(**net), **settings)
    assert 1 < first.batches.steps < 71 < whole.options.steps
    first.run(stopping=lambda: first.step == cut)
    assert first.stopped
    assert first.step == cut
    write_tensors(tmp_path / "state.safetensors", first.state())
    second = trainer(Net(seed=99, **net), **settings)
    second.load(read_tensors(tmp_path / "state.safetensors")[0])
    second.run()
    assert not second.stopped
    assert differing(whole.state(), second.state()) == []
    assert len(whole.losses) == whole.step == 150
    assert ("ema.layers.0.weight" in whole.state()) == (whole.options.ema > 0)


def test_training_depends_on_the_seed():
    one, other = trainer(Net()), trainer(Net())
    other = Trainer(other.model, other.loss, DATA, other.options, seed=12)
    one.run()
    other.run()
    assert differing(one.state(), other.state())


def test_finish_gives_the_average_and_training_goes_on_from_the_raw_weights():
    whole, broken = trainer(Net()), trainer(Net())
    whole.run()
    broken.run(stopping=lambda: broken.step == 60)
    raw = copy.deepcopy(broken.network.state_dict())
    before = broken.state()
    broken.finish()
    broken.finish()
    state = broken.state()
    assert differing(before, state) == []
    for name, weights in broken.network.state_dict().items():
        assert torch.equal(weights, state[f"ema.{name}"])
        assert torch.equal(raw[name], state[f"network.{name}"])
        assert not torch.equal(weights, raw[name])
    sampled = Net(seed=7)
    restore(sampled, state)
    assert all(
        torch.equal(a, b) for a, b in zip(sampled.parameters(), broken.network.parameters(), strict=True)
    )
    assert not sampled.training
    broken.run()
    assert differing(whole.state(), broken.state()) == []


def test_restore_takes_raw_weights_where_there_is_no_average():
    plain = trainer(Net(), ema=0.0)
    plain.run()
    plain.finish()
    network = Net(seed=3)
    restore(network, plain.state())
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), plain.network.parameters(), strict=True)
    )


# ---- against plain references


def test_equals_adamw_with_clipping_and_averaging_per_parameter():
    """The same batches through torch.optim.AdamW, clip_grad_norm_ and an average per parameter, in float64."""
    ours = trainer(Net().double(), DATA.double(), clip=0.6, ema=0.9, steps=80, warmup=7)
    network = copy.deepcopy(ours.network)
    parameters = list(network.parameters())
    adam = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.99), weight_decay=0.0)
    average = [p.detach().clone() for p in parameters]
    model = NetworkModel(network, ReferenceVP(), (2,), predicts="noise", scaled=False)
    losses, norms = [], []
    for k in range(80):
        for group in adam.param_groups:
            group["lr"] = 3e-3 * min(1, (k + 1) / 7) * (0.5 + 0.5 * math.cos(math.pi * k / 80))
        adam.zero_grad()
        loss = ours.loss.evaluate(model, ours.batches[k]).mean()
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(parameters, 0.6)))
        adam.step()
        losses.append(loss.item())
        decay = min(0.9, (2 + k) / (11 + k))
        for mean, p in zip(average, parameters, strict=True):
            mean.mul_(decay).add_(p.detach(), alpha=1 - decay)
    assert min(norms) < 0.6 < max(norms), "the clipping must act at some steps and not at others"
    ours.run()
    torch.testing.assert_close(ours.losses, torch.tensor(losses), rtol=1e-6, atol=0)
    for p, q in zip(ours.network.parameters(), parameters, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    ours.finish()
    for p, q in zip(ours.network.parameters(), average, strict=True):
        torch.testing.assert_close(p.detach(), q, rtol=0, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_is_that_of_the_mean_loss(weighted):
    """The flat gradient of a step against autograd on every parameter of an untouched network."""
    loss = Regression("score", lambda at, data_std: at.var**2) if weighted else Regression("noise")
    ours = trainer(Net(), loss=loss, clip=0.0)
    network = copy.deepcopy(ours.network)
    model = NetworkModel(network, ReferenceVP(), (2,), predicts="noise", scaled=False)
    ours.run(stopping=lambda: ours.step == 1)
    value = loss.evaluate(model, ours.batches[0]).mean()
    expected = torch.autograd.grad(value, list(network.parameters()))
    found = list(ours.flat.views(ours.flat.gradient).values())
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)
    assert float(ours.losses[0]) == pytest.approx(value.item(), rel=1e-5)


@attrs.frozen
class At(TimeDistribution):
    """One time."""

    t: float

    def quantile(self, process, u: Tensor) -> Tensor:
        return torch.full_like(u, self.t)


class Line(nn.Module):
    """w x + b."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.w * x + self.b


@pytest.mark.parametrize("t", [0.2, 1.0])
def test_reaches_the_posterior_mean_of_gaussian_data(t):
    """For data N(m, v): E[x_0 | x_t] = m + α v/(α² v + σ²)·(x_t − α m), a line, here within 5 standard errors.

    A least-squares line through n pairs has the standard error √(r/(n u)) in its slope, where r = v σ²/u is the
    variance left over and u = α² v + σ² that of x_t; in its value at the mean √(r/n). n: the average with decay d
    remembers (1 + d)/(1 − d) batches at a constant rate, and more as the rate falls to zero.
    """
    m, v, d, batch = 0.7, 0.6, 0.99, 128
    data = torch.randn((4000, 1), generator=torch.Generator().manual_seed(1))
    data = m + math.sqrt(v) * (data - data.mean()) / data.std(correction=0)
    model = NetworkModel(Line(), ReferenceVP(), (1,), predicts="x0", scaled=False)
    settings = options(steps=1500, batch=batch, lr=0.02, ema=d)
    ours = Trainer(model, Regression("x0", times=At(t)), data, settings, seed=2)
    ours.run()
    ours.finish()
    alpha, var = math.exp(-t), -math.expm1(-2 * t)
    u = alpha**2 * v + var
    error = math.sqrt(v * var / u / (batch * (1 + d) / (1 - d)))
    slope, offset = ours.network.w.item(), ours.network.b.item()
    assert slope == pytest.approx(alpha * v / u, abs=5 * error / math.sqrt(u))
    assert slope * alpha * m + offset == pytest.approx(m, abs=5 * error)
    # The loss that is left over is the posterior variance; 5 standard errors of the mean of the last 500 losses.
    left = ours.losses[-500:]
    assert float(left.mean()) == pytest.approx(v * var / u, abs=5 * float(left.std()) / math.sqrt(500))


# ---- global state


def test_global_randomness_is_untouched_even_with_dropout():
    torch.manual_seed(3)
    random.seed(3)
    legacy = np.random.mtrand._rand  # NumPy's global generator
    before = torch.random.get_rng_state(), legacy.get_state()[1].tolist(), random.getstate()
    ours = trainer(Net(dropout=0.5))
    ours.run(stopping=lambda: ours.step == 30)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == legacy.get_state()[1].tolist()
    assert before[2] == random.getstate()
    torch.manual_seed(4)
    other = trainer(Net(dropout=0.5))
    other.run(stopping=lambda: other.step == 30)
    assert differing(ours.state(), other.state()) == []


def test_dropout_differs_from_step_to_step():
    class Watch(nn.Dropout):
        masks: list[Tensor] = []  # noqa: RUF012

        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(torch.ones_like(x))
            self.masks.append(y.detach() == 0)
            return x * y

    net = Net()
    net.layers[3] = Watch(0.5)
    ours = trainer(net)
    ours.run(stopping=lambda: ours.step == 20)
    masks = torch.stack(Watch.masks)
    assert len({mask.numpy().tobytes() for mask in masks}) == 20
    n = masks.numel()
    assert float(masks.float().mean()) == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(n))
