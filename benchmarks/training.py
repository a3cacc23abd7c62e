"""Training steps per second of difrun's loop, over those of a plain tutorial loop on the same network and batch.

    python benchmarks/training.py [--repeats 9] [--seconds 1.0]

Both train a multilayer perceptron to predict the noise of an Ornstein–Uhlenbeck process, on one torch thread.
The tutorial loop is what a reader of a blog post writes: DataLoader, Adam, one loss.item() per step. difrun's loop
does more: it clips gradients, averages weights, decays the learning rate, reports and looks out for NaN. CPU time
is measured, as the machine may be shared.

    A              4 → 512 → 512 → 2 (two features of time), batch 32; the tutorial shows the loss in a tqdm bar
    B              3 → 64 → 64 → 2 (time itself), batch 128; no bar
    B, bar         the same with the bar of A
    ..., autograd  difrun trains the tutorial's very module; else one with its own reverse pass, as `mlp` has
"""

import argparse
import os
import statistics
import time
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from difrun.config import TrainOptions
from difrun.loss import Regression
from difrun.model import NetworkModel, backward
from difrun.training import Trainer
from difrun_ou.process import OrnsteinUhlenbeck

EXAMPLES = 8000
PROCESS = OrnsteinUhlenbeck()
SILENT = open(os.devnull, "w")  # noqa: SIM115


@attrs.frozen
class Variant:
    """What is trained, and whether the tutorial loop has a tqdm bar."""

    name: str
    width: int
    features: int
    batch: int
    bar: bool
    reverse: bool = True


VARIANTS = [
    Variant("A", 512, 2, 32, True),
    Variant("B", 64, 1, 128, False),
    Variant("B, bar", 64, 1, 128, True),
    Variant("A, autograd", 512, 2, 32, True, reverse=False),
    Variant("B, autograd", 64, 1, 128, False, reverse=False),
]


class Network(nn.Module):
    """An MLP on the concatenation of x and features of time; both loops train it."""

    def __init__(self, variant: Variant):
        super().__init__()
        self.features = variant.features
        self.layers = nn.Sequential(
            nn.Linear(2 + variant.features, variant.width),
            nn.ReLU(),
            nn.Linear(variant.width, variant.width),
            nn.ReLU(),
            nn.Linear(variant.width, 2),
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.layers(self.join(x, t))

    def join(self, x: Tensor, t: Tensor) -> Tensor:
        time_features = t[:, None] if self.features == 1 else torch.stack((t.sin(), t.cos()), dim=1)
        return torch.cat((x, time_features), dim=1)


class Reversible(Network):
    """The same network with a reverse pass of its own, as difrun's `mlp` has."""

    @torch.no_grad()
    def pullback(self, x: Tensor, t: Tensor) -> tuple[Tensor, backward.Pull]:
        first, _, second, _, last = self.layers
        rows = self.join(x, t)
        h = first(rows).relu_()
        k = second(h).relu_()

        @torch.no_grad()
        def pull(gradient: Tensor) -> None:
            backward.linear(last, k, gradient)
            at_k = backward.relu(gradient @ last.weight, k)
            backward.linear(second, h, at_k)
            backward.linear(first, rows, backward.relu(at_k @ second.weight, h))

        return last(k), pull


def tutorial(variant: Variant, data: Tensor, steps: int) -> float:
    """Seconds that the tutorial loop takes."""
    network = Network(variant)
    loader = DataLoader(TensorDataset(data), batch_size=variant.batch, shuffle=True)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses: list[float] = []
    start = time.process_time()
    while True:
        batches: Any = tqdm(loader, file=SILENT) if variant.bar else loader
        for (x0,) in batches:
            t = 0.001 + 3.999 * torch.rand(len(x0))
            alpha = torch.exp(-t)[:, None]
            sigma = torch.sqrt(1 - alpha**2)
            noise = torch.randn_like(x0)
            x = alpha * x0 + sigma * noise
            loss = nn.functional.mse_loss(network(x, t), noise)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            if variant.bar:
                batches.set_postfix(loss=losses[-1])
            if len(losses) == steps:
                return time.process_time() - start


def ours(variant: Variant, data: Tensor, steps: int) -> float:
    """Seconds that difrun's loop takes, with clipping and averaged weights."""
    network = Reversible(variant) if variant.reverse else Network(variant)
    model = NetworkModel(network, PROCESS, (2,), predicts="noise", scaled=False)
    options = TrainOptions(steps=steps, batch=variant.batch, lr=1e-3, ema=0.999, clip=1.0)
    trainer = Trainer(model, Regression("noise"), data, options, seed=0)
    start = time.process_time()
    trainer.run(report=lambda *_: None, stopping=lambda: False)
    return time.process_time() - start


def measure(variant: Variant, repeats: int, seconds: float) -> tuple[float, float, list[float]]:
    """Median seconds per step of both loops, and the ratio of each interleaved pair."""
    data = torch.randn(EXAMPLES, 2)
    pilot = tutorial(variant, data, 100) / 100
    ours(variant, data, 100)
    steps = max(100, int(seconds / pilot))
    pairs = [
        (tutorial(variant, data, steps) / steps, ours(variant, data, steps) / steps) for _ in range(repeats)
    ]
    theirs, mine = (statistics.median(times) for times in zip(*pairs, strict=True))
    return theirs, mine, [a / b for a, b in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one tutorial loop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| variant | tutorial loop | difrun | ratio of speeds: median (range) | aim |")
    print("|---|---|---|---|---|")
    for variant, aim in zip(VARIANTS, ("≥ 2.0", "≥ 3.0", "", "", ""), strict=True):
        theirs, mine, ratios = measure(variant, arguments.repeats, arguments.seconds)
        print(
            f"| {variant.name} | {1e6 * theirs:.0f} µs/step | {1e6 * mine:.0f} µs/step | "
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) | {aim} |"
        )


if __name__ == "__main__":
    main()
