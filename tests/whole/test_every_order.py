"""Every deterministic sampler converges to the exact end of the flow at its declared order, on every Gaussian process.

What there is, is asked of the registry, with every value of each option that offers a choice.
"""

import functools
from typing import Any

import attrs
import pytest
import torch

from difrun.model import ExactMixture
from difrun.options import values
from difrun.plugin import get_registry
from difrun.sampler import integrate
from difrun.testing import observed_order, probability_flow_endpoint, two_gaussians
from difrun.testing.references import NoNoise
from difrun.testing.rules import components_under_test

from .support import processes_made_alone

REGISTRY = get_registry()
PROCESSES = [entry.label for entry in processes_made_alone() if "gaussian" in entry.component.provides]


EXPECTED = {
    "adams",
    *(f"adams-fixed_order={k}" for k in range(1, 7)),
    *(f"exponential{way}" for way in ("", "(corrected=true)")),
    *(f"exponential{way}-predictor_order={k}" for way in ("", "(corrected=true)") for k in (1, 2, 4)),
    *("ddim", "dpmpp-2m", "dpmpp-2s", "dpmpp-3m", "edm-s_churn=0", "euler", "euler-maruyama-a=0.5"),
    *("heun", "kutta3", "midpoint", "rk4", "sde-a=0.5"),
}
"""The methods of difrun and its plugins: what is found contains them, so that none goes untested unseen."""


def parts(validator: Any) -> list[Any]:
    """The validators that one is made of: those of a list, and those within `optional`."""
    several = getattr(validator, "_validators", None)
    if several is None:
        several = [validator.validator] if hasattr(validator, "validator") else []
    return [deep for part in several for deep in parts(part)] or [validator]


def others(sampler: Any, field: attrs.Attribute) -> list[Any]:
    """Other values of an option: all of a range of whole numbers; the smallest where only that takes no chance."""
    found = []
    for part in parts(field.validator):
        found += [k for k in getattr(part, "options", ()) if isinstance(k, int)]
        if field.type is float and sampler.stochastic and getattr(part, "compare_op", "") == ">=":
            found.append(part.bound)
    return [value for value in found if value != field.default]


def variants() -> dict[str, Any]:
    """Name -> sampler for each deterministic sampler of a stated order and each choice of its options."""
    found = {}
    for entry in REGISTRY.entries("sampler"):
        if "gaussian" not in entry.component.requires:
            continue
        for subject in components_under_test(entry, REGISTRY):
            if subject.second:  # the kit measures these
                continue
            found[subject.label] = sampler = subject.make()
            for field in attrs.fields(type(subject.options)):
                for value in others(sampler, field):
                    options = attrs.evolve(subject.options, **{field.name: value})
                    found[f"{subject.label}-{field.name}={value:g}"] = subject.target(**values(options))
    return {label: made for label, made in found.items() if not made.stochastic and made.order is not None}


VARIANTS = variants()


def test_none_is_left_out():
    assert set(VARIANTS) >= EXPECTED, EXPECTED - set(VARIANTS)
    assert len(PROCESSES) >= 6


@functools.cache
def endpoint(name):
    model = ExactMixture(two_gaussians(), REGISTRY.get("process", name).load()())
    x = model.process.prior((8, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)
    times = grid(model.process, 1)
    return model, x, probability_flow_endpoint(model, x, times=(times[0], times[-1]), rtol=1e-12)


def grid(process, steps):
    """Equal steps in λ, from λ(T), or from −5 where λ(T) = −∞."""
    low, high = process.lam_range
    times = process.time_at(torch.linspace(low, high, steps + 1, dtype=torch.float64)).tolist()
    return times if process.forgets else [process.horizon, *times[1:-1], process.t_min]


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("sampler", VARIANTS.values(), ids=VARIANTS)
def test_measured_orders_are_those_declared(sampler, name):
    """Distance to the exact end as steps^−order, ±0.3: from 80 to 160 steps, above order 2 from 160 to 320.

    Where λ(T) = −∞ that is from λ = −5 on: grids in λ reach it in one step that no number of steps makes shorter, and
    whose error, of 3e-5 for `exponential` on `flow`, stays. A method of order 5 or more may look better than it is by
    1: its error, below 1e-8 there, still falls faster.
    """
    model, x, truth = endpoint(name)
    counts = (80, 160) if sampler.order <= 2 else (160, 320)
    errors = [
        (integrate(sampler, model, x, grid(model.process, n), generator=NoNoise()) - truth)
        .square()
        .mean()
        .sqrt()
        .item()
        for n in counts
    ]
    observed = observed_order(counts, errors)
    assert observed > sampler.order - 0.3, errors
    assert observed < sampler.order + (0.3 if sampler.order < 5 else 1.0), errors
