"""tuning.json: what `difrun tune` found for the model of a run."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from difrun.errors import DifrunError
from difrun.runs.folder.layout import Folder
from difrun.storage import atomic
from difrun.text import quoted
from difrun.tuning.result import Tuning
from difrun.tuning.tune import tune

if TYPE_CHECKING:
    from difrun.runs.run import Run


def read(folder: Folder) -> dict[int, Tuning]:
    """Number of steps -> what was found for it; empty where nothing is. Raises DifrunError for a damaged file."""
    if not folder.tuning.is_file():
        return {}
    try:
        content = json.loads(folder.tuning.read_text(encoding="utf-8"))
        return {int(steps): _tuning(int(steps), given) for steps, given in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DifrunError(
            f"{folder.tuning} is damaged ({error}). Remove it; 'difrun tune {quoted(folder.path)}' writes it again."
        ) from error


def write(folder: Folder, tunings: Mapping[int, Tuning]) -> None:
    content = {str(steps): attrs.asdict(tunings[steps]) for steps in sorted(tunings)}
    atomic.write_text(folder.tuning, json.dumps(content, indent=1) + "\n")


def improve(
    run: "Run", steps: int, free_weights: bool, iterations: int | None, watch: Callable[[int, int], Any]
) -> Tuning:
    """Tune the model of a run for so many steps, and keep what is found unless an earlier tuning is nearer."""
    tuning = tune(
        run.parts.model,
        steps,
        free_weights=free_weights,
        iterations=iterations,
        seed=run.plan.seed,
        watch=watch,
    )
    kept = read(run.folder)
    if steps in kept and kept[steps].median <= tuning.median:
        run.listener.note(
            f"the earlier tuning for {steps} steps stays: its median error is {kept[steps].median:.2g}, that of the "
            f"new one {tuning.median:.2g}"
        )
        tuning = kept[steps]
    run.parts.model.tunings = {**kept, steps: tuning}
    write(run.folder, run.parts.model.tunings)
    return tuning


def _tuning(steps: int, given: Mapping[str, Any]) -> Tuning:
    tuning = Tuning(**given)
    if len(tuning.times) != steps + 1 or (tuning.changes is not None and len(tuning.changes) != steps):
        raise ValueError(f"the entry {steps} is not for {steps} steps")
    return tuning
