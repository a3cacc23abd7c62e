"""Try a component in a tiny run in memory, for `difrun doctor --load`."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.api import MANY
from difrun.config.plan import ChosenComponent, Plan, assemble
from difrun.config.selection import choose
from difrun.data.dataset import Dataset
from difrun.errors import ConfigError, DifrunError
from difrun.guidance.context import Context
from difrun.metric.calls import PointSet, on_offer
from difrun.model.labels import proportional_labels
from difrun.plugin.listener import Listener
from difrun.plugin.registry import Registered, Registry
from difrun.plugin.signatures import PICTURES, call, requires
from difrun.randomness.generator import torch_generator
from difrun.runs.build import build, grid_times, guided, instantiate
from difrun.runs.environment.faults import culprit, is_by_user
from difrun.runs.environment.threads import threads
from difrun.runs.report.dataset_pictures import declared_pictures, scene_of, with_distinct_stems
from difrun.runs.stages.labels import labels_of
from difrun.runs.stages.training import new_trainer
from difrun.sampler.integration import generate
from difrun.text import in_one_line

TINY: dict[str, dict[str, Any]] = {
    "train": {"steps": 2, "batch": 8},
    "sample": {"n": 16, "steps": 3},
    "": {"device": "cpu", "threads": 1},
}

SLOW_GRID, QUICK_GRID = "pilot", "linear"
"""`pilot` solves hundreds of trajectories of the model first; a run of three steps takes equal steps in its place."""


@attrs.frozen
class Untried:
    """Why a component could not be tried."""

    reason: str


def rehearse(registry: Registry, entry: Registered) -> tuple[Registered, BaseException] | Untried | None:
    """Try a component in a tiny run, with default options and the components that a run takes with it.

    The run has two steps of training, three equal ones of sampling where it asks for no other grid, one metric, and the
    pictures of the dataset.

    Returns:
        The component that failed, and its error. None if nothing failed. `Untried` if no installed component works with
        this one, or if one of its options has to be given.
    """
    try:
        named = {entry.kind: [entry.label] if entry.kind in MANY else entry.label}
        named.setdefault("metric", [])
        chosen = choose(registry, named)
        if "grid" in chosen.defaulted and chosen.entries["grid"] == registry.get("grid", SLOW_GRID):
            chosen = choose(registry, {**named, "grid": QUICK_GRID})
        plan = assemble(chosen, TINY)
    except ConfigError as error:
        return Untried(in_one_line(error))
    try:
        with threads(plan.threads if isinstance(plan.threads, int) else None):
            _run(plan)
    except BaseException as error:
        if is_by_user(error):
            raise
        needs_an_option = isinstance(error, DifrunError) and error.__cause__ is None
        guilty = culprit(error, [chosen.entry for chosen in plan.components()]) or entry
        return Untried(in_one_line(error)) if needs_an_option else (guilty, error)
    return None


def _run(plan: Plan) -> None:
    device = torch.device("cpu")
    parts = build(plan, device)
    few = parts.dataset.train[:8]
    parts.process.advice()
    first, last = parts.process.t_min, parts.process.horizon
    parts.process.sample(few, last, 0)
    parts.process.path(few, [first, last], 0)
    if parts.loss is not None:
        trainer = new_trainer(plan, parts, device, Listener())
        trainer.run()
        trainer.finish()
    model = guided(parts.model, plan.guidance, Context(parts.dataset, trial=True))
    sampler = instantiate(plan.sampler)
    times = grid_times(plan.grid, model, plan.sample.steps, sampler)
    labels = labels_of(model, parts.dataset, None, plan.sample.n)
    samples = generate(sampler, model, plan.sample.n, times, labels=labels)
    for metric in plan.metrics:
        _try_metric(metric, samples, parts.dataset)
    pictures = declared_pictures(plan, parts)
    if pictures is not None:
        scene = scene_of(plan, parts, model, samples, device, labels)
        for drawing in with_distinct_stems(call(PICTURES, pictures, {"scene": scene})):
            drawing.draw()


def _try_metric(metric: ChosenComponent, samples: Tensor, dataset: Dataset) -> None:
    """Call a metric with everything on offer. One that requires classes is skipped if the data have none."""
    labels = None
    if requires(metric.entry.load(), "conditions"):
        return
    if dataset.labels is None:
        if requires(metric.entry.load(), "labels"):
            return
    elif metric.entry.asks_for("labels"):
        labels = proportional_labels(dataset.shares, len(samples))
    points = PointSet(samples, dataset.train[: len(samples)], labels)
    metric.make(**on_offer(points, dataset, torch_generator(0, "rehearsal")))
