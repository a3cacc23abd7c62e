"""The blocks of docs/own-network.md, one after the other, for mypy."""

import torch
from torch import nn

torch.manual_seed(0)
data = torch.randn(4000, 2) * torch.tensor([0.2, 0.5])
data[:, 0] += torch.where(torch.rand(4000) < 0.3, -1.5, 1.0)

betas = torch.linspace(1e-4, 0.05, 200)
alphas_cumprod = (1 - betas).cumprod(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.times = nn.Embedding(200, 16)
        self.layers = nn.Sequential(
            nn.Linear(18, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2)
        )

    def forward(self, x, t):
        return self.layers(torch.cat([x, self.times(t)], 1))


net = Net()
optimiser = torch.optim.Adam(net.parameters(), 3e-3)
for _ in range(1200):
    x = data[torch.randint(len(data), (128,))]
    t = torch.randint(200, (128,))
    a, eps = alphas_cumprod[t, None], torch.randn(128, 2)
    loss = ((net(a.sqrt() * x + (1 - a).sqrt() * eps, t) - eps) ** 2).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

import difrun
from difrun.process.tabulated import TabulatedProcess

process = TabulatedProcess.from_betas(betas)
model = difrun.wrap(net, process, (2,), predicts="noise", time="index", integer=True, data=data)

samples = difrun.sample(model, 2000, sampler="heun", steps=20)
table = difrun.compare(model, samplers=["adams", "heun"], steps=10, dataset=data, metrics="sliced-w2", n=999)
difrun.tune(model, steps=6, iterations=4)
few = difrun.sample(model, 2000, sampler="tuned", steps=6)
measured = difrun.evaluate(model, samples, metric="sliced-w2", dataset=data)
log_p = difrun.log_likelihood(model, data[:100], steps=30)
