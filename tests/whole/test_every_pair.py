"""Every process with every sampler that fits it, on every grid: the right distribution, finite numbers, the declared
cost.

What there is, is asked of the registry: a new plugin is tested here without being named. The command
``difrun plugins --matrix`` prints the pairs that are covered.
"""

import functools
import itertools
import math
import re
from itertools import pairwise

import pytest
import torch

from difrun.config.selection import partners
from difrun.data import GaussianMixture
from difrun.model import Counted, ExactMixture
from difrun.plugin import get_registry
from difrun.sampler import generate
from difrun.sampler.tuning import tune

from .support import difrun, processes_made_alone

LAW = GaussianMixture([0.3, 0.7], [[-1.5, 0.5], [1.5, -0.5]], [0.16, 0.09])
"""Two modes so far apart (4 and 5 standard deviations from the line between them) that each sample tells its own."""

N = 1500
FEW = 6
"""Steps on a grid that leaves larger gaps than `GAP`."""

GAP = 2.6
"""Largest step in λ = log(α/σ) with which an exact distribution is expected: a factor of 13 in the noise-to-signal
ratio."""

REGISTRY = get_registry()


def fitting(kind, process):
    names = REGISTRY.compatible(kind, {"process": process})
    return [entry for entry in REGISTRY.entries(kind) if entry.label in names]


PAIRS = [(process, sampler) for process in processes_made_alone() for sampler in fitting("sampler", process)]


@functools.cache
def model_of(name):
    model = ExactMixture(LAW, REGISTRY.get("process", name).load()())
    model.tunings = {60: tune(model, 60, free_weights=True, iterations=2, trajectories=32)}
    return model


@functools.cache
def grids(name):
    """Grid -> (times, whether the distribution is to be exact): with 60 steps, or 120, or, where these leave gaps,
    with few."""
    model, found = model_of(name), {}
    for grid in fitting("grid", REGISTRY.get("process", name)):
        for steps in (60, 120, FEW):
            times = grid.call({"process": model.process, "steps": steps, "model": model, "sampler": None}, {})
            lam = [at.lam for at in model.process.instants(times)]
            gap = max(b - a for a, b in pairwise(lam) if a > -5)
            if gap <= GAP or steps == FEW:
                found[grid.label] = times, gap <= GAP
                break
    return found


def distribution_of(x):
    """Means, covariances and weight of the first mode, with their standard errors, in units of the true spread."""
    scale = LAW.var.sqrt()
    centred = (x - LAW.mean) / scale
    products = centred[:, :, None] * centred[:, None, :]
    first = (x[:, 0] < 0).double()
    parts = {"means": centred, "covariances": products.flatten(1), "weight of a mode": first[:, None]}
    return {name: (part.mean(0), part.std(0) / len(x) ** 0.5) for name, part in parts.items()}


TRUTH = {
    "means": (torch.zeros(2, dtype=torch.float64), 0.04),
    "covariances": ((LAW.cov / (LAW.var.sqrt()[:, None] * LAW.var.sqrt())).flatten(), 0.12),
    "weight of a mode": (torch.tensor([0.3], dtype=torch.float64), 0.02),
}
"""What is true, and what 60 steps may be off by: the methods of order 1 are, by so much."""


