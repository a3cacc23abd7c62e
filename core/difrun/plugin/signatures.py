"""Arguments by name: each kind has values on offer, and a target receives those that its signature names.

This is pytest's idea. One table, `ON_OFFER`, lists the values. The calls (`call`), the messages for a signature that
asks for something else (`misfits`), and the page docs/arguments.md follow it. Nothing here imports torch.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from difrun.errors import DifrunError
from difrun.plugin.arguments import EVENT_ARGUMENTS, Argument
from difrun.text import closest, listed


@attrs.frozen
class Lazy:
    """A value on offer that is made only when a signature names it."""

    make: Callable[[], Any]


PICTURES = "pictures"
"""The key of `ON_OFFER` for the functions that draw the pictures of a dataset."""

_DATASET = Argument("dataset", "difrun.data.Dataset", "The data of the run.")
_PROCESS = Argument("process", "difrun.process.ForwardProcess", "The forward process of the run.")

ON_OFFER: dict[str, tuple[Argument, ...]] = {
    "process": (),
    "model": (
        Argument("shape", "tuple[int, ...]", "The shape of one example."),
        Argument("classes", "int", "The number of classes to train on; 0 for training without labels."),
        Argument(
            "condition_shape",
            "tuple[int, ...] | None",
            "The shape of the condition of an example, numbers with NaN for what is not known; None without one. A "
            "network that asks for it is called with conditions in the place of labels.",
        ),
        _DATASET,
        _PROCESS,
    ),
    "loss": (),
    "sampler": (),
    "guidance": (
        Argument("model", "difrun.model.ScoreModel", "The model to guide."),
        Argument(
            "context", "difrun.guidance.Context", "The run: its folder, seed and device, and its listener."
        ),
        _DATASET,
    ),
    "grid": (
        _PROCESS,
        Argument("steps", "int", "The number of steps; the grid has steps + 1 times."),
        Argument(
            "model",
            "difrun.model.ScoreModel",
            "The trained model. A grid that asks for it waits for training.",
        ),
        Argument(
            "sampler",
            "difrun.sampler.Sampler | None",
            "The sampler that takes the steps. None where no sampler does: for the steps of the evidence lower bound.",
        ),
    ),
    "dataset": (Argument("seed", "int", "The seed of everything that the dataset draws."),),
    "metric": (
        Argument("samples", "Tensor (n, *shape)", "The samples, in the units of the model."),
        Argument(
            "reference",
            "Tensor (n, *shape)",
            "The same number of real examples. A metric that also asks for labels gets examples of the same classes, "
            "row by row.",
        ),
        Argument(
            "dataset",
            "difrun.data.Dataset",
            "The data of the run. A metric that asks for it and not for a reference is compared with the distribution "
            "itself.",
        ),
        Argument("labels", "Tensor (n,), int64", "The classes of the samples."),
        Argument(
            "conditions", "Tensor (n, *shape)", "The conditions of the samples, in the units of the model."
        ),
        Argument("reference_conditions", "Tensor (n, *shape)", "The conditions of the real examples."),
        Argument("generator", "torch.Generator", "Random numbers, for projections and subsets."),
    ),
    "format": (
        Argument("run", "difrun.runs.run.Run", "The run, trained; its model is `run.model`."),
        Argument("folder", "pathlib.Path", "The folder to write; it does not exist, or is empty."),
    ),
    PICTURES: (Argument("scene", "difrun.data.Scene", "The samples, examples and frames to draw."),),
    **EVENT_ARGUMENTS,
}
"""Kind of component, event, or `PICTURES` -> the values on offer, in the order in which messages list them."""


def call(
    kind: str,
    target: Callable[..., Any],
    offered: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
    *,
    owner: str = "",
) -> Any:
    """Call a target with its options, and with the values on offer that its signature names.

    A parameter with a default that is neither an option nor on offer keeps its default. ``**kwargs`` receive options
    alone. An option has precedence over a value on offer of the same name.

    Args:
        kind: A key of `ON_OFFER`.
        target: The class or function.
        offered: Name -> value, or `Lazy` for a value that is costly to make.
        options: Name -> value. The target must take all of them.
        owner: The component, for messages.

    Returns:
        What the target returns.

    Raises:
        DifrunError: If the signature asks for something that is not on offer, or does not take an option.
    """
    options = options or {}
    refuse_misfit(kind, target, options, owner)
    positional: list[Any] = []
    keywords = dict(options)
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name not in options:
            if parameter.name in offered:
                value = offered[parameter.name]
                keywords[parameter.name] = value.make() if isinstance(value, Lazy) else value
            elif parameter.default is parameter.empty:
                text = f"{_article(kind)} has no `{parameter.name}` here, and `{_name(target)}` asks for it."
                raise DifrunError(_owned(owner, text))
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(keywords.pop(parameter.name, parameter.default))
    returned = target(*positional, **keywords)
    if inspect.iscoroutine(returned):
        returned.close()  # or Python warns that it was never awaited
        raise DifrunError(
            _owned(owner, f"`{_name(target)}` is an async function, and {_article(kind)} is none.")
        )
    return returned


def misfits(kind: str, target: Callable[..., Any], options: Iterable[str] = ()) -> list[str]:
    """What is wrong with the signature of a target: a sentence for each fault, without a full stop."""
    options = list(options)
    parameters = inspect.signature(target).parameters.values()
    known = [*(argument.name for argument in ON_OFFER[kind]), *options]
    faults = []
    for parameter in parameters:
        if parameter.name not in known and _is_required(parameter):
            guess = closest(parameter.name, known)
            faults.append(
                f"{_may_ask(kind, options)}; `{_name(target)}` asks for `{parameter.name}`"
                + (f": did you mean `{guess}`?" if guess else "")
            )
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        named = {parameter.name for parameter in parameters}
        faults += [
            f"`{_name(target)}` does not take its option `{name}`" for name in options if name not in named
        ]
    return faults


def refuse_misfit(
    kind: str, target: Callable[..., Any], options: Iterable[str] = (), owner: str = ""
) -> None:
    """Raise DifrunError where a signature asks for something that is not on offer, or does not take an option."""
    wrong = misfits(kind, target, options)
    if wrong:
        raise DifrunError(_owned(owner, _as_sentence("; ".join(wrong))))


def asks_for(target: Callable[..., Any], name: str) -> bool:
    """Whether the signature of a target names a value."""
    return name in inspect.signature(target).parameters


def requires(target: Callable[..., Any], name: str) -> bool:
    """Whether the signature of a target names a value and has no default for it."""
    parameter = inspect.signature(target).parameters.get(name)
    return parameter is not None and _is_required(parameter)


def _is_required(parameter: inspect.Parameter) -> bool:
    variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variable


def _may_ask(kind: str, options: list[str]) -> str:
    """``a metric may ask for samples, reference, dataset, labels, generator and its options k, max_points``."""
    offered = [argument.name for argument in ON_OFFER[kind]]
    wishes = [listed(offered)]
    if options:
        wishes.append(f"its option{'s' if len(options) > 1 else ''} {listed(options)}")
    named = " and ".join(filter(None, wishes))
    return f"{_article(kind)} may ask for {named or 'nothing, as it has no options'}"


def _article(kind: str) -> str:
    if kind == PICTURES:
        return "a function that draws the pictures of a dataset"
    return f"the hook {kind}" if kind.startswith("difrun_") else f"a {kind}"


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__name__", type(target).__name__)


def _as_sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _owned(owner: str, text: str) -> str:
    return f"{owner}: {text}" if owner else text
