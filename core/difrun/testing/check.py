"""The list of checks, which components each check is for, and how a component is made for its checks."""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

import attrs
import numpy as np
import torch

from difrun.api import Component
from difrun.options.attrs_fields import fields, values
from difrun.options.parsing import members
from difrun.plugin.registry import Registered, Registry
from difrun.process.gaussian import GaussianProcess
from difrun.testing.references import ReferenceVE, ReferenceVP

GAUSSIAN_RUN = frozenset({"real", "continuous", "gaussian", "sde", "ode"})
"""The capabilities of the kit's reference processes and data. A model adds "exact" or "network"."""

Run = Callable[[Any], None]


@attrs.frozen
class Check:
    """A rule for components.

    Attributes:
        run: A function that raises AssertionError if a component breaks the rule. Its docstring states the rule.
        kind: The kind of component that the rule is for, "any" for all kinds, or "distribution".
        provides: The rule is for components that provide all of these capabilities.
        alone_in: The rule is for components that require none but these capabilities; None: any.
    """

    run: Run
    kind: str
    provides: frozenset[str] = frozenset()
    alone_in: frozenset[str] | None = None

    @property
    def name(self) -> str:
        """The name of the rule."""
        return self.run.__name__

    def fits(self, kind: str, component: Component) -> bool:
        """Whether the rule is for a component."""
        if self.kind not in (kind, "any") or not self.provides <= component.provides:
            return False
        return self.alone_in is None or component.requires <= self.alone_in


CHECKS: list[Check] = []


def check(
    kind: str, *, provides: Iterable[str] = (), alone_in: Iterable[str] | None = None
) -> Callable[[Run], Run]:
    """Register a function as a `Check`. A decorator."""

    def register(run: Run) -> Run:
        needed = None if alone_in is None else frozenset(alone_in)
        CHECKS.append(Check(run, kind, frozenset(provides), needed))
        return run

    return register


@attrs.frozen(slots=False, eq=False)
class ComponentUnderTest:
    """A component under test, with the options of one variant of it.

    Attributes:
        entry: The component.
        options: Its options.
        registry: The registry that contains it.
        variant: What differs from the default options, for the name of the test.
    """

    entry: Registered
    options: Any
    registry: Registry
    variant: str = ""

    @property
    def label(self) -> str:
        """The name of the component and its variant."""
        return self.entry.name + self.variant

    @cached_property
    def target(self) -> Any:
        """The class or function behind the component."""
        return self.entry.load()

    def make(self, **offered: Any) -> Any:
        """The component, made as a run makes it: with its options, and the values on offer that it asks for."""
        return self.entry.call(offered, values(self.options))

    @cached_property
    def partners(self) -> list[GaussianProcess]:
        """Gaussian processes to test with: the kit's own, and those of the distribution under test."""
        return [ReferenceVP(), ReferenceVE(), *gaussian_processes(self.registry, self.entry.plugin.dist)]


def components_under_test(entry: Registered, registry: Registry) -> list[ComponentUnderTest]:
    """The component with its defaults, and with each other choice of an option that has choices."""
    cls = entry.component.options
    variants = [ComponentUnderTest(entry, cls(), registry)]
    for field in fields(cls):
        for value in _choices(field.type):
            if value != field.default:
                with contextlib.suppress(ValueError):  # a choice that other options must allow
                    variant = f"({field.name}={str(value).lower()})"
                    variants.append(ComponentUnderTest(entry, cls(**{field.name: value}), registry, variant))
    return variants


def _choices(hint: Any) -> list[Any]:
    if hint is bool:
        return [False, True]
    return [value for member in members(hint) if get_origin(member) is Literal for value in get_args(member)]


_processes: dict[tuple[int, str], list[GaussianProcess]] = {}


def gaussian_processes(registry: Registry, dist: str) -> list[GaussianProcess]:
    """Every variant of the Gaussian processes of a distribution. Each is made once."""
    key = (id(registry), dist)
    if key not in _processes:
        entries = [entry for entry in registry.entries("process") if entry.plugin.dist == dist]
        gaussian = [entry for entry in entries if "gaussian" in entry.component.provides]
        _processes[key] = [
            subject.make() for entry in gaussian for subject in components_under_test(entry, registry)
        ]
    return _processes[key]


@contextlib.contextmanager
def global_randomness_untouched() -> Iterator[None]:
    """Assert that the block changes neither torch's, NumPy's nor Python's global random state."""
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 (it is what is tested)
    yield
    assert torch.equal(before[0], torch.get_rng_state()), "torch's global random state was used"
    assert repr(before[1]) == repr(np.random.get_state()), "NumPy's global random state was used"  # noqa: NPY002
    assert before[2] == random.getstate(), "Python's global random state was used"
