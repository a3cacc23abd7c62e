"""How near the samples of a trained model are to the exact p(x | c), for the tables of docs/conditions.md.

    python benchmarks/conditions.py [--seed 0] [--train-steps N] [--conditions=0.6,1.5]

It trains the default network on `gmm-given`, as `difrun run --dataset gmm-given --seed S` does, and prints the sliced
W2 of samples to exact draws for several c, the calibration over held-out pairs, and the gap of the likelihood. The ± of
the distances are standard deviations over sets of samples, each drawn anew and compared with exact draws of its own;
the error of the mean is √SETS times smaller. One torch thread.
"""

import argparse
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.analysis.likelihood import log_likelihood
from difrun.config.plan import assemble
from difrun.config.selection import choose
from difrun.data import ConditionalMixture
from difrun.data.dataset import Dataset
from difrun.metric import expected_coverage, rank_p_values, ranks
from difrun.plugin.listener import Listener
from difrun.plugin.registry import get_registry
from difrun.runs.build import build, grid_times, instantiate
from difrun.runs.stages.training import new_trainer
from difrun.sampler.integration import generate

CONDITIONS = (-1.5, -0.6, 0.0, 0.6, 1.5)
SAMPLES, SETS, DIRECTIONS = 4000, 16, 256
CASES, DRAWS, BINS = 500, 200, 10
PAIRS, STEPS = 1000, 30


def sliced(a: Tensor, b: Tensor) -> float:
    """Sliced W2 of two sets (n, 2), in directions that are the same for all sets."""
    directions = torch.randn((2, DIRECTIONS), generator=torch.Generator().manual_seed(0)).double()
    directions /= directions.norm(dim=0)
    gap = (a.double() @ directions).sort(0).values - (b.double() @ directions).sort(0).values
    return float(gap.square().mean().sqrt())


def of_conditions(
    draw: Any, exact: ConditionalMixture, random: torch.Generator, conditions: Sequence[float]
) -> None:
    """Print the sliced W2 of samples and exact draws, and of two sets of exact draws, for each c."""
    print("| c | samples | floor: two exact sets |\n|---|---|---|")
    for c in conditions:
        given = torch.full((SAMPLES, 1), c)
        # All of them new: with one set of samples, its own chance would be taken for an error of the model.
        ours = [sliced(draw(given, seed=1 + k), exact.sample(given, random)) for k in range(SETS)]
        floor = [sliced(exact.sample(given, random), exact.sample(given, random)) for _ in range(SETS)]
        cells = [f"{each.mean():.3f} ± {each.std():.3f}" for each in map(torch.tensor, (ours, floor))]
        print(f"| {c:g} | {' | '.join(cells)} |", flush=True)


def of_pairs(draw: Any, dataset: Dataset) -> None:
    """Print coverage and ranks over held-out pairs."""
    assert dataset.condition is not None
    c, truth = dataset.condition.held_out[:CASES], dataset.held_out[:CASES]
    draws = draw(c.repeat_interleave(DRAWS, 0), seed=2).reshape(CASES, DRAWS, -1)
    print(
        "coverage:",
        ", ".join(f"{each.level:.0%}: {each.found:.1%}" for each in expected_coverage(draws, truth)),
    )
    p_values = rank_p_values(ranks(draws, truth), DRAWS, BINS).tolist()
    print("p-values of uniform ranks:", ", ".join(f"{p:.2g}" for p in p_values))


def of_likelihood(model: Any, dataset: Dataset) -> None:
    """Print how far log p(x | c) of the model is below the exact one, over held-out pairs."""
    assert dataset.condition is not None
    assert dataset.conditional is not None
    x, c = dataset.held_out[:PAIRS], dataset.condition.held_out[:PAIRS]
    alpha = model.process.at(model.process.t_min).alpha
    nats = log_likelihood(model.condition_on(c), alpha * x, steps=100).nats + x.shape[1] * math.log(alpha)
    gap = dataset.conditional.log_prob(x, c) - nats
    print(f"gap of the likelihood: {gap.mean():.3f} ± {gap.std() / len(gap) ** 0.5:.3f} nats")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of data, training and exact draws")
    parser.add_argument("--train-steps", type=int, help="fewer or more than the default number")
    parser.add_argument("--conditions", help="measure the distances alone, for these c: 0.6,1.5")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options: dict[str, Any] = {"": {"device": "cpu", "threads": 1, "seed": arguments.seed}}
    if arguments.train_steps is not None:
        options["train"] = {"steps": arguments.train_steps}
    names = {"process": "ou", "dataset": "gmm-given", "metric": []}
    plan = assemble(choose(get_registry(), names), options)
    device = torch.device("cpu")
    parts = build(plan, device)
    start = time.monotonic()
    trainer = new_trainer(plan, parts, device, Listener())
    trainer.run()
    trainer.finish()
    print(f"seed {arguments.seed}, {plan.train.steps} steps of training in {time.monotonic() - start:.0f} s")
    model, dataset, sampler = parts.model, parts.dataset, instantiate(plan.sampler)
    assert dataset.conditional is not None
    times = grid_times(plan.grid, model, STEPS, sampler)

    def draw(given: Tensor, seed: int) -> Tensor:
        return generate(sampler, model, len(given), times, labels=given, seed=seed, chunk=20000)

    asked = [float(c) for c in (arguments.conditions or "").split(",") if c]
    of_conditions(
        draw, dataset.conditional, torch.Generator().manual_seed(arguments.seed + 7), asked or CONDITIONS
    )
    if not asked:
        of_pairs(draw, dataset)
        of_likelihood(model, dataset)


if __name__ == "__main__":
    main()
