"""The kinds of plugin that can be made, and what their packages say and need."""

import attrs

_ATTRS, _TORCH = "attrs>=23.2", "torch>=2.6"


@attrs.frozen
class NewKind:
    """A kind of plugin, and what the templates of its folder cannot know.

    Attributes:
        summary: What the component of the templates does, in one line.
        component: The kind of the component, a key of `difrun.api.KINDS`; empty for a plugin of events alone.
        module: The module that holds the work.
        command: A command that uses the component; ``{name}`` stands for its name.
        needs: What the package imports, beside difrun.
        outcome: What one sees when the command has run.
        is_class: Whether the component is a class, and not a function.
    """

    summary: str
    component: str
    module: str
    command: str
    needs: tuple[str, ...] = (_ATTRS, _TORCH)
    outcome: str = "The report of the run, report.html in its folder, compares the samples with the data."
    is_class: bool = False


_NEEDS_PROCESS = "The command needs a process, such as that of difrun-ou. " + NewKind("", "", "", "").outcome

KINDS = {
    "process": NewKind(
        "Variance-preserving with less noise on the way (sub-VP)",
        "process",
        "process",
        "difrun --process {name}",
        is_class=True,
    ),
    "model": NewKind(
        "Network of two hidden layers",
        "model",
        "network",
        "difrun --model {name}",
        outcome=_NEEDS_PROCESS,
        is_class=True,
    ),
    "loss": NewKind(
        "Noise prediction with min-SNR weights",
        "loss",
        "loss",
        "difrun --loss {name}",
        (_ATTRS,),
        outcome=_NEEDS_PROCESS,
    ),
    "sampler": NewKind(
        "DDIM with a share of the noise renewed",
        "sampler",
        "sampler",
        "difrun --sampler {name} --model exact --dataset blobs",
        outcome=_NEEDS_PROCESS,
        is_class=True,
    ),
    "guidance": NewKind(
        "Keep the predicted data within bounds",
        "guidance",
        "guidance",
        "difrun --guidance {name} --model exact --dataset blobs",
        outcome=_NEEDS_PROCESS,
    ),
    "grid": NewKind(
        "Equal steps in a root of t",
        "grid",
        "grid",
        "difrun --grid {name} --model exact --dataset blobs",
        (_ATTRS,),
        outcome=_NEEDS_PROCESS,
    ),
    "dataset": NewKind(
        "Three Gaussians at the corners of a triangle",
        "dataset",
        "dataset",
        "difrun --dataset {name} --model exact",
        (_ATTRS,),
        outcome=_NEEDS_PROCESS,
    ),
    "metric": NewKind(
        "Wasserstein distance of single coordinates",
        "metric",
        "metric",
        "difrun --metric {name} --model exact --dataset blobs",
        outcome=_NEEDS_PROCESS,
    ),
    "discrete-process": NewKind(
        "Spins that flip at random, one by one",
        "process",
        "process",
        "difrun --process {name}",
        outcome="The package also has data to try the process on, their exact model, and a metric of spins. Networks "
        "and losses for discrete processes are in difrun-ising, or further components of your own.",
        is_class=True,
    ),
    "logger": NewKind(
        "Losses, metrics and the end of a run as a CSV file",
        "",
        "log",
        "difrun --model mlp",
        (),
        outcome="Every run then has a file {name}.csv in its folder. The command needs a process, such as that of "
        "difrun-ou.",
        is_class=True,
    ),
}
"""What `difrun plugin new --kind` takes."""
