"""The list of checks, which components each check is for, and how a component is made for its checks."""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import torch

from difrun.api import Component
from difrun.errors import DifrunError
from difrun.loss.base import Loss
from difrun.options.attrs_fields import fields, values
from difrun.plugin.registry import Registered, Registry
from difrun.plugin.signatures import misfits
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess
from difrun.sampler.base import Sampler
from difrun.testing.references import ReferenceFlow, ReferenceVE, ReferenceVP
from difrun.testing.second_values import accepted, choices, second_options
from difrun.testing.verdict import NotTried, Refused, RuleBroken, ensure, place
from difrun.text import in_one_line

GAUSSIAN_RUN = frozenset({"real", "continuous", "gaussian", "sde", "ode"})
"""The capabilities of the kit's reference processes and data. A model adds "exact" or "network"."""

VP, VE, FLOW = ReferenceVP(), ReferenceVE(), ReferenceFlow()
"""The kit's processes. There is one of each, so that what is solved for it once serves all components."""

Run = Callable[[Any], None]


@attrs.frozen
class Check:
    """A rule for components.

    Attributes:
        run: A function that raises `RuleBroken` if a component breaks the rule, and `NotTried` if it has nothing to
            try. The first sentence of its docstring states the rule.
        kind: The kind of component that the rule is for, "any" for all kinds, "logger" for what listens to events, or
            "distribution".
        provides: The rule is for components that provide all of these capabilities.
        alone_in: The rule is for components that require none but these capabilities, and those of the Gaussian
            processes of their own distribution; None: any.
        declares: The rule is about a declaration: it is tried even if the target is wrong, and says nothing about
            what the component does.
        once: The rule is for the default options alone.
    """

    run: Run
    kind: str
    provides: frozenset[str] = frozenset()
    alone_in: frozenset[str] | None = None
    declares: bool = False
    once: bool = False

    @property
    def name(self) -> str:
        """The name of the rule."""
        return self.run.__name__

    @property
    def sentence(self) -> str:
        """The rule, as the first paragraph of its docstring states it."""
        return " ".join((self.run.__doc__ or "").strip().split("\n\n")[0].split())

    def fits(self, kind: str, component: Component, own: frozenset[str] = frozenset()) -> bool:
        """Whether the rule is for a component whose distribution has processes that provide `own`."""
        if self.kind not in (kind, "any") or not self.provides <= component.provides:
            return False
        return self.alone_in is None or component.requires <= self.alone_in | own


CHECKS: list[Check] = []


def check(
    kind: str,
    *,
    provides: Iterable[str] = (),
    alone_in: Iterable[str] | None = None,
    declares: bool = False,
    once: bool = False,
) -> Callable[[Run], Run]:
    """Register a function as a `Check`. A decorator."""

    def register(run: Run) -> Run:
        needed = None if alone_in is None else frozenset(alone_in)
        CHECKS.append(Check(run, kind, frozenset(provides), needed, declares, once))
        return run

    return register


MADE_ALONE = {"process": ForwardProcess, "loss": Loss, "sampler": Sampler}
"""Kinds whose components need their options alone, and what they must be."""


