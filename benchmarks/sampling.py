"""Time of a sampling step, over that of a bare hand-written loop with the same network and the same mathematics.

    python benchmarks/sampling.py [--repeats 21] [--steps 100]

The network is a multilayer perceptron 2 → 128 → 128 → 2 with 32 sinusoidal features of the noise level, which
predicts the noise of an Ornstein–Uhlenbeck process. The bare loops are what one would write for this network alone,
with every coefficient a Python float computed beforehand. One torch thread, CPU time, runs interleaved. difrun's time
is that of the whole run over its steps, what it prepares once per grid included.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from difrun.grid import rho
from difrun.model import NetworkModel
from difrun.sampler import Adams, Euler, Heun, StepWeights, integrate
from difrun_edm.dpmpp import Multistep2
from difrun_ou.process import OrnsteinUhlenbeck

AIM = {"Euler": (1.05, 1.15), "Heun": (1.05, 1.15), "DPM++2M": (1.05, 1.2), "Adams": (1.05, 1.2)}
BATCHES = (2048, 16)


class Network(nn.Module):
    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(-0.3, 1.5, 16))
        self.layers = nn.Sequential(
            nn.Linear(2 + 32, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2)
        )

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        angles = level[:, None] * self.frequencies
        features = torch.cat((angles.cos(), angles.sin()), dim=1).expand(len(x), -1)
        return self.layers(torch.cat((x, features), dim=1))


def levels(times: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
    """α, σ and the noise level ¼ ln(σ/α) of dx = −x dt + √2 dw at the times."""
    alphas = [math.exp(-t) for t in times]
    sigmas = [math.sqrt(-math.expm1(-2 * t)) for t in times]
    return (
        alphas,
        sigmas,
        [max(-5.0, min(5.0, math.log(s / a) / 4)) for a, s in zip(alphas, sigmas, strict=True)],
    )


@torch.no_grad()
def bare_euler(network: nn.Module, x: Tensor, times: Sequence[float]) -> Tensor:
    """DDIM: x_s = (α_s/α_t) x + (σ_s − α_s σ_t/α_t) ε."""
    alphas, sigmas, cs = levels(times)
    for k in range(len(times) - 1):
        ratio = alphas[k + 1] / alphas[k]
        noise = network(x, torch.full((1,), cs[k]))
        x = torch.add(ratio * x, noise, alpha=sigmas[k + 1] - ratio * sigmas[k])
    return x


@torch.no_grad()
def bare_heun(network: nn.Module, x: Tensor, times: Sequence[float]) -> Tensor:
    """Heun's method for y = x/(α + σ), τ = σ/(α + σ), dy/dτ = ε − x_0 = ((α + σ) ε − x)/α."""
    alphas, sigmas, cs = levels(times)
    for k in range(len(times) - 1):
        here, there = alphas[k] + sigmas[k], alphas[k + 1] + sigmas[k + 1]
        ratio = there / here
        h = sigmas[k + 1] - ratio * sigmas[k]
        noise = network(x, torch.full((1,), cs[k]))
        ahead = torch.add((ratio - h / alphas[k]) * x, noise, alpha=h * here / alphas[k])
        noise = network(ahead, torch.full((1,), cs[k + 1]))
        half = torch.add(
            (0.5 - 0.5 * h / alphas[k + 1]) * ahead, noise, alpha=0.5 * h * there / alphas[k + 1]
        )
        x = torch.add(half, x, alpha=0.5 * ratio)
    return x


@torch.no_grad()
def bare_dpmpp_2m(network: nn.Module, x: Tensor, times: Sequence[float]) -> Tensor:
    """DPM-Solver++(2M): x_s = (σ_s/σ_t) x + α_s (1 − e^−h) [x_0 + h/(2 h_1) (x_0 − last x_0)]."""
    alphas, sigmas, cs = levels(times)
    lams = [math.log(a / s) for a, s in zip(alphas, sigmas, strict=True)]
    last = x
    for k in range(len(times) - 1):
        noise = network(x, torch.full((1,), cs[k]))
        x0 = torch.add(x * (1 / alphas[k]), noise, alpha=-sigmas[k] / alphas[k])
        h = lams[k + 1] - lams[k]
        weight = 0.5 * h / (lams[k] - lams[k - 1]) if k else 0.0
        slope = torch.lerp(last, x0, 1 + weight)
        x = torch.add(sigmas[k + 1] / sigmas[k] * x, slope, alpha=-alphas[k + 1] * math.expm1(-h))
        last = x0
    return x


def bare_adams(rows: Sequence[StepWeights]) -> Callable[[nn.Module, Tensor, Sequence[float]], Tensor]:
    """Adams in y = x/S, S² = α² + σ², with q = (σ/S) x/α − (S/α) ε, and weights computed beforehand."""

    @torch.no_grad()
    def run(network: nn.Module, x: Tensor, times: Sequence[float]) -> Tensor:
        alphas, sigmas, cs = levels(times)
        totals = [math.sqrt(a * a + s * s) for a, s in zip(alphas, sigmas, strict=True)]
        y, slopes = x / totals[0], []
        for k, (corrector, predictor) in enumerate(rows):
            noise = network(x, torch.full((1,), cs[k]))
            scale = sigmas[k] / (alphas[k] * totals[k])
            slopes.append(torch.add(scale * x, noise, alpha=-totals[k] / alphas[k]))
            for weight, slope in zip(corrector, slopes[len(slopes) - len(corrector) :], strict=True):
                y = y.add(slope, alpha=weight)
            ahead = y
            for weight, slope in zip(predictor, slopes[-len(predictor) :], strict=True):
                ahead = ahead.add(slope, alpha=weight)
            x = totals[k + 1] * ahead
        return x

    return run


def adams_rows(model: NetworkModel, times: Sequence[float]) -> list[StepWeights]:
    sampler = Adams()
    return sampler.rows(sampler.frame(model), model.process.instants(times))


OURS = {"Euler": Euler, "Heun": Heun, "DPM++2M": Multistep2, "Adams": Adams}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Network().eval()
    process = OrnsteinUhlenbeck()
    model = NetworkModel(network, process, (2,), predicts="noise", scaled=False)
    times = rho(process, arguments.steps)
    print("| sampler | batch | bare loop | difrun | ratio: median (quartiles) | aim |")
    print("|---|---|---|---|---|---|")
    bares: dict[str, Callable] = {
        "Euler": bare_euler,
        "Heun": bare_heun,
        "DPM++2M": bare_dpmpp_2m,
        "Adams": bare_adams(adams_rows(model, times)),
    }
    for name, bare in bares.items():
        sampler = OURS[name]()
        for batch, aim in zip(BATCHES, AIM[name], strict=True):
            x = torch.randn(batch, 2)
            theirs, mine = bare(network, x, times), integrate(sampler, model, x, times)
            assert torch.allclose(theirs, mine, rtol=1e-4, atol=1e-4 * theirs.abs().max()), (
                f"{name}: the loops differ"
            )
            loops = [partial(bare, network, x, times), partial(integrate, sampler, model, x, times)]
            pairs = []
            for repeat in range(arguments.repeats):
                took = [0.0, 0.0]
                # Each goes first every other time, so that neither always finds a warm cache.
                for which in (0, 1) if repeat % 2 else (1, 0):
                    start = time.process_time()
                    loops[which]()
                    took[which] = (time.process_time() - start) / arguments.steps
                pairs.append(took)
            theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
            low, middle, high = statistics.quantiles([b / a for a, b in pairs], n=4)
            print(
                f"| {name} | {batch} | {1e6 * theirs:.0f} µs/step | {1e6 * mine:.0f} µs/step | "
                f"**{middle:.2f}** ({low:.2f} to {high:.2f}) | ≤ {aim} |"
            )


if __name__ == "__main__":
    main()
