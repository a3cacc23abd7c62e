"""Which component each kind of a run uses: what the user named, and defaults that fit with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from difrun.api import KINDS, MANY
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue, fields
from difrun.plugin.compatibility import flattened, unmet_requirements
from difrun.plugin.known import install
from difrun.plugin.registry import Registered, Registry
from difrun.text import described, did_you_mean, listed, plural

ORDER = ("process", "dataset", "model", "loss", "sampler", "grid")
"""Kinds with one component per run, in the order in which defaults are filled in."""

BASE = {
    "process": "ou",
    "dataset": "rings",
    "model": "mlp",
    "loss": "score",
    "sampler": "adams",
    "grid": "pilot",
}
"""What a run takes if neither the user nor a chosen component names anything."""

Selection = dict[str, Registered | tuple[Registered, ...]]


@attrs.frozen
class Choice:
    """The components of a run.

    Attributes:
        entries: Kind -> one component, or a tuple for `MANY`; an empty tuple for the loss of an exact model.
        defaulted: The kinds that the user did not name.
        notes: What the user should know about them.
    """

    entries: Mapping[str, Registered | tuple[Registered, ...]]
    defaulted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def all(self) -> list[Registered]:
        """Return every component, in the order of `ORDER` and `MANY`."""
        return flattened(_by_priority(self.entries))


def choose(registry: Registry, named: Mapping[str, Any]) -> Choice:
    """Choose the named components, and for every other kind the first that fits.

    Defaults are tried in this order: what a chosen component prefers (process, dataset, then the others), `BASE`,
    then by name.

    Args:
        registry: The installed components.
        named: Kind -> name (text or `GivenValue`); a sequence of names for guidance and metric.

    Raises:
        ConfigError: If a name is not installed, or components cannot work together.
    """
    chosen = find(registry, named)
    refuse_if_unmet(registry, chosen)
    chosen.setdefault("guidance", ())
    metrics_named = "metric" in chosen
    chosen.setdefault("metric", ())
    absent = [kind for kind in ORDER if kind not in chosen]
    filled = _fill(registry, absent, chosen)
    if filled is None:
        raise _nothing_fits(registry, absent, chosen)
    if not metrics_named:
        base = {kind: picked for kind, picked in filled.items() if kind != "metric"}
        # If two metrics have the same name, neither is taken: the user has to say which one.
        names = registry.compatible("metric", base)
        fitting = [
            entry
            for entry in registry.declared("metric")
            if entry.label in names and _has_classes(entry, filled)
        ]
        filled["metric"] = tuple(
            entry for entry in fitting if not entry.ambiguous or entry.plugin.dist == "difrun"
        )
        absent = [*absent, "metric"]
    return Choice(
        filled, tuple(kind for kind in absent if filled[kind]), tuple(_notes(registry, absent, filled))
    )


def _has_classes(metric: Registered, chosen: Selection) -> bool:
    """Whether data and model know classes, if the metric needs them. Conditions are known once there are data."""
    if "conditions" in metric.component.provides:
        return False
    tokens = {token for entry in flattened(chosen) for token in entry.component.provides}
    return "labels" not in metric.component.provides or {"classes", "conditional"} <= tokens


def partners(registry: Registry, kind: str, entry: Registered) -> list[str]:
    """Return the names of the components of one kind that can stand beside `entry` in some whole run.

    `Registry.compatible` asks less: whether other kinds offer what each of the two needs, though perhaps never
    together. Kinds without an installed component are left out of the run.
    """
    names = []
    for other in registry.entries(kind):
        chosen: Selection = {"guidance": (), "metric": ()}
        chosen |= {named.kind: (named,) if named.kind in MANY else named for named in (entry, other)}
        absent = [
            absent_kind
            for absent_kind in ORDER
            if absent_kind not in chosen and registry.entries(absent_kind)
        ]
        if not unmet_requirements(registry, chosen) and _fill(registry, absent, chosen) is not None:
            names.append(other.label)
    return names


def _notes(registry: Registry, absent: Sequence[str], chosen: Selection) -> Iterator[str]:
    """A note that nothing is trained, if the user did not ask for that."""
    model, process = chosen["model"], chosen["process"]
    assert isinstance(model, Registered)
    assert isinstance(process, Registered)
    if "model" in absent and not chosen["loss"] and not registry.compatible("loss", {"process": process}):
        yield (
            f"nothing is trained: no loss is installed that works with process '{process.label}'. "
            f"Model '{model.label}' is taken instead: {model.component.summary}"
        )


def find(registry: Registry, named: Mapping[str, Any]) -> Selection:
    """Find the named components alone. Raises ConfigError for a name that is not installed."""
    chosen: Selection = {}
    for kind, wanted in named.items():
        if kind not in KINDS:
            raise ConfigError(f"There is no kind of component called '{kind}'.{did_you_mean(kind, KINDS)}")
        if kind in MANY:
            names = list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
            entries = tuple(lookup(registry, kind, name) for name in names)
            for index, entry in enumerate(entries):
                if entry.name in [other.name for other in entries[:index]]:
                    raise ConfigError(f"{kind} '{entry.name}' is named twice.")
            chosen[kind] = entries
        else:
            chosen[kind] = lookup(registry, kind, wanted)
    return chosen


def lookup(registry: Registry, kind: str, wanted: Any) -> Registered:
    """Find the component that a text or a `GivenValue` names; a component itself is returned as it is.

    Raises ConfigError, with the source of a `GivenValue`.
    """
    if isinstance(wanted, Registered):
        return wanted
    if isinstance(wanted, GivenValue) and isinstance(wanted.value, Registered):
        return wanted.value
    if not isinstance(wanted, GivenValue):
        if not isinstance(wanted, str):
            raise ConfigError(
                f"Invalid value for {kind}: expected the name of a component; got {described(wanted)}."
            )
        return registry.get(kind, wanted)
    try:
        return registry.get(kind, wanted.value)
    except ConfigError as error:
        text = f"Invalid value for {wanted.source}: {str(error)[0].lower()}{str(error)[1:]}"
        if kind in MANY and "," in wanted.value:
            text += f" To name several, repeat the flag: --{kind} A --{kind} B."
        raise ConfigError(text) from None


def refuse_if_unmet(registry: Registry, chosen: Mapping[str, Any]) -> None:
    """Raise ConfigError if chosen components cannot work together, naming what would."""
    for entry, token in unmet_requirements(registry, chosen):
        raise ConfigError(refusal(registry, chosen, entry, token))


def refusal(registry: Registry, chosen: Mapping[str, Any], entry: Registered, token: str) -> str:
    """Say why `entry` does not get the capability it needs, and what works instead, in both directions."""
    providers = [other for other in registry.entries() if token in other.component.provides]
    if not providers:
        tokens = {offered for other in registry.entries() for offered in other.component.provides}
        guess = did_you_mean(token, sorted(tokens))
        others = {kind: picked for kind, picked in chosen.items() if kind != entry.kind}
        fixed = others.get("process") or next(iter(flattened(others)), None)
        line = f"{entry} needs {token}, which no installed component offers.{guess}"
        if fixed is None:
            return line
        alternatives = listed(registry.compatible(entry.kind, others)) or "none is installed"
        return f"{line}\n{plural(entry.kind).capitalize()} that work with {fixed.kind} '{fixed.label}': {alternatives}."
    kinds = {other.kind for other in providers}
    culprits = [other for other in flattened(chosen) if other.kind in kinds and other is not entry]
    if not culprits:
        return (
            f"{entry} needs {token}; no {listed(sorted(kinds), last=' or ')} that offers it can be used here."
        )
    culprit = culprits[0]
    offers = listed(sorted(culprit.component.provides)) or "nothing"
    lines = [f"{entry} needs {token}, which {culprit} does not offer (it offers {offers})."]
    for kind, fixed in ((entry.kind, culprit), (culprit.kind, entry)):
        others = {
            other: picked for other, picked in chosen.items() if other not in (entry.kind, culprit.kind)
        }
        names = registry.compatible(kind, {**others, fixed.kind: fixed})
        alternatives = listed(names)
        if not alternatives:
            alone = listed(registry.compatible(kind, {fixed.kind: fixed}))
            alternatives = (
                f"{alone}, but none of them with the rest of this run" if alone else "none is installed"
            )
        lines.append(
            f"{plural(kind).capitalize()} that work with {fixed.kind} '{fixed.label}': {alternatives}."
        )
        if kind == "dataset" and "file" in {entry.label, culprit.label}:
            readers = [name for name in names if _reads_file(registry, name)]
            lines += [f"For a file: --dataset {name} --dataset.path FILE." for name in readers]
    return "\n".join(lines)


def _reads_file(registry: Registry, dataset: str) -> bool:
    """Whether a dataset is one of the user's files: it has an option `path`."""
    options = registry.get("dataset", dataset).component.options
    return "path" in {field.name for field in fields(options)}


