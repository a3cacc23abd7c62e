"""What fits with what: each capability that a component requires is provided by another one."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from difrun.api import KINDS
from difrun.plugin.registered import Registered

if TYPE_CHECKING:
    from difrun.plugin.registry import Registry


VOCABULARY = frozenset(
    {
        *("real", "spins", "categories", "images", "lattice", "classes"),
        *("gaussian", "discrete", "continuous", "sde", "ode", "chain"),
        *("network", "exact", "conditional", "x0-distribution", "labels", "conditions", "tuned"),
    }
)
"""Known capabilities: none of them is a misspelling, even if nothing installed provides it."""


def flattened(chosen: Mapping[str, Any]) -> list[Registered]:
    """The chosen components of all kinds in one list."""
    entries: list[Registered] = []
    for picked in chosen.values():
        entries += [picked] if isinstance(picked, Registered) else list(picked or ())
    return entries


def missing_capabilities(requires: Iterable[str], provided: Iterable[str]) -> list[str]:
    """The capabilities that are required but not provided, sorted."""
    return sorted(set(requires) - set(provided))


def unmet_requirements(registry: "Registry", chosen: Mapping[str, Any]) -> list[tuple[Registered, str]]:
    """(component, capability) for each requirement that neither the chosen nor the open kinds can meet."""
    picked = flattened(chosen)
    provided = {token for entry in picked for token in entry.component.provides}
    open_kinds = [kind for kind in KINDS if kind not in chosen]
    provided |= {
        token for kind in open_kinds for entry in registry.entries(kind) for token in entry.component.provides
    }
    return [
        (entry, token)
        for entry in picked
        for token in missing_capabilities(entry.component.requires, provided)
    ]
