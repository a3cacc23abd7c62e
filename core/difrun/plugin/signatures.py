"""What the core promises to a component, and asks of one, where several floors must know it. No torch."""

from difrun.api import Component

CONTEXT: dict[str, tuple[str, ...]] = {
    "process": (),
    "model": ("shape",),
    "loss": (),
    "sampler": (),
    "guidance": ("model",),
    "grid": ("process", "steps"),
    "dataset": ("seed",),
    "metric": ("samples", "reference", "generator"),
}
"""Kind -> what its target is called with beside the options. An exact or conditional model, one that asks for the
data, a guidance that asks for its context, a fitted grid and a metric of a known distribution, of labels or of the
data differ: see `context`."""


def context(kind: str, component: Component) -> tuple[str, ...]:
    """What the target of a component is called with beside its options."""
    if kind == "model" and "exact" in component.provides:
        return ("process", "dataset")
    if kind == "model":
        classes = ("classes",) if "conditional" in component.provides else ()
        return ("shape", *classes, *(("dataset",) if "data" in component.provides else ()))
    if kind == "guidance" and "context" in component.provides:
        return ("model", "context")
    if kind == "metric" and "labels" in component.provides:
        return ("samples", "labels", "dataset", "generator")
    if kind == "metric" and "distribution" in component.provides:
        return ("samples", "dataset", "generator")
    if kind == "metric" and "data" in component.provides:
        return ("samples", "reference", "dataset", "generator")
    if kind == "grid" and "fitted" in component.provides:
        return ("model", "steps", *(("sampler",) if "sampler" in component.provides else ()))
    return CONTEXT[kind]
