"""The blocks of docs/python.md, one after the other, for mypy."""

import numpy as np
import torch
from torch import Tensor, nn

import difrun

x = np.random.default_rng(0).normal(size=(1000, 2)) * [1.0, 4.0] + [0.0, 5.0]
options = {"process.theta": 0.5, "train.steps": 200, "model.width": 32, "threads": 1}
run = difrun.run(process="ou", sampler="heun", dataset=x, n=500, options=options, out="points")
print(run.metrics["sliced-w2"]["value"])

more = difrun.sample(run, 200, sampler="adams", steps=8)
nats = difrun.log_likelihood(run, x[:20])
table = difrun.compare(run, samplers=["heun", "adams"], steps=[4, 8], n=300, out="table")
print(table.best())


class Net(nn.Module):
    """A network of your own, F(x, c_noise)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, width), nn.SiLU(), nn.Linear(width, 2))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """The prediction at noisy points x (n, 2)."""
        return self.layers(torch.cat([x, level.expand(len(x))[:, None]], dim=1))


def width_ratio(samples: Tensor, reference: Tensor, *, power: float = 1.0) -> dict[str, float]:
    """A metric of your own, with an option."""
    return {"width-ratio": float((samples.std() / reference.std()) ** power)}


own = difrun.run(
    process="ou",
    model=Net(width=16),
    metric=[width_ratio, "sliced-w2"],
    dataset=x,
    n=500,
    options={"train.steps": 200, "threads": 1, "metric.width-ratio.power": 2.0},
    out="own",
)

again = difrun.reopen("own", model=Net(width=16), metric=width_ratio)
assert torch.equal(again.samples, own.samples)

varied = difrun.sample(run, 100, data=x[:1], at=0.5)  # 100 variations of one example: image to image
states = run.parts.process.sample(torch.zeros(50, 2), 0.5, 0)
finished = difrun.sample(run, start=states, at=0.5)

noise = difrun.invert(run, x[:10], sampler="heun", steps=20)
print(noise.error)
returned = difrun.sample(run, start=noise.x, at=noise.at, sampler="heun", steps=20)

from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun_ou.process import OrnsteinUhlenbeck

mixture = GaussianMixture([0.3, 0.7], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.2])
model = ExactMixture(mixture, OrnsteinUhlenbeck(horizon=6.0))
drawn = difrun.sample(model, 500, sampler="heun", steps=20)
print(difrun.evaluate(model, drawn, metric="sliced-w2"))