@attrs.frozen(slots=False, eq=False)
class ComponentUnderTest:
    """A component under test, with the options of one variant of it.

    Attributes:
        entry: The component.
        options: Its options.
        registry: The registry that contains it.
        variant: What differs from the default options, for the name of the test.
        against: Distributions whose processes it is also tried with.
        second: Whether its options have their second values. It is then tried with the kit's first process alone.
    """

    entry: Registered
    options: Any
    registry: Registry
    variant: str = ""
    against: tuple[str, ...] = ()
    second: bool = False

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

    def made(self, **offered: Any) -> Any:
        """`make`, but if an option must be set before the component can be made, the rule is not tried."""
        try:
            return self.make(**offered)
        except DifrunError as error:
            raise self.refusal(error, "it needs an option") from error

    def refusal(self, error: DifrunError, why: str) -> NotTried | RuleBroken:
        """What it means that the component is refused: not tried, unless no option could have changed that."""
        unset = any(field.default in (None, "") for field in fields(self.entry.component.options))
        if unset or self.variant:
            return NotTried(f"{why}: {in_one_line(error)}")
        return Refused(
            f"it is refused with its default options: {in_one_line(error)}", "one that can be used"
        )

    @cached_property
    def fault(self) -> tuple[str, str]:
        """The rule that a wrong target breaks, and what is wrong with it; two empty texts if nothing is.

        Raises:
            NotTried: If it can only be made with an option that has no default, such as a folder.
        """
        kind, component = self.entry.kind, self.entry.component
        try:
            wrong = misfits(kind, self.target, [field.name for field in fields(component.options)])
            if wrong:
                return "takes_exactly_its_options", "; ".join(wrong)
            if kind in MADE_ALONE:
                made = self.make()
                if not isinstance(made, MADE_ALONE[kind]):
                    base = MADE_ALONE[kind].__name__
                    return (
                        "can_be_made",
                        f"{component.target} makes a {type(made).__name__}, which is no {base}",
                    )
        except DifrunError as error:
            refused = self.refusal(error, "it needs an option")
            if isinstance(refused, NotTried):
                raise refused from error
            return "can_be_made", refused.measured
        except Exception as error:
            return "can_be_made", f"an error{place(error)}: {in_one_line(error)}"
        return "", ""

    @property
    def can_be_made(self) -> bool:
        """Whether the target is right, and no option has to be given."""
        try:
            return not any(self.fault)
        except NotTried:
            return False

    @cached_property
    def partners(self) -> list[GaussianProcess]:
        """Gaussian processes to test with: the kit's own, and those of the distribution under test.

        If the component requires what the kit's processes do not have, such as ``chain``, only those that have it.
        """
        needed = self.entry.component.requires & (self.own_tokens - GAUSSIAN_RUN)
        own = [
            process
            for dist in (self.entry.plugin.dist, *self.against)
            for tokens, process in gaussian_processes(self.registry, dist)
            if needed <= tokens
        ]
        kit: list[GaussianProcess] = [] if needed else [VP, VE]
        return [*kit, *own][:1] if self.second else [*kit, *own]

    @cached_property
    def vanishing(self) -> list[GaussianProcess]:
        """`partners`, and a process at whose end nothing of the data is left."""
        return [*self.partners, FLOW] if self.partners[0] is VP else self.partners

    @cached_property
    def own_tokens(self) -> frozenset[str]:
        """What the Gaussian processes of the distribution provide."""
        return frozenset().union(
            *(tokens for tokens, _ in gaussian_processes(self.registry, self.entry.plugin.dist))
        )


def components_under_test(
    entry: Registered, registry: Registry, against: tuple[str, ...] = ()
) -> list[ComponentUnderTest]:
    """The component with its defaults, with each other choice of an option that has choices, and with other numbers.

    The last variant has a second value for each option that is a number (`difrun.testing.second_values`).
    """
    cls = entry.component.options
    variants = [ComponentUnderTest(entry, cls(), registry, "", against)]
    for field in fields(cls):
        for value in choices(field.type):
            if value != field.default and accepted(cls, {field.name: value}) is not None:
                variant = f"({field.name}={str(value).lower()})"
                variants.append(
                    ComponentUnderTest(entry, cls(**{field.name: value}), registry, variant, against)
                )
    other = second_options(cls)
    if other is not None:
        variants.append(ComponentUnderTest(entry, other, registry, "(second values)", against, second=True))
    return variants


_processes: dict[tuple[int, str], tuple[Registry, list[tuple[frozenset[str], GaussianProcess]]]] = {}


def gaussian_processes(registry: Registry, dist: str) -> list[tuple[frozenset[str], GaussianProcess]]:
    """Every variant of the Gaussian processes of a distribution, and what it provides. Each is made once.

    Those that cannot be made are left out; they break rules of their own.
    """
    key = (id(registry), dist)
    if key not in _processes:
        made = []
        for entry in registry.entries("process"):
            if entry.plugin.dist == dist and "gaussian" in entry.component.provides:
                for subject in components_under_test(entry, registry):
                    if not subject.second and subject.can_be_made:
                        made.append((entry.component.provides, subject.make()))
        _processes[key] = (registry, made)
    return _processes[key][1]


@contextlib.contextmanager
def global_randomness_untouched(but: str = "") -> Iterator[None]:
    """Ensure that the block changes neither torch's, NumPy's nor Python's random state, nor torch's global settings.

    Args:
        but: One of the three that may be used.
    """
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 (it is what is tested)
    settings = _settings()
    try:
        yield
        after = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
        changed = {name: value for name, value in _settings().items() if value != settings[name]}
    finally:
        torch.set_grad_enabled(settings["gradients"])
        torch.set_default_dtype(settings["default dtype"])
    same = torch.equal(before[0], after[0]), repr(before[1]) == repr(after[1]), before[2] == after[2]
    for untouched, name in zip(same, ("torch", "NumPy", "Python"), strict=True):
        ensure(
            untouched or name == but,
            f"the global random state of {name} was used",
            "random numbers from the generator alone",
        )
    said = ", ".join(f"{name} = {value}" for name, value in changed.items())
    ensure(not changed, f"a setting of the whole program was changed: {said}", "settings as they were")


def _settings() -> dict[str, Any]:
    """Settings of torch for the whole program."""
    return {
        "gradients": torch.is_grad_enabled(),
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }
