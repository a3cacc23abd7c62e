"""Training that meets trouble, and what it tells: bad numbers, failed saves, foreign states, clocks and reports."""

import copy
import math

import pytest
import torch
from torch import nn

from difrun.errors import DifrunError
from difrun.loss import Loss
from difrun.training import Trainer
from difrun.training import trainer as trainer_module
from difrun.training.loss_history import HISTORY_POINTS, loss_history

from .support import DATA, Net, differing, trainer


def test_non_finite_loss_keeps_the_last_good_state():
    """One poisoned example: the message names the step that met it, and the state is that of the check before."""
    data = DATA.repeat(3, 1)
    ours = trainer(Net(), data)
    bad = int(ours.batches.order(8 * 107, 8 * 107 + 1))
    data[bad] = math.nan
    first = int((ours.batches.order(0, 1200) == bad).nonzero()[0]) // 8 + 1
    assert 100 < first <= 108
    ours = trainer(Net(), data)
    with pytest.raises(DifrunError, match=rf"step {first}; .* step 100\b.*--train.lr .*0.003.* near 1"):
        ours.run()
    same = trainer(Net(), DATA.repeat(3, 1))
    same.run(stopping=lambda: same.step == 100)
    assert ours.step == 100
    assert differing(ours.state(), same.state()) == []
    assert all(tensor.isfinite().all() for tensor in ours.state().values())
    assert not ours.network.training


@pytest.mark.parametrize(
    ("clip", "advice"),
    [
        (0.0, "(--train.clip 1; now off), "),
        (50.0, "(--train.clip 1; now 50), "),
        (1.0, None),
        (0.2, None),
    ],
)
def test_a_bound_on_the_gradient_is_advised_where_there_is_none(clip, advice):
    ours = trainer(Net(), torch.full_like(DATA, math.nan), clip=clip)
    with pytest.raises(DifrunError) as caught:
        ours.run()
    text = str(caught.value)
    assert advice in text if advice else "--train.clip" not in text


def test_weights_that_overflow_are_noticed(monkeypatch):
    """The loss of the last step is still finite; the update after it is not."""

    class Steep(Loss):
        def draw(self, model, x0, generator):
            return {"x": x0}

        def evaluate(self, model, examples):
            total = sum(p.sum() for p in model.network.parameters())
            return total.expand(len(examples["x"]))

    monkeypatch.setattr(trainer_module, "learning_rate", lambda *_: math.inf)
    ours = trainer(Net(), loss=Steep(), steps=1)
    before = ours.flat.weights.clone()
    with pytest.raises(
        DifrunError, match=r"weights became NaN or infinite at step 1; the weights of step 0 are kept"
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
    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: float(next(now)))  # one second per look
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
    with pytest.raises(DifrunError, match=r"unexpected.*\(adam\.mean|unexpected.*\(ema"):
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
    monkeypatch.setattr(trainer_module, "REPORT_SECONDS", 0.0)
    seen: list[tuple] = []
    ours = trainer(Net())
    ours.run(report=lambda *values: seen.append(values))
    assert [step for step, *_ in seen] == list(range(1, 151))
    assert {steps for _, steps, *_ in seen} == {150}
    rates, left = [row[3] for row in seen], [row[4] for row in seen]
    assert min(rates) > 0
    assert left[-1] == 0
    assert left[74] == pytest.approx(75 / rates[74])
    assert ours.rate == pytest.approx(150 / ours.seconds)


@pytest.mark.parametrize("tick", [0.04, 0.1])
def test_reported_loss_is_the_mean_of_the_last_check_block_whatever_the_clock_says(monkeypatch, tick):
    """Two machines report at different steps; what they say of the last one is the same number."""
    now = iter(range(10**6))
    for clock in ("perf_counter", "monotonic"):
        monkeypatch.setattr(trainer_module.time, clock, lambda: tick * next(now))
    seen: list[tuple] = []
    ours = trainer(Net(), steps=123)
    ours.run(report=lambda *values: seen.append(values))
    assert len(seen) >= 4
    assert seen[-1][0] == 123
    for step, _, loss, *_ in seen:
        assert loss == pytest.approx(float(ours.losses[max(0, step - 50) : step].mean()))


def test_history_is_the_mean_of_the_losses():
    ours = trainer(Net(), steps=1300)
    ours.losses = torch.arange(1300.0)
    steps, losses = loss_history(ours.losses)
    assert len(steps) == len(losses) <= HISTORY_POINTS
    assert steps[-1] == 1300
    widths = torch.diff(steps, prepend=torch.zeros(1, dtype=torch.int64))
    assert float((widths * losses).sum()) == pytest.approx(1300 * 1299 / 2)
    empty = loss_history(trainer(Net()).losses)
    assert len(empty[0]) == len(empty[1]) == 0


def test_minutes_end_the_training_with_a_rate_near_zero(monkeypatch):
    """A clock that gains a second per look: 2 minutes are 120 steps, however many were allowed."""
    now = iter(range(10**6))
    monkeypatch.setattr(trainer_module.time, "perf_counter", lambda: float(next(now)))
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
