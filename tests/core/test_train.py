"""The training loop against plain references: bit-equal continuation, torch's own Adam, a closed-form optimum."""

import copy
import itertools
import math
import random

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from difrun import checkpoint, train
from difrun.config import TrainOptions
from difrun.errors import DifrunError
from difrun.gaussian import GaussianProcess
from difrun.loss import Loss, Regression
from difrun.model import NetworkModel
from difrun.times import TimeLaw
from difrun.train import Trainer, restore


class OU(GaussianProcess):
    """dx = −x dt + √2 dw: α = exp(−t), σ² = 1 − exp(−2t)."""

    horizon = 4.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return -t

    def variance(self, t: Tensor) -> Tensor:
        return -torch.expm1(-2 * t)


class Net(nn.Module):
    """A small network whose layers are of several kinds: dropout draws numbers, batch norm keeps buffers."""

    def __init__(self, seed: int = 0, dropout: float = 0.0, norm: bool = False):
        super().__init__()
        state = torch.random.get_rng_state()
        torch.manual_seed(seed)
        hidden = nn.BatchNorm1d(16) if norm else nn.Identity()
        self.layers = nn.Sequential(
            nn.Linear(3, 16),
            hidden,
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(16, 16),
            nn.SiLU(),
            nn.Linear(16, 2),
        )
        torch.random.set_rng_state(state)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.layers(torch.cat((x, level.expand(len(x))[:, None]), dim=1))


DATA = torch.randn((300, 2), generator=torch.Generator().manual_seed(5))


def options(**given) -> TrainOptions:
    return attrs.evolve(TrainOptions(steps=150, batch=8, lr=3e-3, warmup=10, ema=0.99, clip=1.0), **given)


def trainer(
    network: nn.Module, data: Tensor = DATA, *, loss: Loss | None = None, note=None, **given
) -> Trainer:
    model = NetworkModel(network, OU(), tuple(data.shape[1:]), predicts="noise", scaled=False)
    return Trainer(model, loss or Regression("noise"), data, options(**given), seed=11, note=note)


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """Names of tensors that are not equal bit for bit; the clock aside."""
    return [
        name
        for name in sorted(a.keys() | b.keys())
        if name != "seconds" and not torch.equal(a[name], b[name])
    ]


# ---- continuation


@pytest.mark.parametrize("cut", [37, 64, 71, 149])
@pytest.mark.parametrize("given", [{}, {"ema": 0.0, "clip": 0.0}], ids=["ema and clip", "plain"])
@pytest.mark.parametrize("net", [{}, {"dropout": 0.3}, {"norm": True}], ids=["mlp", "dropout", "batch norm"])
def test_continuation_is_bit_equal(tmp_path, net, given, cut):
    """n steps = k steps, a file, another process's objects, n − k steps; within a block of noise and across it."""
    whole = trainer(Net(**net), **given)
    whole.run()
    first = trainer(Net(**net), **given)
    assert 1 < first.batches.steps < 71 < whole.options.steps
    first.run(stopping=lambda: first.step == cut)
    assert first.stopped
    assert first.step == cut
    checkpoint.write(tmp_path / "state.safetensors", first.state())
    second = trainer(Net(seed=99, **net), **given)
    second.load(checkpoint.read(tmp_path / "state.safetensors")[0])
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
    model = NetworkModel(network, OU(), (2,), predicts="noise", scaled=False)
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
    model = NetworkModel(network, OU(), (2,), predicts="noise", scaled=False)
    ours.run(stopping=lambda: ours.step == 1)
    value = loss.evaluate(model, ours.batches[0]).mean()
    expected = torch.autograd.grad(value, list(network.parameters()))
    found = list(ours.flat.views(ours.flat.gradient).values())
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)
    assert float(ours.losses[0]) == pytest.approx(value.item(), rel=1e-5)


@attrs.frozen
class At(TimeLaw):
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
    model = NetworkModel(Line(), OU(), (1,), predicts="x0", scaled=False)
    given = options(steps=1500, batch=batch, lr=0.02, ema=d)
    ours = Trainer(model, Regression("x0", times=At(t)), data, given, seed=2)
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


# ---- order of the data


