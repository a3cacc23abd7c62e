"""A component that a plugin offers: its names, its target, and how it is called."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from difrun.api import Component
from difrun.errors import DifrunError
from difrun.options.attrs_fields import fields
from difrun.plugin import signatures
from difrun.plugin.containment import contained, watching_for_interrupts
from difrun.plugin.packages import Plugin
from difrun.text import in_one_line


@attrs.frozen
class Registered:
    """A component, its kind, and the plugin that offers it.

    Attributes:
        kind: A key of `difrun.api.KINDS`.
        component: The component as it was declared.
        plugin: The plugin that offers it.
        ambiguous: Whether another plugin offers the same name.
    """

    kind: str
    component: Component
    plugin: Plugin
    ambiguous: bool = False

    @property
    def name(self) -> str:
        """The name of the component."""
        return self.component.name

    @property
    def qualified(self) -> str:
        """``dist:name``, which always finds this component."""
        return f"{self.plugin.dist}:{self.component.name}"

    @property
    def label(self) -> str:
        """The shortest text that finds this component: its name, or ``dist:name`` if two plugins offer the name."""
        return self.qualified if self.ambiguous else self.name

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}' ({self.plugin.dist})"

    def load(self) -> Any:
        """Import the target.

        Raises:
            DifrunError: If that fails. The message names the distribution.
        """
        module, _, attribute = self.component.target.partition(":")
        with watching_for_interrupts() as interrupted:
            return self._load(module, attribute, interrupted)

    def _load(self, module: str, attribute: str, interrupted: Callable[[], bool]) -> Any:
        try:
            with contained(self._warn_of_change, at_import=True):
                return getattr(importlib.import_module(module), attribute)
        except BaseException as error:
            if interrupted():
                raise
            raise DifrunError(
                f"{self} could not be loaded from {self.component.target}: {in_one_line(error)}\n"
                f"This is a fault of {self.plugin.dist} {self.plugin.version}: see 'difrun doctor --load'."
            ) from error

    def _warn_of_change(self, what: str) -> None:
        warnings.warn(f"{self.plugin.dist} changed {what}; it is restored", RuntimeWarning, stacklevel=2)

    def call(self, offered: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        """Call the target with its options, and with the values on offer that its signature names.

        Raises:
            DifrunError: If the signature does not fit (`difrun.plugin.signatures.call`). The message names this
                component and its distribution.
        """
        target = self.load()
        with contained(self._warn_of_change):
            return signatures.call(self.kind, target, offered, options, owner=str(self))

    def refuse_misfit(self, options: Mapping[str, Any]) -> None:
        """Refuse a target whose signature asks for what is not on offer, or does not take an option. Loads the target.

        Raises:
            DifrunError: If the signature does not fit. The message names this component and its distribution.
        """
        signatures.refuse_misfit(self.kind, self.load(), options, owner=str(self))

    def asks_for(self, name: str) -> bool:
        """Whether the signature of the target names a value on offer, and not an option. Loads the target."""
        is_option = name in [field.name for field in fields(self.component.options)]
        return not is_option and signatures.asks_for(self.load(), name)
