"""Training that ends before its plan does, or goes on beyond it."""

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from difrun.config.plan import Plan
from difrun.config.run_options import TrainOptions
from difrun.errors import DifrunError
from difrun.runs.folder import lock
from difrun.text import quoted

if TYPE_CHECKING:
    from difrun.runs.run import Run


def cut_short(run: "Run") -> None:
    """End the training of a run where it was left, and record that.

    Raises:
        DifrunError: If no weights are saved.
    """
    if run.trained:
        run.listener.note("this run is trained to its end; there is nothing to cut short")
        return
    if run.trainer is None or run.trainer.step == 0:
        raise DifrunError(
            f"{run.path} holds no weights: it was stopped before any were saved. Train it first: "
            f"'difrun resume {quoted(run.path)}'."
        )
    step = run.trainer.step
    run.listener.note(f"training ends at step {step} of {run.plan.train.steps}, where it was left")
    with lock.hold_lock(run.path):
        run.folder.refuse_replaced()
        run.folder.record_training(stop_at=step)
    run.plan = attrs.evolve(run.plan, train=attrs.evolve(run.plan.train, stop_at=step))
    run.trainer.options = run.plan.train
    run.trainer.finish()


def extend(run: "Run", steps: int) -> None:
    """Plan `steps` training steps in place of fewer, record that, and remove the results of the weights so far.

    Raises:
        DifrunError: If the model is not trained, its training was cut short or is bounded by a time, or `steps` is not
            more than planned.
    """
    options = _extended(run.plan, steps, run.path)
    with lock.hold_lock(run.path):
        run.folder.refuse_replaced()
        # Removed first: were the command killed in between, `resume` would keep them for the new weights.
        for file in run.folder.results():
            file.unlink(missing_ok=True)
        run.folder.record_training(steps=options.steps, restarts=list(options.restarts))
    run.listener.note(
        f"training goes on to step {steps}. The learning rate falls to 0 by step {run.plan.train.steps}, rises to "
        f"{options.lr:g} again over the next {options.warmup} steps and falls to 0 by step {steps}. What was sampled "
        "and measured before is replaced"
    )
    run.plan = attrs.evolve(run.plan, train=options)
    if run.trainer is not None:
        run.trainer.options = options


def _extended(plan: Plan, steps: int, path: Path) -> TrainOptions:
    """The options of training to step `steps`: a new schedule follows the last one."""
    options = plan.train
    if plan.loss is None:
        raise DifrunError(f"Model {plan.model.name!r} of {path} is exact; there is nothing to train further.")
    if options.stop_at is not None or options.minutes is not None:
        why = (
            f"was cut short at step {options.stop_at} (--finish)"
            if options.stop_at is not None
            else f"is bounded by {options.minutes:g} minutes (--train.minutes), not by steps"
        )
        raise DifrunError(
            f"Training of {path} {why}, so that more steps have no schedule. Begin a new run with its weights: "
            f"'difrun run --config {quoted(path / 'run.toml')} --from {quoted(path)}'."
        )
    if steps <= options.steps:
        raise DifrunError(
            f"{path} is planned for {options.steps} steps. --train.steps counts from the start of training: give more "
            f"than {options.steps}."
        )
    restarts = (*(step for step in options.restarts if step < options.steps), options.steps)
    return attrs.evolve(options, steps=steps, restarts=restarts if options.steps else ())
