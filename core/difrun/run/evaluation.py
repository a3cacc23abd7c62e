"""Metrics of a run's samples, beside their floors."""

from collections.abc import Sequence
from typing import Any

import attrs
from torch import Tensor

from difrun.config import Chosen
from difrun.errors import DifrunError
from difrun.metric import comparable, measure
from difrun.options import values
from difrun.randomness import seed_of
from difrun.run.parts import speaking_for

Numbers = dict[str, dict[str, float]]


def measure_all(run: Any, samples: Tensor, metrics: Sequence[Chosen], *, strict: bool) -> Numbers:
    """Every metric beside its floor: name -> {"value", "value_sd", "floor", "floor_sd", "n"}.

    A metric with several numbers gives ``metric.number`` each. strict: raise when one cannot be computed; otherwise
    tell the listener and go on, so that a run is not lost for a metric.
    """
    found: Numbers = {}
    for chosen in metrics:
        try:
            numbers = one(run, samples, chosen)
        except DifrunError as error:
            if strict:
                raise
            run.listener.note(f"metric {chosen.name} is left out: {error}")
            continue
        prefix = "" if list(numbers) == [chosen.entry.name] else f"{chosen.entry.name}."
        found |= {prefix + name: number for name, number in numbers.items()}
    return found


def one(run: Any, samples: Tensor, chosen: Chosen) -> Numbers:
    """The numbers of one metric."""
    dataset = run.parts.dataset
    with speaking_for(chosen.entry):
        numbers = measure(
            chosen.entry.load(),
            samples,
            dataset,
            seed=seed_of(run.plan.seed, "metrics"),
            **values(chosen.options),
        )
    n = comparable(samples, dataset)
    return {name: {**number, "n": n} for name, number in numbers.items()}


def content(
    run: Any, found: Numbers, samples: Tensor, facts: dict[str, Any], *, added: bool
) -> dict[str, Any]:
    """What metrics.json holds: metrics, samples, signal, training, and a likelihood that was measured earlier.

    added: metrics found earlier stay.
    """
    old = run.folder.read_metrics()
    told: dict[str, Any] = {"metrics": {**old.get("metrics", {}), **found} if added else found}
    # Numbers that a later call adds may be of other samples; each metric says its own n.
    told["samples"] = old["samples"] if added and "samples" in old else {"n": len(samples)} | facts
    if "likelihood" in old:  # of the model, which has not changed
        told["likelihood"] = old["likelihood"]
    if run.signal is not None:
        told["signal"] = attrs.asdict(run.signal)
    if run.trainer is not None:
        told["training"] = {
            "steps": run.trainer.step,
            "seconds": round(run.trainer.seconds, 3),
            "steps_per_second": round(run.trainer.rate, 1),
        }
    return told
