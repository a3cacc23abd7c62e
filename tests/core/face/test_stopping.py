"""A user who stops a Python call is heard at its next step."""

import pytest
import torch

import difrun
from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.model import ExactMixture
from difrun.plugin.listener import Listener
from difrun.testing import ReferenceVP

VP = ReferenceVP()
MIXTURE = GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.2, 0.3])
MODEL = ExactMixture(MIXTURE, VP)
X = MIXTURE.sample(60, torch.Generator().manual_seed(0)).double()


class Impatient(Listener):
    """A user who stops the work as soon as some of it is done."""

    def __init__(self):
        self.done = []

    def sample(self, done, total):
        self.done.append((done, total))

    def stopping(self):
        return bool(self.done)


@pytest.mark.parametrize(
    "call",
    [
        lambda heard: difrun.sample(MODEL, 5, listener=heard),
        lambda heard: difrun.invert(MODEL, X, listener=heard),
        lambda heard: difrun.log_likelihood(MODEL, X, steps=3, listener=heard),
        lambda heard: difrun.tune(MODEL, 2, iterations=1, listener=heard),
        lambda heard: difrun.evaluate(MODEL, n=20, listener=heard),
        lambda heard: difrun.compare(MODEL, n=20, listener=heard),
    ],
)
def test_a_user_who_stops_is_heard(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heard = Impatient()
    with pytest.raises(DifrunError, match="Stopped"):
        call(heard)
    assert len(heard.done) == 1