@pytest.mark.parametrize(("process", "sampler"), PAIRS, ids=lambda entry: entry.label)
def test_every_pair_draws_from_the_distribution_of_the_data(process, sampler):
    """On every grid: no NaN, and as many evaluations as declared. On those without gaps, at least three of them, means
    and covariances and the weights of the modes within 4.5 standard errors of 1500 samples and what `TRUTH` allows.
    """
    if "gaussian" not in process.component.provides:
        assert "exact" not in REGISTRY.compatible("model", {"process": process})
        pytest.skip(f"there is no exact mixture for {process}, which is not Gaussian")
    exact, fit = 0, REGISTRY.compatible("grid", {"process": process, "sampler": sampler})
    for name, (times, resolved) in grids(process.label).items():
        if name not in fit:
            continue
        instance, model = sampler.load()(), Counted(model_of(process.label))
        declared = instance.evaluations_in(len(times) - 1)
        if declared is None:
            times = [times[0], times[len(times) // 2], times[-1]]
            resolved = True
        x = generate(instance, model, N, times, seed=3, chunk=N).double()
        assert x.isfinite().all(), name
        assert model.evaluations == declared or declared is None, (name, model.evaluations, declared)
        if not resolved:
            continue
        exact += 1
        for what, (found, error) in distribution_of(x).items():
            true, allowed = TRUTH[what]
            assert ((found - true).abs() < 4.5 * error + allowed).all(), (name, what, found, true, error)
    assert exact >= min(3, len(fit)), fit


def test_the_matrix_prints_what_is_covered():
    """``difrun plugins --matrix`` says yes for the pairs that fit, and for no others; those above are among them.

    A process that needs an option, such as the file of a table, is tried by the tests of its plugin.
    """
    header, *rows = [line.split() for line in difrun("plugins", "--matrix").splitlines()]
    said = {
        (process, row[0])
        for row in rows
        for process, answer in zip(header[1:], row[1:], strict=True)
        if answer == "yes"
    }
    every = [
        (process, each) for process in REGISTRY.entries("process") for each in fitting("sampler", process)
    ]
    assert said == {(process.label, sampler.label) for process, sampler in every}
    alone = {process.label for process in processes_made_alone()}
    tried = {(process.label, sampler.label) for process, sampler in PAIRS}
    assert {pair for pair in said if pair[0] in alone} == tried
    assert len(tried) > 6


def test_show_names_what_can_meet_in_a_whole_run():
    """`partners` of every component against all runs there are: process, dataset, model and grid by enumeration, and
    beside each four the losses, samplers and guidances whose needs they meet; an exact model has no loss.
    """
    kinds = ("process", "dataset", "model", "grid", "loss", "sampler", "guidance")
    meet = {(entry.kind, entry.qualified): {kind: set() for kind in kinds} for entry in REGISTRY.entries()}
    for four in itertools.product(*(REGISTRY.entries(kind) for kind in kinds[:4])):
        offered = frozenset().union(*(entry.component.provides for entry in four))
        if not all(entry.component.requires <= offered for entry in four):
            continue
        beside = {
            kind: [entry for entry in REGISTRY.entries(kind) if entry.component.requires <= offered]
            for kind in kinds[4:]
        }
        if not beside["sampler"] or not (beside["loss"] or "exact" in offered):
            continue
        group = [*four, *itertools.chain(*beside.values())]
        for one in group:
            for other in group:
                meet[one.kind, one.qualified][other.kind].add(other.label)
    for kind in kinds:
        for entry in REGISTRY.entries(kind):
            for other in kinds:
                if other != kind:
                    assert set(partners(REGISTRY, other, entry)) == meet[kind, entry.qualified][other], (
                        entry,
                        other,
                    )
    heun = difrun("show", "heun").partition("Works with")[2]
    assert "score" in heun
    assert not {"cross-entropy", "elbo", "ising", "markov"} & set(re.findall(r"[\w-]+", heun))


def test_a_wrong_distribution_would_be_noticed():
    """The bounds are sharp: means off by 0.3, spread by 20 %, weights by 0.1 are all found."""
    generator = torch.Generator().manual_seed(0)
    x = LAW.sample(N, generator)

    def wrong(x):
        return {
            what
            for what, (found, error) in distribution_of(x).items()
            if not ((found - TRUTH[what][0]).abs() < 4.5 * error + TRUTH[what][1]).all()
        }

    assert wrong(x) == set()
    assert "means" in wrong(x + 0.3 * LAW.var.sqrt())
    assert "covariances" in wrong(LAW.mean + 1.2 * (x - LAW.mean))
    other = GaussianMixture([0.42, 0.58], LAW.means, LAW.covs)
    assert "weight of a mode" in wrong(other.sample(N, generator))
    assert math.isclose(float(LAW.weights.sum()), 1)
