"""A process whose states have more coordinates than data: the loop carries states, samples are what is observed."""

from types import SimpleNamespace

import torch

from difrun.data import Dataset
from difrun.data.scene import Scene
from difrun.model import ScoreModel
from difrun.process import ForwardProcess
from difrun.sampler import Sampler, generate


class Paired(ForwardProcess):
    """Every coordinate has a companion, which is −1 at T and grows."""

    horizon, t_min = 1.0, 0.0

    def state_shape(self, shape):
        return (2 * shape[0],)

    def observed(self, x):
        return x[:, : x.shape[1] // 2]

    def at(self, t, ndim=None):
        return SimpleNamespace(t=t)

    def prior(self, shape, *, mean, var, t=None, generator=None, dtype=torch.float32, device="cpu"):
        half = torch.arange(1.0, 1 + shape[0], dtype=dtype)[:, None].expand(shape[0], shape[1] // 2)
        return torch.cat((half + mean.to(dtype), -torch.ones_like(half)), dim=1)

    def path(self, x0, times, generator=None):
        return torch.stack([torch.cat((x0 * (1 + t), torch.zeros_like(x0)), dim=1) for t in times])


class Model(ScoreModel):
    kind = "score"

    def __init__(self):
        self.process, self.shape = Paired(), (2,)
        self.mean, self.var = torch.tensor([10.0, 20.0]), torch.ones(2)

    def forward(self, x, at):
        return -x


class Exchange(Sampler):
    order, evaluations = 1, 0
    seen: list[tuple[int, ...]]

    def __init__(self):
        self.seen = []

    def step(self, model, x, at, to, state, generator):
        self.seen.append(tuple(x.shape))
        data, companion = x.chunk(2, dim=1)
        return torch.cat((data + companion, companion + 3), dim=1), state


def test_samples_are_what_is_observed_of_states():
    """Two steps add −1, then 2, to the prior; each step sees both halves; the end has the shape of data."""
    sampler = Exchange()
    x = generate(sampler, Model(), 3, [1.0, 0.5, 0.0], chunk=2)
    assert sampler.seen == [(2, 4), (2, 4), (1, 4), (1, 4)]
    torch.testing.assert_close(
        x, torch.tensor([[12.0, 22.0], [13.0, 23.0], [12.0, 22.0]])
    )  # chunks of 2 and 1


def test_a_model_draws_its_prior_in_the_shape_of_states():
    assert Model().prior(5).shape == (5, 4)


def test_pictures_of_a_dataset_see_what_is_observed():
    data = Dataset(name="ones", train=torch.rand(30, 2), held_out=torch.rand(20, 2))
    scene = Scene(
        dataset=data, process=Paired(), samples=data.train, sampled=lambda n: ([], data.train), seed=1
    )
    times, path = scene.forward(7, frames=4)
    assert path.shape == (4, 7, 2)
    torch.testing.assert_close(path[-1], 2 * data.train[:7])
    assert times[-1] == 1.0
