"""The sampler and the grid that `difrun tune` found for one model."""

from collections.abc import Sequence
from typing import Any

from difrun.builtin.options import TUNABLE
from difrun.errors import DifrunError
from difrun.sampler.adams import Adams
from difrun.sampler.gaussian_frame import gaussian_frame
from difrun.sampler.multistep import Multistep, initial_state
from difrun.text import listed


def tuning_for(model: Any, steps: int) -> Any:
    """The `difrun.tuning.Tuning` of a model for a number of steps. Raises DifrunError where there is none."""
    tunings = getattr(model, "tunings", {})
    if steps not in tunings:
        have = listed([str(count) for count in sorted(tunings)])
        does = (
            f"'difrun tune RUN --steps {steps}' does it, for a run that is trained and has no guidance."
            if steps in TUNABLE
            else f"'difrun tune' is for {TUNABLE[0]} to {TUNABLE[-1]} steps."
        )
        raise DifrunError(
            f"Nothing is tuned for {steps} step{'' if steps == 1 else 's'} of this model"
            + (f"; tuned are {have}" if have else "")
            + f". {does}"
        )
    return tunings[steps]


def tuned(model: Any, steps: int) -> list[float]:
    """The grid that was tuned for this model and this number of steps."""
    return list(tuning_for(model, steps).times)


class Tuned(Multistep):
    """`adams` with the weights that were tuned for this model and this number of steps, on the tuned grid.

    As free weights belong to one grid, no order of convergence is behind them. One network evaluation per step.
    """

    order = None

    def scheme(self, steps: int) -> tuple[int, bool]:
        return Adams().scheme(steps)

    def prepare(self, model: Any, instants: Sequence[Any]) -> Any:
        """The state before the first step. Raises DifrunError for a grid other than the tuned one."""
        tuning = tuning_for(model, len(instants) - 1)
        if [at.t for at in instants] != tuning.times:
            raise DifrunError("The sampler 'tuned' goes with the grid that it was tuned on: --grid tuned.")
        frame = gaussian_frame(model)
        return initial_state(frame, self.changed(frame, instants, tuning.changes))