@pytest.mark.parametrize("n", [1, 7, 300, 5000])
def test_every_epoch_is_a_permutation(n):
    ours = trainer(Net(), torch.zeros(n, 2))
    rows = ours.batches.order(0, 3 * n)
    for epoch in rows.split(n):
        assert epoch.sort().values.equal(torch.arange(n))
    if n > 7:
        assert not torch.equal(rows[:n], rows[n : 2 * n])
    # Any stretch is the same, wherever one starts to ask.
    again = trainer(Net(), torch.zeros(n, 2)).batches.order(n + n // 2, 2 * n + n // 3)
    assert again.equal(rows[n + n // 2 : 2 * n + n // 3])


def test_batches_hold_the_examples_in_that_order():
    """x_t = α x_0 + σ ε, and the target is ε: so x_0 can be told from what the network gets."""
    ours = trainer(Net())
    for k in (0, 1, 63, 64, 100):
        batch = ours.batches[k]
        sigma_over_alpha = torch.exp(4 * batch["level"])[:, None]  # the level is ¼ ln(σ/α)
        alpha = (1 + sigma_over_alpha**2) ** -0.5
        x0 = batch["input"] / alpha - sigma_over_alpha * batch["target"]
        wanted = DATA[ours.batches.order(8 * k, 8 * k + 8)]
        clear = (sigma_over_alpha < 10).squeeze(1)
        assert int(clear.sum()) >= 4
        torch.testing.assert_close(x0[clear], wanted[clear], rtol=1e-3, atol=1e-4)


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


# ---- things that go wrong


def test_non_finite_loss_keeps_the_last_good_state():
    """One poisoned example: the message names the step that met it, and the state is that of the check before."""
    clean = trainer(Net())
    clean.run(stopping=lambda: clean.step == 100)
    data = DATA.repeat(3, 1)
    ours = trainer(Net(), data)
    bad = int(ours.batches.order(8 * 107, 8 * 107 + 1))
    data[bad] = math.nan
    first = int((ours.batches.order(0, 1200) == bad).nonzero()[0]) // 8 + 1
    assert 100 < first <= 108
    ours = trainer(Net(), data)
    with pytest.raises(DifrunError, match=rf"step {first}; .* step 100\b.*--train.lr .*0.003.*--train.clip"):
        ours.run()
    same = trainer(Net(), DATA.repeat(3, 1))
    same.run(stopping=lambda: same.step == 100)
    assert ours.step == 100
    assert differing(ours.state(), same.state()) == []
    assert all(tensor.isfinite().all() for tensor in ours.state().values())
    assert not ours.network.training


def test_weights_that_overflow_are_noticed():
    """The loss of the last step is still finite; the update after it is not."""

    class Steep(Loss):
        def draw(self, model, x0, generator):
            return {"x": x0}

        def evaluate(self, model, examples):
            total = sum(p.sum() for p in model.network.parameters())
            return total.expand(len(examples["x"]))

    ours = trainer(Net(), loss=Steep(), lr=math.inf, steps=1)
    before = ours.flat.weights.clone()
    with pytest.raises(
        DifrunError, match=r"weights became NaN or infinite at step 1; kept are the weights of step 0"
    ):
        ours.run()
    assert torch.equal(ours.flat.weights, before)


def test_a_failed_save_is_told_and_costs_nothing():
    undisturbed, ours = trainer(Net()), None
    undisturbed.run()
    notes: list[str] = []
    ours = trainer(Net(), note=notes.append)
    tried: list[int] = []

    def save(this: Trainer) -> None:
        tried.append(this.step)
        if this.step == 40:
            raise OSError(28, "No space left on device")
        if this.step == 80:
            raise DifrunError("the disk is full")

    ours.run(save=save, save_steps=40)
    assert tried == [40, 80, 120]
    assert "step 40" in notes[0]
    assert "No space left on device" in notes[0]
    assert "the disk is full" in notes[1]
    assert len(notes) == 2
    assert differing(undisturbed.state(), ours.state()) == []


def test_saves_by_the_clock(monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr(train.time, "perf_counter", lambda: float(next(now)))  # one second per look
    saved: list[int] = []
    ours = trainer(Net())
    ours.run(save=lambda this: saved.append(this.step), save_minutes=0.5)
    assert saved
    assert all(28 <= b - a <= 30 for a, b in zip([0, *saved], saved, strict=False))


def test_a_bug_in_a_save_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        trainer(Net()).run(save=lambda _: 1 / 0, save_steps=10)


def test_state_of_another_network_is_refused_whole():
    ours = trainer(Net())
    ours.run(stopping=lambda: ours.step == 5)
    state = ours.state()
    other = trainer(Net(norm=True))
    before = other.state()
    with pytest.raises(DifrunError, match=r"does not fit this network.*layers\.1\.bias"):
        other.load(state)
    assert differing(before, other.state()) == []
    wider = {**state, "ema.layers.0.weight": torch.zeros(5, 3)}
    with pytest.raises(DifrunError, match=r"another shape \(ema\.layers\.0\.weight\)"):
        ours.load(wider)
    with pytest.raises(DifrunError, match=r"left over.*\(adam\.mean|left over.*\(ema"):
        trainer(Net(), ema=0.0).load(state)
    with pytest.raises(DifrunError, match="losses"):
        ours.load({name: tensor for name, tensor in state.items() if name != "losses"})


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(DifrunError, match=r"shape \(N, 2\), not \(0, 2\)"):
        trainer(Net(), torch.zeros(0, 2))
    frozen = Net().requires_grad_(False)
    with pytest.raises(DifrunError, match="Net has: none"):
        trainer(frozen)
    mixed = Net()
    mixed.layers[0].double()
    with pytest.raises(DifrunError, match=r"float32 on cpu, torch\.float64 on cpu"):
        trainer(mixed)


def test_frozen_and_tied_parameters():
    """A frozen layer stays as it is; a tied weight is trained as one and saved once."""
    net = Net()
    net.layers[0].requires_grad_(False)
    net.layers[4].weight = nn.Parameter(torch.eye(16))
    net.extra = nn.Linear(16, 16)
    net.extra.weight = net.layers[4].weight
    net.layers.insert(5, net.extra)
    fixed = copy.deepcopy(net.layers[0].state_dict())
    ours = trainer(net)
    ours.run(stopping=lambda: ours.step == 70)
    assert all(torch.equal(a, fixed[name]) for name, a in net.layers[0].state_dict().items())
    assert net.layers[5].weight is net.layers[4].weight
    assert not torch.equal(net.layers[4].weight, torch.eye(16))
    state = ours.state()
    assert (
        sum(name.startswith("network.") and torch.equal(t, net.extra.weight) for name, t in state.items())
        == 1
    )
    assert not any(name.startswith("ema.layers.0.") for name in state)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    resumed = trainer(twin)
    resumed.load(state)
    resumed.run()
    ours.run()
    assert differing(ours.state(), resumed.state()) == []


def test_replaced_parameters_are_taken_up():
    """A network moved or cast between two runs has new tensors; training goes on from their values."""
    ours, same = trainer(Net()), trainer(Net())
    ours.run(stopping=lambda: ours.step == 20)
    for p in ours.network.parameters():
        p.data = p.data.clone()
        p.grad = None
    ours.run()
    same.run()
    assert differing(ours.state(), same.state()) == []


# ---- clock and reports


def test_reports_cover_every_step_once(monkeypatch):
    monkeypatch.setattr(train, "REPORT_SECONDS", 0.0)
    seen: list[tuple] = []
    ours = trainer(Net())
    ours.run(report=lambda *values: seen.append(values))
    assert [step for step, *_ in seen] == list(range(1, 151))
    assert {steps for _, steps, *_ in seen} == {150}
    torch.testing.assert_close(torch.tensor([loss for _, _, loss, *_ in seen]), ours.losses, rtol=0, atol=0)
    rates, left = [row[3] for row in seen], [row[4] for row in seen]
    assert min(rates) > 0
    assert left[-1] == 0
    assert left[74] == pytest.approx(75 / rates[74])
    assert ours.rate == pytest.approx(150 / ours.seconds)


def test_reported_loss_is_the_mean_since_the_last_report(monkeypatch):
    now = iter(range(10**6))
    monkeypatch.setattr(train.time, "perf_counter", lambda: 0.1 * next(now))
    seen: list[tuple] = []
    ours = trainer(Net(), steps=23)
    ours.run(report=lambda *values: seen.append(values))
    ends = [0, *(row[0] for row in seen)]
    assert ends[-1] == 23
    assert len(seen) >= 4
    for (start, end), row in zip(itertools.pairwise(ends), seen, strict=True):
        assert row[2] == pytest.approx(float(ours.losses[start:end].mean()))


def test_history_is_the_mean_of_the_losses():
    ours = trainer(Net(), steps=1300)
    ours.losses = torch.arange(1300.0)
    steps, losses = ours.history
    assert len(steps) == len(losses) <= train.HISTORY_POINTS
    assert steps[-1] == 1300
    widths = torch.diff(steps, prepend=torch.zeros(1, dtype=torch.int64))
    assert float((widths * losses).sum()) == pytest.approx(1300 * 1299 / 2)
    empty = trainer(Net()).history
    assert len(empty[0]) == len(empty[1]) == 0


def test_minutes_end_the_training_with_a_rate_near_zero(monkeypatch):
    """A clock that gains a second per look: 2 minutes are 120 steps, however many were allowed."""
    now = iter(range(10**6))
    monkeypatch.setattr(train.time, "perf_counter", lambda: float(next(now)))
    ours = trainer(Net(), steps=10**6, minutes=2.0)
    rates: list[float] = []
    update = ours.adam.update
    monkeypatch.setattr(ours.adam, "update", lambda k, lr: (rates.append(lr), update(k, lr)))
    ours.run(stopping=lambda: ours.step == 50)
    assert ours.step == 50
    assert ours.seconds == pytest.approx(50)
    state = ours.state()
    resumed = trainer(Net(), steps=10**6, minutes=2.0)
    monkeypatch.setattr(resumed.adam, "update", lambda k, lr: rates.append(lr))
    resumed.load(state)
    resumed.run()
    assert resumed.step == 120
    assert resumed.seconds == pytest.approx(120)
    expected = [3e-3 * min(1, (k + 1) / 10) * (0.5 + 0.5 * math.cos(math.pi * k / 120)) for k in range(120)]
    assert rates == pytest.approx(expected)
    assert rates[-1] < 1e-3 * 3e-3


def test_no_steps_is_no_training():
    ours = trainer(Net(), steps=0)
    before = ours.state()
    ours.run(report=lambda *_: pytest.fail("nothing to report"))
    assert differing(before, ours.state()) == []
    assert ours.rate == 0


def test_blocks_are_bounded_in_memory():
    """Large examples are drawn for few steps at once, and never for none."""
    assert trainer(Net(), batch=8).batches.steps == 64
    assert trainer(Net(), batch=100_000).batches.steps == 10
    assert trainer(Net(), batch=2_000_000).batches.steps == 1
