"""Plugins with known faults: a declaration that offers some of their parts."""

from pathlib import Path

PARTS = Path(__file__).with_name("grids.py").read_text("utf-8")

DECLARATION = """
import attrs
{imports}
from attrs.validators import gt

from difrun.api import Component, hookimpl, option


@attrs.frozen
class Scaled:
    scale: float = option(1.0, "Scale of the step.", gt(0))


@attrs.frozen
class Unexplained:
    scale: float = option(1.0, "")


@attrs.frozen
class Doubled:
    scale: float = option(2.0, "Scale of the step.", gt(0))


@attrs.frozen
class InWords:
    scale: float = option("1.0", "Scale of the step.")


class Anything:
    compare_op, bound = ">", 0.0

    def __call__(self, *arguments):
        pass


@attrs.frozen
class Unbounded:
    scale: float = option(1.0, "Scale of the step.", Anything())


def component(name, target, options=None, **more):
    more = {{"provides": (), "requires": (), **more}}
    extra = () if options is None else (options,)
    summary = more.pop("summary", "One component with a known fault.")
    return Component(name, "{parts}:" + target, summary, *extra, **more)

"""


def declare(site, dist, hooks, parts, imports=""):
    module = dist.replace("-", "_")
    site.module(f"{module}_parts", parts)
    site.add(dist, DECLARATION.format(imports=imports, parts=f"{module}_parts") + hooks)
