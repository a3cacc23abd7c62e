"""A model in a comparison, with its data and the samplers and grids that work with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.config.plan import ChosenComponent, Plan
from difrun.config.run_options import Threads
from difrun.config.selection import lookup, refusal
from difrun.config.settings import section_of
from difrun.errors import ConfigError, DifrunError
from difrun.model.base import ScoreModel
from difrun.options.attrs_fields import build as options
from difrun.plugin.compatibility import unmet_requirements
from difrun.plugin.listener import Listener
from difrun.plugin.registry import Registered, get_registry
from difrun.runs.build import Components, build, guided
from difrun.runs.environment import faults
from difrun.runs.environment.context import guidance_context
from difrun.runs.environment.device import choose_device
from difrun.runs.opening import reopen
from difrun.runs.run import Run
from difrun.runs.stages import evaluation
from difrun.runs.stages.labels import labels_of, note
from difrun.storage.regular import resolved
from difrun.text import quoted


@attrs.define(eq=False)
class ComparedModel:
    """A model to be sampled in several ways: that of a run, or one that needs no training.

    Attributes:
        name: The name of the run in the rows.
        plan: The plan of the run, with the seed, guidance and class of the comparison.
        parts: The components that the plan names.
        model: The model inside its guidances.
        device: Where to compute.
        listener: Receives notes and progress.
        path: The run folder; None for a model without a run.
        pairs: The samplers, each with its grid.
        metrics: The metrics of every row.
        n: How many samples a row has.
        floors: Name of a metric -> its numbers in an earlier row, whose floors hold for all rows.
        warm: Whether it has been sampled before.
    """

    name: str
    plan: Plan
    parts: Components
    model: ScoreModel
    device: torch.device
    listener: Listener
    path: Path | None = None
    pairs: list[tuple[ChosenComponent, ChosenComponent]] = attrs.field(factory=list)
    metrics: tuple[ChosenComponent, ...] = ()
    n: int = 0
    floors: dict[str, evaluation.Numbers] = attrs.field(factory=dict)
    warm: bool = False

    @classmethod
    def of(
        cls,
        run: "Run | Plan | ComparedModel | Path | str",
        listener: Listener,
        device: str | None,
        count: Threads,
        guidance: tuple[ChosenComponent, ...] | None = None,
    ) -> "ComparedModel":
        """Return the model of a run, of a run folder, or of the plan of a model that needs no training.

        Args:
            run: A trained run, its folder, the plan, or the model itself.
            listener: Receives notes and progress.
            device: The device, instead of that of the run; None keeps it.
            count: The number of CPU threads, instead of that of the run; None keeps it.
            guidance: The guidances, instead of those of the run; None keeps them.

        Raises:
            DifrunError: If the run does not exist or is not trained.
        """
        if isinstance(run, ComparedModel):
            return run if guidance is None else run.guided_by(guidance)
        if isinstance(run, Plan):
            return cls._exact(attrs.evolve(run, threads=count or run.threads), listener, device)
        if not isinstance(run, Run):
            run = reopen(run, listener, device=device, threads=count)
        if not run.trained:
            raise DifrunError(
                f"{run.path} has not been trained to the end. Run 'difrun resume {quoted(run.path)}' first."
            )
        plan = run.plan if guidance is None else attrs.evolve(run.plan, guidance=guidance)
        model = run.guided(plan.guidance)
        return cls(run.path.name, plan, run.parts, model, run.device, listener, run.path)

    @classmethod
    def _exact(cls, plan: Plan, listener: Listener, device: str | None) -> "ComparedModel":
        if plan.loss is not None:
            raise ConfigError(
                f"model '{plan.model.name}' has to be trained first: 'difrun run', then 'difrun compare RUN'. Without "
                "a run, name a model that needs no training: difrun compare --dataset gmm --model exact."
            )
        place = choose_device(device or plan.device)
        with faults.blame_plugin(plan):
            parts = build(plan, place)
            context = guidance_context(parts.dataset, plan.seed, place, listener)
            model = guided(parts.model, plan.guidance, context)
        return cls(f"{plan.process.name}-{parts.dataset.name}", plan, parts, model, place, listener)

    def guided_by(self, guidance: tuple[ChosenComponent, ...]) -> "ComparedModel":
        """Return the model inside other guidances."""
        context = guidance_context(self.parts.dataset, self.plan.seed, self.device, self.listener)
        model = guided(self.parts.model, guidance, context)
        return attrs.evolve(self, plan=attrs.evolve(self.plan, guidance=guidance), model=model)

    def prepare(
        self,
        n: int,
        seed: int,
        metrics: Sequence[ChosenComponent],
        label: str | None = None,
        condition: str | None = None,
    ) -> None:
        """Set what all rows share; label, condition: the class or condition to draw, None keeps that of the run.

        Raises:
            ConfigError: If a metric does not fit the model.
            DifrunError: If the model cannot draw the class.
        """
        self.n, self.plan, self.metrics = n, attrs.evolve(self.plan, seed=seed), tuple(metrics)
        for metric in self.metrics:
            entries = self.entries(metric=metric.entry)
            for entry, token in unmet_requirements(get_registry(), entries):
                raise ConfigError(refusal(get_registry(), entries, entry, token))
        if label is not None:
            self.plan = attrs.evolve(self.plan, sample=attrs.evolve(self.plan.sample, label=label))
        if condition is not None:
            self.plan = attrs.evolve(self.plan, sample=attrs.evolve(self.plan.sample, condition=condition))
        labels = labels_of(self.model, self.parts.dataset, self.plan.sample, n)
        note(self.listener, self.parts.dataset, self.plan.sample, labels)

    def facts(self) -> dict[str, Any]:
        """Return what is compared, for compare.json: the components and their options."""
        plan = self.plan
        facts: dict[str, Any] = {}
        for kind in ("process", "dataset", "model"):
            chosen = getattr(plan, kind)
            facts[kind] = {"name": chosen.name, **chosen.record()}
        facts["samplers"] = {sampler.name: sampler.record() for sampler, _ in self.pairs}
        facts["grids"] = {grid.name: grid.record() for _, grid in self.pairs}
        facts["metrics"] = {chosen.name: chosen.record() for chosen in self.metrics}
        if plan.guidance:
            facts["guidance"] = [{"name": chosen.name, **chosen.record()} for chosen in plan.guidance]
        if plan.sample.label is not None:
            facts["label"] = plan.sample.label
        if plan.sample.condition is not None:
            facts["condition"] = plan.sample.condition
        return facts | {"versions": plan.versions(torch.__version__)}

    def entries(self, **others: Registered) -> dict[str, Any]:
        """Return kind -> the component or components of the model, and the others that are given."""
        plan = self.plan
        entries: dict[str, Any] = {
            kind: getattr(plan, kind).entry for kind in ("process", "dataset", "model")
        }
        entries["loss"] = () if plan.loss is None else plan.loss.entry
        entries["guidance"] = tuple(chosen.entry for chosen in plan.guidance)
        return entries | others

    def chosen(self, kind: str, name: str | ChosenComponent) -> ChosenComponent:
        """Return a component by name: with the options of the run if the run uses it, else with its defaults."""
        if isinstance(name, ChosenComponent):
            return name
        entry = lookup(get_registry(), kind, name)
        of_the_run = self.plan.metrics if kind == "metric" else (getattr(self.plan, kind),)
        for chosen in of_the_run:
            if chosen.entry == entry:
                return chosen
        defaults = options(entry.component.options, {}, str(entry), section_of(kind, entry.label))
        return ChosenComponent(kind, entry, defaults)


def with_distinct_names(models: list[ComparedModel]) -> list[ComparedModel]:
    """Name runs in folders of the same name by their paths.

    Raises:
        ConfigError: If a run is named twice.
    """
    paths = [resolved(model.path) for model in models if model.path]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise ConfigError(f"The run {path} is named twice.")
    names = [model.name for model in models]
    for model, name in zip(models, names, strict=True):
        if names.count(name) > 1 and model.path:
            model.name = str(model.path)
    return models
