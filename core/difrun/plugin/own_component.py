"""A component of the user's own, in the place of one that a plugin offers."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from typing_extensions import override

from difrun.plugin.registered import Registered

YOURS = "yours"
"""What stands in the place of the distribution of a component that no plugin offers."""


@attrs.frozen
class Own(Registered):
    """A class, a function or an object of the user's, as a component.

    Attributes:
        target: What is called, as the target of a plugin's component is.
        path: What run.toml calls it: ``module:Class``, or ``yours:Class`` where no name leads back to it.
        record: What run.toml says of it: class, module, version, and how the run can be opened again.
    """

    target: Callable[..., Any] = attrs.field(kw_only=True)
    path: str = attrs.field(kw_only=True)
    record: Mapping[str, Any] = attrs.field(kw_only=True)

    @property
    @override
    def qualified(self) -> str:
        return self.path

    @property
    @override
    def label(self) -> str:
        return self.path

    @override
    def load(self) -> Any:
        """Return the target, which is there already."""
        return self.target
