"""tuning.json: what `difrun tune` found for the model of a run."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from difrun.errors import DifrunError
from difrun.plugin.signatures import Lazy
from difrun.runs.folder.contents import tunings
from difrun.runs.folder.layout import Folder
from difrun.runs.folder.schema import fitting, read_json
from difrun.sampler.tuning.result import Tuning
from difrun.sampler.tuning.search import tune
from difrun.storage import atomic
from difrun.text import quoted

if TYPE_CHECKING:
    from difrun.runs.run import Run


def read(folder: Folder) -> dict[int, Tuning]:
    """Return number of steps -> its tuning; empty if nothing has been tuned.

    Raises:
        DifrunError: If the file is damaged.
    """
    if not folder.tuning.is_file():
        return {}
    advice = f"Remove it; 'difrun tune {quoted(folder.path)}' writes it again."
    content = fitting(tunings, read_json(folder.tuning, advice), folder.tuning, advice)
    fields = [field.name for field in attrs.fields(Tuning)]
    return {int(steps): Tuning(**{name: given[name] for name in fields}) for steps, given in content.items()}


def write(folder: Folder, tunings: Mapping[int, Tuning]) -> None:
    """Write tuning.json."""
    content = {str(steps): attrs.asdict(tunings[steps]) for steps in sorted(tunings)}
    atomic.write_text(folder.tuning, json.dumps(content, indent=1) + "\n")


def improve(
    run: "Run", steps: int, free_weights: bool, iterations: int | None, watch: Callable[[int, int], Any]
) -> Tuning:
    """Tune the model of a run for a number of steps, and keep the result unless an earlier tuning is better.

    Args:
        run: A trained run.
        steps: The number of steps.
        free_weights: Tune the weights of the method as well as the grid.
        iterations: See `difrun.sampler.tuning.tune`.
        watch: Called with the number of iterations that are done, and their total number.

    Raises:
        DifrunError: If the run has a guidance, or its process is not Gaussian.
    """
    provides = run.plan.process.entry.component.provides
    if not {"gaussian", "ode"} <= provides or run.plan.guides:
        raise DifrunError(
            "Tuning needs the probability flow of a model without guidance on a Gaussian process, which "
            f"{run.path} does not have."
        )
    run.listener.stage(f"tune {steps}")
    tuning = tune(
        run.parts.model,
        steps,
        free_weights=free_weights,
        iterations=iterations,
        seed=run.plan.seed,
        watch=watch,
    )
    earlier = read(run.folder)
    if steps in earlier and earlier[steps].median <= tuning.median:
        run.listener.note(
            f"the earlier tuning for {steps} steps stays: its median error is {earlier[steps].median:.2g}, that of the "
            f"new one {tuning.median:.2g}"
        )
        tuning = earlier[steps]
    run.parts.model.tunings = {**earlier, steps: tuning}
    write(run.folder, run.parts.model.tunings)
    run.tell("difrun_tuned", steps=steps, tuning=Lazy(lambda: attrs.asdict(tuning)))
    return tuning
