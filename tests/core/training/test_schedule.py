"""The learning rate by hand: warm-up, cosine, restarts; and training that begins with earlier weights."""

import math

import pytest
import torch

from difrun.config.run_options import TrainOptions
from difrun.errors import DifrunError
from difrun.training.schedule import learning_rate

from .support import Net, trainer


def half_cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * share))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.1),  # the first of ten warm-up steps
        (9, half_cosine(9 / 40)),
        (20, half_cosine(20 / 40)),
        (39, half_cosine(39 / 40)),
        (40, 0.1),  # begun anew, warm-up included
        (45, 0.6 * half_cosine(5 / 60)),
        (70, half_cosine(30 / 60)),
        (99, half_cosine(59 / 60)),
        (100, 0.1),
        (150, half_cosine(50 / 100)),
    ],
)
def test_every_restart_begins_a_schedule_of_its_own(step, expected):
    options = TrainOptions(steps=200, lr=3e-3, warmup=10, restarts=(40, 100))
    assert learning_rate(options, step, 0.0) == pytest.approx(3e-3 * expected, rel=1e-12)


def test_until_a_restart_the_schedule_is_that_of_the_shorter_training():
    short, long = TrainOptions(steps=40), TrainOptions(steps=100, restarts=(40,))
    assert [learning_rate(short, k, 0.0) for k in range(40)] == [
        learning_rate(long, k, 0.0) for k in range(40)
    ]


@pytest.mark.parametrize("restarts", [(0,), (-3,), (40, 40), (50, 40)])
def test_restarts_increase_from_above_zero(restarts):
    with pytest.raises(ValueError, match="increasing numbers of steps, above 0"):
        TrainOptions(restarts=restarts)


@pytest.mark.parametrize("average", [{}, {"ema": 0.0}], ids=["averaged", "not averaged"])
def test_training_begins_with_the_weights_for_sampling_of_another(average):
    earlier = trainer(Net(), **average)
    earlier.run()
    state = earlier.state()
    earlier.finish()
    later = trainer(Net(seed=5), **average)
    later.start_from(state)
    for mine, theirs in zip(later.network.parameters(), earlier.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert later.step == 0
    if later.adam.average is not None:
        assert torch.equal(later.adam.average, later.flat.weights)
        assert not torch.equal(later.adam.average, torch.cat([w.flatten() for w in Net(seed=5).parameters()]))


def test_weights_of_another_network_are_refused():
    earlier = trainer(Net())
    state = {name: tensor for name, tensor in earlier.state().items() if not name.endswith("bias")}
    with pytest.raises(DifrunError, match="does not fit this network"):
        trainer(Net()).start_from(state)
