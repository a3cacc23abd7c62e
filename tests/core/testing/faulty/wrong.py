"""The table of wrong components: which rule each breaks, and nothing else."""

from pathlib import Path

import attrs

from .declaration import declare

IDLE = "has_options_that_have_an_effect"

HOOKS = {
    "process": "difrun_processes",
    "model": "difrun_models",
    "loss": "difrun_losses",
    "sampler": "difrun_samplers",
    "guidance": "difrun_guidances",
    "grid": "difrun_grids",
    "dataset": "difrun_datasets",
    "metric": "difrun_metrics",
}

TOKENS = {
    "process": "provides={'gaussian', 'sde', 'ode'}",
    "model": "provides={'network'}",
    "discrete": "provides={'discrete'}",
    "exact": "provides={'exact'}, requires={'gaussian'}",
    "loss": "requires={'gaussian', 'network'}",
    "sampler": "requires={'gaussian', 'ode'}",
    "guidance": "requires={'gaussian'}",
    "grid": "requires={'gaussian'}",
    "dataset": "provides={'real'}",
    "metric": "requires={'real'}",
}


KIND = {"exact": "model", "discrete": "process"}
"""The kinds of the table that are parts of a kind of component."""


@attrs.frozen
class Wrong:
    """A component, and the rules that it breaks.

    Attributes:
        kind: Its kind; "exact" for an exact model, "discrete" for a process of finitely many states.
        target: The class or function in the parts of its kind.
        rules: The rules that it breaks, the one that it is there for first. None for a right one.
        options: The options class, one of `declaration` or `install`; empty for none.
        more: Further arguments of the component.
        at_least: Whether it may break other rules as well, as it cannot but.
        called: Its name, for a target that is declared in several ways.
    """

    kind: str
    target: str
    rules: tuple[str, ...] = ()
    options: str = ""
    more: str = ""
    at_least: bool = False
    called: str = ""

    @property
    def name(self):
        return self.called or self.target.replace("_", "-").lower()

    @property
    def subject(self):
        return f"{KIND.get(self.kind, self.kind)}:{self.name}"

    @property
    def declaration(self):
        options = self.options or "None"
        return f"component({self.name!r}, {self.target!r}, {options}, {self.more or TOKENS[self.kind]})"


def install(site, dist, parts, table):
    """A distribution that offers all components of a table, whose targets are in one module of `faulty`."""
    hooks = []
    for kind, hook in HOOKS.items():
        own = [wrong.declaration for wrong in table if KIND.get(wrong.kind, wrong.kind) == kind]
        if own:
            hooks.append(f"@hookimpl\ndef {hook}():\n    return [{', '.join(own)}]\n")
    text = Path(__file__).with_name(f"{parts}.py").read_text("utf-8")
    sized = "@attrs.frozen\nclass Sized:\n    n: int = option(400, 'Number of examples.', gt(10))\n\n\n"
    strong = "@attrs.frozen\nclass Strong:\n    scale: float = option(1.5, 'Strength.', gt(0))\n\n\n"
    strong += strong.replace("Strong:", "Still:").replace("gt(0))", "gt(0), second=1.5)")
    declare(site, dist, sized + strong + "\n\n".join(hooks), text)