def _fill(registry: Registry, absent: Sequence[str], chosen: Selection) -> Selection | None:
    """Fill the absent kinds one after the other; step back where a later kind finds nothing that fits."""
    if not absent:
        return None if unmet_requirements(registry, chosen) else chosen
    kind, *rest = absent
    model = chosen.get("model")
    if kind == "loss" and isinstance(model, Registered) and "exact" in model.component.provides:
        return _fill(registry, rest, {**chosen, "loss": ()})
    for candidate in _candidates(registry, kind, chosen):
        attempt = {**chosen, kind: candidate}
        if not unmet_requirements(registry, attempt):
            filled = _fill(registry, rest, attempt)
            if filled is not None:
                return filled
    return None


def _candidates(registry: Registry, kind: str, chosen: Selection) -> Iterator[Registered]:
    """The components of a kind, each once: first those that a chosen component prefers, then `BASE`, then all."""
    entries = registry.entries(kind)
    preferred: list[Registered] = []
    preferences = [
        (entry.component.prefers.get(kind), entry.plugin.dist) for entry in flattened(_by_priority(chosen))
    ]
    for name, dist in [*preferences, (BASE[kind], "difrun")]:
        # If two plugins offer the preferred name, the plugin that prefers it means its own.
        named = [entry for entry in entries if name in (entry.name, entry.qualified)]
        preferred += sorted(
            named, key=lambda entry: (entry.plugin.dist != dist, entry.plugin.dist != "difrun")
        )
    in_order = [*preferred, *entries]
    for index, entry in enumerate(in_order):
        if entry not in in_order[:index]:
            yield entry


