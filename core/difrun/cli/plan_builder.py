"""Build a plan from a command line: the flags over the environment over a file."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from difrun.cli.flags import OptionFlag, offered_options, option_flags
from difrun.config.option_groups import OptionGroup
from difrun.config.plan import Plan, assemble
from difrun.config.selection import Choice, choose, find
from difrun.config.settings import Settings, from_environ, merge, option_from_environ
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue
from difrun.plugin.registry import Registered, Registry
from difrun.text import plural

Offer = Mapping[str, Iterable[str] | None]
"""Kind or section -> the names of the options that a command offers; None: all of them."""


@attrs.frozen
class CommandRequest:
    """What a command line asks for.

    Attributes:
        plan: Everything resolved.
        named: The kinds that a flag or the environment names.
        given: (section, option) of the options that a flag or the environment sets.
    """

    plan: Plan
    named: frozenset[str]
    given: frozenset[tuple[str, str]]

    def only_given(self, section: str, option: str, value: Any) -> Any:
        """`value` if a flag or the environment set that option, else None."""
        return value if (section, option) in self.given else None

    def sets_options_of(self, kind: str) -> bool:
        """Whether a flag or the environment names a component of a kind such as metric, or sets one of its options."""
        return kind in self.named or any(section.startswith(f"{kind}.") for section, _ in self.given)


class PlanBuilder:
    """Finds the components that a command line names, the flags of their options, and finally the plan.

    Attributes:
        choice: The components: those that are named, and defaults that fit.
        trouble: Why they cannot work together; empty if they can. Only set if `tolerant`.
        flags: The flags of each part of the run, with their values so far.
    """

    def __init__(
        self,
        registry: Registry,
        kinds: Iterable[str],
        offered: Offer,
        file: Settings,
        by_flags: Settings,
        *,
        new_seed: bool = False,
        run_is_unknown: bool = False,
        tolerant: bool = False,
    ) -> None:
        """Read the file, the environment and the names among the flags.

        Args:
            registry: The installed components.
            kinds: The kinds that flags and the environment may name.
            offered: The options that the command offers.
            file: The settings that flags and the environment override. They may be changed here.
            by_flags: The components that flags name.
            new_seed: Take the seed after the one in the file, unless the user gives a seed.
            run_is_unknown: The command works on a run that is not named, as in its help.
            tolerant: Go on where components cannot work together, as help and completion do.

        Raises:
            ConfigError: If a name is not installed, or components cannot work together.
        """
        self.registry, self.new_seed, self.run_is_unknown = registry, new_seed, run_is_unknown
        environ = from_environ()
        environ.named = {kind: name for kind, name in environ.named.items() if kind in kinds}
        environ.options = {kind: given for kind, given in environ.options.items() if kind in kinds}
        self.by_user = merge(registry, environ, by_flags)
        _follow_the_sampler(registry, file, self.by_user)
        self.settings = merge(registry, file, self.by_user)
        self.trouble = ""
        try:
            self.choice = self._choose(registry)
        except ConfigError as error:
            if not tolerant:
                raise
            self.trouble = str(error)
            self.choice = Choice(find(registry, self.settings.named))
        self.from_environ = _options_from_environ(registry, self.choice, offered)
        self.below_flags = self._below_flags()
        self.flags: list[tuple[OptionGroup, list[OptionFlag]]] = option_flags(
            registry, self.choice, offered, self.below_flags, self._unset
        )

    def _choose(self, registry: Registry) -> Choice:
        """The named components and their defaults; without its argument RUN, a command knows the named ones only."""
        named = self.settings.named
        return Choice(find(registry, named)) if self.run_is_unknown else choose(registry, named)

    def _below_flags(self) -> dict[str, dict[str, GivenValue]]:
        """Section -> option -> its value where no flag sets it."""
        options = {name: dict(given) for name, given in self.settings.options.items()}
        for name, given in self.from_environ.items():
            options.setdefault(name, {}).update(given)
        seed = options.get("", {}).get("seed")
        if self.new_seed and seed is not None and isinstance(seed.value, int) and seed.layer == "file":
            options[""]["seed"] = attrs.evolve(seed, value=seed.value + 1, source=f"{seed.source}, plus 1")
        return options

    def _unset(self, flag: str) -> str:
        """The default of a flag in the help, if it depends on a run that is not named; else empty."""
        if not self.run_is_unknown:
            return ""
        return "the run's, plus 1" if flag == "--seed" and self.new_seed else "as in the run"

    def note(self, kind: str) -> str:
        """The component of a kind that is used and what names it, for the help of the kind's flag."""
        picked = self.choice.entries.get(kind)
        if not picked:
            return "  [default: as in the run]" if self.run_is_unknown else ""
        entries = picked if isinstance(picked, tuple) else (picked,)
        names = ", ".join(entry.label for entry in entries)
        if kind in self.choice.defaulted:
            every = f"all {plural(kind)} that fit: " if kind == "metric" else ""
            return f"  [default: {every}{names}]"
        named = self.settings.named.get(kind)
        first = named[0] if isinstance(named, list) and named else named
        if isinstance(first, GivenValue) and first.layer != "flag":
            return f"  [now: {names}, from {first.source}]"
        return f"  [chosen: {names}]"

    def request(self, values: Mapping[OptionFlag, Any]) -> CommandRequest:
        """The plan, in which the values of the flags override all others."""
        options = {name: dict(given) for name, given in self.below_flags.items()}
        by_user = {(name, option) for name, given in self.from_environ.items() for option in given}
        by_user |= {(name, option) for name, given in self.by_user.options.items() for option in given}
        for flag, value in values.items():
            options.setdefault(flag.section.name, {})[flag.field.name] = flag.given(value)
            by_user.add((flag.section.name, flag.field.name))
        plan = assemble(self.choice, options, self.registry)
        plan = attrs.evolve(plan, notes=(*self.settings.notes, *plan.notes))
        return CommandRequest(plan, frozenset(self.by_user.named), frozenset(by_user))


def _options_from_environ(
    registry: Registry, choice: Choice, offered: Offer
) -> dict[str, dict[str, GivenValue]]:
    """Section -> option -> its value, for the options on offer that the environment sets."""
    values: dict[str, dict[str, GivenValue]] = {}
    for group, options in offered_options(registry, choice, offered):
        for field in options:
            given = option_from_environ(group.section, field, os.environ)
            if given is not None:
                values.setdefault(group.section.name, {})[field.name] = given
    return values


def _follow_the_sampler(registry: Registry, file: Settings, by_user: Settings) -> None:
    """Drop the grid of the file if the user names a sampler that prefers a grid of its own."""
    if "sampler" in by_user.named and "grid" not in by_user.named:
        sampler = find(registry, {"sampler": by_user.named["sampler"]})["sampler"]
        if isinstance(sampler, Registered) and "grid" in sampler.component.prefers:
            file.named.pop("grid", None)
            file.options.pop("grid", None)
