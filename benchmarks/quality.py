"""Error against network evaluations, with exact scores, beside the samplers of other libraries.

    python benchmarks/quality.py [--targets gmm8,rings64,gmm64d] [--evaluations 5,8,10,15,20,30,50] [--n 512]
                                 [--seeds 3] [--no-peers] [--no-tuned] [--cache FOLDER]

The error is the root mean square distance to the exact endpoint of the probability flow from the same noise, over the
root mean square radius of the data; beside it stand the median distance and the share of samples that land in another
component of the mixture. Every call of the denoiser counts. Each number is the median over `--seeds` sets of `--n`
samples. Peers: `pip install -c constraints.txt -r requirements.txt -r benchmarks/requirements-peers.txt`.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peers
import targets
import torch
from targets import END, SIGMA_MAX, TARGETS, Denoiser, Error
from torch import Tensor

from difrun.data import GaussianMixture
from difrun.grid import rho
from difrun.model import Counted, ExactMixture
from difrun.sampler import Adams, Euler, Heun, Sampler, integrate
from difrun.sampler.tuning import pilot, tune
from difrun.sampler.tuning.search import solve
from difrun_edm.dpmpp import Multistep2
from difrun_edm.process import EDM

EVALUATIONS = (5, 8, 10, 15, 20, 30, 50)
AIM = {
    "gmm8": (3.1e-2, 1.2e-2, 4.8e-3, 3.0e-3, 1.3e-3, 3.8e-4, 4.1e-5),
    "rings64": (7.8e-2, 3.4e-2, 2.3e-2, 3.1e-3, 9.6e-4, 3.9e-4, 5.8e-5),
    "gmm64d": (1.5e-1, 5.4e-2, 4.8e-2, 5.6e-3, 1.2e-3, 5.9e-4, 6.4e-5),
}
AIM_TUNED = {
    "gmm8": (7e-3, 1.4e-3, 1.2e-3, 4e-4, 1.3e-4),
    "rings64": (1.2e-2, 2.6e-3, 9.6e-4, 7e-4, 4e-4),
    "gmm64d": (1.0e-2, 3.6e-3, 2.3e-3, 8.3e-4, 5.0e-4),
}
TUNED_UP_TO = 20
"""Evaluations beyond which nothing is tuned here: the default is good enough there, and tuning takes long."""

Run = Callable[[Denoiser, Tensor, int], Tensor]


def default(distribution: GaussianMixture) -> Run:
    """`adams` on the grid `pilot`, on a process that ends where nothing of the data is left to resolve."""
    model = ExactMixture(distribution, EDM(sigma_max=SIGMA_MAX, noise_floor=END))

    def run(denoiser: Denoiser, z: Tensor, calls: int) -> Tensor:
        sampler = Adams()
        return on_grid(model, sampler, pilot(model, calls, sampler), denoiser, z)

    return run


def classic(distribution: GaussianMixture, sampler: Sampler) -> Run:
    """Another sampler on the grid `rho` of the process edm as it comes, down to σ = 0.002."""
    model = ExactMixture(distribution, EDM())

    def run(denoiser: Denoiser, z: Tensor, calls: int) -> Tensor:
        assert sampler.evaluations
        return on_grid(model, sampler, rho(model.process, calls // sampler.evaluations), denoiser, z)

    return run


def on_grid(
    model: ExactMixture, sampler: Sampler, times: Sequence[float], denoiser: Denoiser, z: Tensor
) -> Tensor:
    return counted(model, denoiser, lambda model: integrate(sampler, model, z, times))


def counted(model: ExactMixture, denoiser: Denoiser, run: Callable[[Counted], Tensor]) -> Tensor:
    """What `run` makes with a model whose evaluations count as calls of the denoiser."""
    watched = Counted(model)
    x = run(watched)
    denoiser.calls += watched.evaluations
    return x


def tuned(distribution: GaussianMixture, calls: int) -> tuple[Run, float]:
    """The tuned sampler for so many evaluations, and the seconds that tuning took."""
    model = ExactMixture(distribution, EDM(sigma_max=SIGMA_MAX, noise_floor=END))
    start = time.perf_counter()
    found = tune(model, calls, free_weights=True)
    took = time.perf_counter() - start

    def run(denoiser: Denoiser, z: Tensor, calls: int) -> Tensor:
        return counted(model, denoiser, lambda model: solve(model, z, found.times, found.changes))

    return run, took


class Bench:
    """One target with its noise and endpoints: runs solvers and measures them."""

    def __init__(self, name: str, n: int, seeds: int, folder: Path):
        self.distribution = TARGETS[name]()
        self.sets = seeds
        parts = [targets.reference(name, n, seed, folder) for seed in range(seeds)]
        self.z, self.exact = (torch.cat(part) for part in zip(*parts, strict=True))

    def measure(self, run: Run, calls: int) -> Error:
        denoiser = Denoiser(self.distribution)
        x = run(denoiser, self.z, calls)
        if not 0 < denoiser.calls <= calls:
            raise RuntimeError(f"{denoiser.calls} calls of the denoiser; {calls} were allowed")
        return targets.error(self.distribution, x, self.exact, self.sets)


def rows_of(
    name: str, budgets: Sequence[int], solvers: Sequence[peers.Solver], arguments: Any, folder: Path
) -> None:
    """Measure one target and print its two tables."""
    bench = Bench(name, arguments.n, arguments.seeds, folder)
    ours = {
        "adams": default(bench.distribution),
        "Heun": classic(bench.distribution, Heun()),
        "dpmpp-2m": classic(bench.distribution, Multistep2()),
        "Euler": classic(bench.distribution, Euler()),
    }
    summary, spread = [], []
    for calls in budgets:
        print(f"{name}, {calls} evaluations", file=sys.stderr)
        found = {title: bench.measure(run, calls) for title, run in ours.items()}
        took = ""
        if arguments.tuned and calls <= TUNED_UP_TO:
            run, seconds = tuned(bench.distribution, calls)
            found["tuned"], took = bench.measure(run, calls), f"{seconds:.0f} s"
        theirs = [(bench.measure(solver.run, calls), solver) for solver in solvers]
        label = "not run"
        if theirs:
            found["best peer"], solver = min(theirs, key=lambda pair: pair[0].rms)
            label = f"{found['best peer'].rms:.1e}: {solver.origin} {solver.name}"
        defaults = ", ".join(f"{error.rms:.1e}" for error, solver in theirs if solver.default)
        place = EVALUATIONS.index(calls) if calls in EVALUATIONS else None
        summary.append(
            f"| {calls} | {label} | {defaults or 'not run'} "
            f"| {against(found['adams'], AIM[name], place)} | {against(found.get('tuned'), AIM_TUNED[name], place)} "
            f"| {took} | "
            + " | ".join(f"{found[title].rms:.1e}" for title in ("dpmpp-2m", "Heun", "Euler"))
            + " |"
        )
        spread.append(
            f"| {calls} | "
            + " | ".join(inner(found.get(t)) for t in ("best peer", "adams", "tuned", "dpmpp-2m"))
            + " |"
        )
    print(
        f"\n### {name}\n\n| evaluations | best peer | peers' defaults | `adams` | aim (ratio) | tuned | aim (ratio) "
        "| tuning took | `dpmpp-2m` | `heun` | `euler` |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(summary))
    print(
        "\nMedian distance, and the share of samples in another component:\n\n"
        "| evaluations | best peer | `adams` | tuned | `dpmpp-2m` |\n|---|---|---|---|---|"
    )
    print("\n".join(spread), flush=True)


def against(error: Error | None, aims: Sequence[float], place: int | None) -> str:
    """Two cells: the error, and the aim with the ratio of the two."""
    if error is None:
        return " | "
    if place is None or place >= len(aims):
        return f"**{error.rms:.1e}** | "
    return f"**{error.rms:.1e}** | {aims[place]:.1e} ({error.rms / aims[place]:.2f})"


def inner(error: Error | None) -> str:
    return "" if error is None else f"{error.median:.1e}, {error.strayed:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--targets", default=",".join(TARGETS), help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--evaluations", default=",".join(map(str, EVALUATIONS)))
    parser.add_argument("--n", type=int, default=512, help="samples in a set of noise")
    parser.add_argument("--seeds", type=int, default=3, help="sets of noise, over which the median is taken")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--tuned", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps the exact endpoints; default: none is kept"
    )
    arguments = parser.parse_args()
    names = arguments.targets.split(",")
    unknown = sorted(set(names) - set(TARGETS))
    if unknown:
        parser.error(f"there is no target {unknown[0]!r}; choose of {', '.join(TARGETS)}")
    try:
        budgets = [int(number) for number in arguments.evaluations.split(",")]
    except ValueError:
        parser.error(f"--evaluations takes whole numbers with commas, not {arguments.evaluations!r}")
    if min(budgets) < 2 or arguments.n < 1 or arguments.seeds < 1:
        parser.error("at least 2 evaluations, 1 sample and 1 seed are needed")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # peers warn of their own future
    solvers, missing = peers.installed() if arguments.peers else ([], {})
    for library, reason in missing.items():
        print(f"{library} could not be run: {reason}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.cache or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            rows_of(name, budgets, solvers, arguments, folder)


if __name__ == "__main__":
    main()