def _by_priority(chosen: Mapping[str, Registered | tuple[Registered, ...]]) -> Selection:
    return {kind: chosen[kind] for kind in (*ORDER, *MANY) if kind in chosen}


def _nothing_fits(registry: Registry, absent: Sequence[str], chosen: Selection) -> ConfigError:
    for kind in absent:
        if not registry.entries(kind):
            hints = {"process": "has some", "loss": "has one"}
            hint = f" The plugin difrun-ou {hints[kind]}: {install('difrun-ou')}." if kind in hints else ""
            return ConfigError(f"No {kind} is installed.{hint}")
    named = listed(str(entry) for entry in flattened(chosen))
    for kind in absent:
        for candidate in registry.entries(kind):
            problems = unmet_requirements(registry, {**chosen, kind: candidate})
            if not problems:
                break
        else:
            return ConfigError(f"No installed {kind} works with {named}.\n{_why(registry, chosen, kind)}")
    return ConfigError(f"No installed {listed(absent, last=' and ')} work together with {named}.")


def _why(registry: Registry, chosen: Selection, kind: str) -> str:
    reasons = []
    for candidate in registry.entries(kind):
        entry, token = unmet_requirements(registry, {**chosen, kind: candidate})[0]
        reasons.append(f"  {candidate.label}: {entry} needs {token}")
    return "\n".join(reasons)
