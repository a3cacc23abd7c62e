"""Plugins with known faults: their parts, and a declaration that offers some of them."""

from pathlib import Path

PARTS, PROCESS_PARTS, DISCRETE_PARTS = (
    Path(__file__).with_name(name).read_text("utf-8")
    for name in ("samplers.py", "processes.py", "discrete.py")
)

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


def component(name, target, options=None, **more):
    more = {{"provides": (), "requires": (), **more}}
    extra = () if options is None else (options,)
    return Component(name, "{parts}:" + target, "One component with a known fault.", *extra, **more)

"""


def declare(site, dist, hooks, parts, imports=""):
    module = dist.replace("-", "_")
    site.module(f"{module}_parts", parts)
    site.add(dist, DECLARATION.format(imports=imports, parts=f"{module}_parts") + hooks)
