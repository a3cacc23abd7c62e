"""Which samplers are compared on which grids."""

from collections.abc import Sequence

from difrun.config.plan import ChosenComponent
from difrun.config.selection import refusal
from difrun.errors import ConfigError
from difrun.plugin.compatibility import unmet_requirements
from difrun.plugin.registry import Registered, Registry
from difrun.runs.compare.compared_model import ComparedModel
from difrun.text import listed

ALWAYS = ("adams", "heun")
"""The samplers that are compared with a run's own, if the user names none."""


def sampler_grid_pairs(
    registry: Registry,
    compared: ComparedModel,
    samplers: Sequence[str | ChosenComponent] | None,
    grids: Sequence[str | ChosenComponent] | None,
    notes: list[str],
    several: bool,
) -> list[tuple[ChosenComponent, ChosenComponent]]:
    """Return the pairs of samplers and grids. A pair that cannot work together is noted and left out.

    Args:
        registry: The installed components.
        compared: The model to be sampled.
        samplers: Names or components, or "all" among them; None takes the run's own sampler and `ALWAYS`.
        grids: Names or components, or "all" among them; None takes the grid that suits each sampler.
        notes: A sentence is added here for each pair that is left out.
        several: Whether more than one run is compared, so that notes have to name the run.

    Raises:
        ConfigError: If a name is unknown, or if the user names one sampler, and at most one grid, that cannot work.
    """
    chosen_samplers = _named(registry, compared, "sampler", samplers)
    chosen_grids = _named(registry, compared, "grid", grids)
    asked = [*(samplers or ()), *(grids or ())]
    names_one_pair = samplers is not None and len(samplers) == 1 and (grids is None or len(grids) == 1)
    pairs, of_run = [], f" of {compared.name}" if several else ""
    for sampler in chosen_samplers:
        for grid in chosen_grids or [_grid_for(registry, compared, sampler)]:
            entries = compared.entries(sampler=sampler.entry, grid=grid.entry)
            problems = unmet_requirements(registry, entries)
            if not problems:
                pairs.append((sampler, grid))
                continue
            if names_one_pair and "all" not in asked:
                raise ConfigError(refusal(registry, entries, *problems[0]))
            reason = refusal(registry, entries, *problems[0]).splitlines()[0]
            notes.append(f"{sampler.name} on {grid.name}{of_run} is left out: {reason}")
    return pairs


def _named(
    registry: Registry, compared: ComparedModel, kind: str, names: Sequence[str | ChosenComponent] | None
) -> list[ChosenComponent]:
    """The components that names stand for; by default the run's own sampler and `ALWAYS`, and no grid."""
    if isinstance(names, str):
        names = [names]
    if names is None:
        if kind == "grid":
            return []
        run_sampler = compared.plan.sampler.name
        fitting = registry.compatible(kind, compared.entries())
        names = [run_sampler, *(name for name in ALWAYS if name in fitting and name != run_sampler)]
    elif "all" in names:
        # A tuned sampler or grid serves only the numbers of steps that it was tuned for.
        fitting = [
            name
            for name in registry.compatible(kind, compared.entries())
            if compared.parts.model.tunings or not _is_tuned(registry.get(kind, name))
        ]
        names = [*(name for name in names if name != "all"), *fitting]
    chosen: list[ChosenComponent] = []
    for name in names:
        component = compared.chosen(kind, name)
        if component not in chosen:
            chosen.append(component)
    return chosen


def _is_tuned(entry: Registered) -> bool:
    return "tuned" in entry.component.provides | entry.component.requires


def _grid_for(registry: Registry, compared: ComparedModel, sampler: ChosenComponent) -> ChosenComponent:
    """The grid that a sampler prefers, else the run's own if it fits, else the first that does."""
    run_grid = compared.plan.grid
    if sampler.entry == compared.plan.sampler.entry:
        return run_grid
    preferred = sampler.entry.component.prefers.get("grid")
    if preferred is not None and preferred in registry.names("grid"):
        return compared.chosen("grid", preferred)
    fitting = registry.compatible("grid", compared.entries(sampler=sampler.entry))
    if run_grid.name in fitting or not fitting:
        return run_grid
    return compared.chosen("grid", fitting[0])


def distinct_titles(pairs: Sequence[tuple[ChosenComponent, ChosenComponent]]) -> dict[int, str]:
    """Return what the rows call each sampler and grid, by its identity: its name, and options where these differ."""
    titles: dict[int, str] = {}
    for place in (0, 1):
        components = [pair[place] for pair in pairs]
        for chosen in components:
            namesakes = [other for other in components if other.name == chosen.name and other != chosen]
            record = chosen.record()
            differing = [
                f"{name}={value}"
                for name, value in record.items()
                if any(other.record().get(name) != value for other in namesakes)
            ]
            titles[id(chosen)] = chosen.name + (f" ({listed(differing)})" if differing else "")
    return titles
