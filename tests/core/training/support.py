"""A small training to take apart: a process, a network with every sort of layer, data and options."""

import attrs
import torch
from torch import Tensor, nn

from difrun.config import TrainOptions
from difrun.loss import Loss, Regression
from difrun.model import NetworkModel
from difrun.testing import ReferenceVP
from difrun.training import Trainer


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
    model = NetworkModel(network, ReferenceVP(), tuple(data.shape[1:]), predicts="noise", scaled=False)
    return Trainer(model, loss or Regression("noise"), data, options(**given), seed=11, note=note)


def differing(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """Names of tensors that are not equal bit for bit; the clock aside."""
    return [
        name
        for name in sorted(a.keys() | b.keys())
        if name != "seconds" and not torch.equal(a[name], b[name])
    ]
