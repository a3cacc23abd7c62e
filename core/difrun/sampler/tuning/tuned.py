"""The sampler and the grid that `difrun tune` has optimised for one model."""

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from difrun.builtin.options import TUNABLE
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.sampler.adams import Adams
from difrun.sampler.gaussian_frame import gaussian_frame
from difrun.sampler.multistep import Multistep, initial_state
from difrun.text import listed


def tuning_for(model: ScoreModel, steps: int) -> Any:
    """Return the `difrun.sampler.tuning.Tuning` of a model for a number of steps.

    Raises:
        DifrunError: If the model is not tuned for that number; the message says which are and what to do.
    """
    tunings = getattr(model, "tunings", {})
    if steps in tunings:
        return tunings[steps]
    message = f"Nothing is tuned for {steps} step{'' if steps == 1 else 's'} of this model"
    if tunings:
        message += f"; it is tuned for {listed([str(count) for count in sorted(tunings)])}"
    if steps in TUNABLE:
        advice = f"'difrun tune RUN --steps {steps}' tunes it, if the run is trained and has no guidance."
    else:
        advice = f"'difrun tune' is for {TUNABLE[0]} to {TUNABLE[-1]} steps."
    raise DifrunError(f"{message}. {advice}")


def tuned(model: ScoreModel, steps: int) -> list[float]:
    """Return the grid that is tuned for this model and this number of steps."""
    return list(tuning_for(model, steps).times)


class Tuned(Multistep):
    """`adams` with the weights that are tuned for this model and this number of steps, on the tuned grid.

    Tuned weights belong to one grid, so that this sampler has no order of convergence. One network evaluation per step.
    """

    order = None
    inverts = False  # the weights are tuned for one direction

    @override
    def scheme(self, steps: int) -> tuple[int, bool]:
        return Adams().scheme(steps)

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> Any:
        """Return the state before the first step.

        Raises:
            DifrunError: If the grid is not the tuned one.
        """
        tuning = tuning_for(model, len(instants) - 1)
        if [at.t for at in instants] != tuning.times:
            raise DifrunError("The sampler 'tuned' goes with the grid that it was tuned on: --grid tuned.")
        frame = gaussian_frame(model)
        return initial_state(frame, self.changed(frame, instants, tuning.changes))
