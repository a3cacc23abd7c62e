"""Which metrics suit samples, by what these have beside them: classes, conditions, or neither."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from difrun.config.plan import ChosenComponent
from difrun.data.condition import all_equal
from difrun.plugin.signatures import requires
from difrun.text import listed

if TYPE_CHECKING:
    from difrun.runs.run import Run


def suited_metrics(
    run: "Run", metrics: Sequence[ChosenComponent], labels: Tensor | None
) -> tuple[ChosenComponent, ...]:
    """Return the metrics that suit the samples: those that require classes or conditions need these; a note says so.

    A note also says if samples of a single class or condition are compared with data of all of them.
    """
    fitting = [chosen for chosen in metrics if needs(chosen) in (None, kind_of(labels))]
    for need, what in (("labels", "classes"), ("conditions", "their conditions")):
        names = listed([f"'{chosen.name}'" for chosen in metrics if needs(chosen) == need])
        if names and kind_of(labels) != need:
            run.listener.note(
                f"metric {names} is left out: it compares samples with {what}, and these samples have none"
            )
    if labels is None:
        return tuple(fitting)
    others = [chosen for chosen in metrics if needs(chosen) is None]
    if kind_of(labels) == "conditions":
        if others and all_equal(labels):
            run.listener.note(
                "all samples have one condition; metrics other than joint-w2 compare them with data of all conditions"
            )
        return tuple(fitting)
    classes = run.parts.dataset.classes
    classes_drawn = labels.unique()
    if others and len(classes) > 1 and len(classes_drawn) == 1:
        run.listener.note(
            f"all samples are of class '{classes[int(classes_drawn)]}'; metrics other than per-class compare them with "
            f"data of all {len(classes)} classes"
        )
    return tuple(fitting)


def needs(metric: ChosenComponent) -> str | None:
    """Return what a metric requires of the samples: "labels", their classes, or "conditions"; None for neither."""
    target = metric.entry.load()
    return next((need for need in ("labels", "conditions") if requires(target, need)), None)


def kind_of(labels: Tensor | None) -> str | None:
    """Return what samples have: "labels", "conditions", or None for neither."""
    if labels is None:
        return None
    return "conditions" if labels.is_floating_point() else "labels"
