"""What is compared: a model, the data behind it, and the samplers and grids that work with it."""

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
from difrun.guidance.context import Context
from difrun.listener import Listener
from difrun.model.base import ScoreModel
from difrun.options.fields import build as options
from difrun.plugin.registry import Registered, Registry, get_registry, unmet_requirements
from difrun.runs.build import Components, build, guided
from difrun.runs.environment import faults
from difrun.runs.environment.device import choose_device
from difrun.runs.run import Run
from difrun.runs.stages import evaluation
from difrun.runs.start import reopen
from difrun.text import quoted

ALWAYS = ("adams", "heun")
"""The samplers beside a run's own where the user names none."""


@attrs.define(eq=False)
class ComparedModel:
    """A model to be sampled: of a run, or exact. It is what `evaluation` needs of a run."""

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

    @classmethod
    def of(
        cls,
        run: Run | Plan | Path | str,
        listener: Listener,
        device: str | None,
        count: Threads,
        guidance: tuple[ChosenComponent, ...] | None = None,
    ) -> "ComparedModel":
        """guidance: in the place of that of the run; None: the run's own."""
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
            context = Context(
                parts.dataset,
                seed=plan.seed,
                device=place,
                note=listener.note,
                stage=listener.stage,
                report=listener.train,
                stopping=listener.stopping,
            )
            model = guided(parts.model, plan.guidance, context)
        return cls(f"{plan.process.name}-{parts.dataset.name}", plan, parts, model, place, listener)

    def take(self, n: int, seed: int, metrics: Sequence[ChosenComponent]) -> None:
        """What is asked of every row. Raises ConfigError for a metric that does not fit."""
        self.n, self.plan, self.metrics = n, attrs.evolve(self.plan, seed=seed), tuple(metrics)
        for metric in self.metrics:
            for entry, token in unmet_requirements(get_registry(), self.entries(metric=metric.entry)):
                raise ConfigError(refusal(get_registry(), self.entries(metric=metric.entry), entry, token))

    def facts(self) -> dict[str, Any]:
        """What is compared, for compare.json: the components and their options."""
        plan = self.plan
        single = {kind: getattr(plan, kind) for kind in ("process", "dataset", "model")}
        told: dict[str, Any] = {
            kind: {"name": chosen.name, **chosen.record()} for kind, chosen in single.items()
        }
        for index, kind in enumerate(("samplers", "grids")):
            told[kind] = {pair[index].name: pair[index].record() for pair in self.pairs}
        told["metrics"] = {chosen.name: chosen.record() for chosen in self.metrics}
        if plan.guidance:
            told["guidance"] = [{"name": chosen.name, **chosen.record()} for chosen in plan.guidance]
        if plan.sample.label is not None:
            told["label"] = plan.sample.label
        return told | {"versions": plan.versions(torch.__version__)}

    def entries(self, **others: Registered) -> dict[str, Any]:
        """kind -> what the model is made of, and others beside it."""
        plan = self.plan
        kept: dict[str, Any] = {kind: getattr(plan, kind).entry for kind in ("process", "dataset", "model")}
        kept["loss"] = () if plan.loss is None else plan.loss.entry
        kept["guidance"] = tuple(chosen.entry for chosen in plan.guidance)
        return kept | others

    def chosen(self, kind: str, name: str | ChosenComponent) -> ChosenComponent:
        """A component by name: with the options of the run where it is the run's own, else with its defaults."""
        if isinstance(name, ChosenComponent):
            return name
        entry = lookup(get_registry(), kind, name)
        own = self.plan.metrics if kind == "metric" else (getattr(self.plan, kind),)
        for chosen in own:
            if chosen.entry == entry:
                return chosen
        return ChosenComponent(
            kind, entry, options(entry.component.options, {}, str(entry), section_of(kind, entry.label))
        )


def with_distinct_names(subjects: list[ComparedModel]) -> list[ComparedModel]:
    """Two runs in folders of the same name are called by their paths. Raises ConfigError for a run named twice."""
    seen = [subject.path.resolve() for subject in subjects if subject.path]
    for index, path in enumerate(seen):
        if path in seen[:index]:
            raise ConfigError(f"The run {path} is named twice.")
    names = [subject.name for subject in subjects]
    for subject, name in zip(subjects, names, strict=True):
        if names.count(name) > 1 and subject.path:
            subject.name = str(subject.path)
    return subjects


def sampler_grid_pairs(
    registry: Registry,
    subject: ComparedModel,
    samplers: Sequence[str] | None,
    grids: Sequence[str] | None,
    notes: list[str],
    several: bool,
) -> list[tuple[ChosenComponent, ChosenComponent]]:
    """The samplers with their grids; what cannot work goes into the notes.

    Raises ConfigError for an unknown name, and for the one sampler (on the one grid) that the user names and that
    cannot work.
    """
    by_name, by_grid = (
        _named(registry, subject, "sampler", samplers),
        _named(registry, subject, "grid", grids),
    )
    exactly = samplers is not None and len(samplers) == 1 and (grids is None or len(grids) == 1)
    found, of = [], f" of {subject.name}" if several else ""
    for sampler in by_name:
        for grid in by_grid or [_grid_of(registry, subject, sampler)]:
            chosen = subject.entries(sampler=sampler.entry, grid=grid.entry)
            problems = unmet_requirements(registry, chosen)
            if not problems:
                found.append((sampler, grid))
                continue
            if exactly and "all" not in (*samplers, *(grids or ())):  # type: ignore[misc]
                raise ConfigError(refusal(registry, chosen, *problems[0]))
            reason = refusal(registry, chosen, *problems[0]).splitlines()[0]
            notes.append(f"{sampler.name} on {grid.name}{of} is left out: {reason}")
    return found


def _named(
    registry: Registry, subject: ComparedModel, kind: str, names: Sequence[str] | None
) -> list[ChosenComponent]:
    """The components that names stand for; by default the run's own sampler and `ALWAYS`, and no grid."""
    if isinstance(names, str):
        names = [names]
    if names is None:
        if kind == "grid":
            return []
        own = subject.plan.sampler.name
        fitting = registry.compatible(kind, subject.entries())
        names = [own, *(name for name in ALWAYS if name in fitting and name != own)]
    elif "all" in names:
        # What is tuned is there for the numbers of steps that were tuned alone.
        fitting = [
            name
            for name in registry.compatible(kind, subject.entries())
            if subject.parts.model.tunings or not _is_tuned(registry.get(kind, name))
        ]
        names = [*(name for name in names if name != "all"), *fitting]
    return [subject.chosen(kind, name) for name in dict.fromkeys(names)]


def _is_tuned(entry: Registered) -> bool:
    return "tuned" in entry.component.provides | entry.component.requires


def _grid_of(registry: Registry, subject: ComparedModel, sampler: ChosenComponent) -> ChosenComponent:
    """The grid that a sampler prefers, else the run's own if it fits, else the first that does."""
    own = subject.plan.grid
    if sampler.entry == subject.plan.sampler.entry:
        return own
    wish = sampler.entry.component.prefers.get("grid")
    if wish is not None and wish in registry.names("grid"):
        return subject.chosen("grid", wish)
    fitting = registry.compatible("grid", subject.entries(sampler=sampler.entry))
    return own if own.name in fitting or not fitting else subject.chosen("grid", fitting[0])
