"""The state of a run: its plan, its folder, its components, and its results so far."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.analysis.signal import Signal, signal_at_horizon
from difrun.config.plan import ChosenComponent, Plan
from difrun.errors import DifrunError, Interrupted
from difrun.model.base import ScoreModel
from difrun.plugin.listener import Listener, Pace
from difrun.plugin.registry import get_registry
from difrun.plugin.signatures import Lazy
from difrun.report.verdict import suggestion
from difrun.runs.build import Components, guided
from difrun.runs.environment.context import guidance_context
from difrun.runs.environment.telling import hyperparameters, told
from difrun.runs.folder.layout import Folder
from difrun.runs.stages import evaluation, training
from difrun.training.trainer import Trainer

SAMPLE_STEP_SECONDS = 0.1
"""The least time between two events of the sampling loop, but for the last."""


@attrs.define(eq=False, repr=False)
class RunState:
    """The state of a run, and what can be read from it.

    Attributes:
        plan: Every resolved name and option.
        folder: The run folder.
        parts: The components that the plan names.
        device: Where to compute.
        listener: Receives notes and progress.
        trainer: The state of training; None before it begins, and for a model that needs none.
        prepared: What training begins with, where that was made in advance to see whether it fits.
        reopened: Whether it was made from a folder.
    """

    plan: Plan
    folder: Folder
    parts: Components
    device: torch.device
    listener: Listener
    trainer: Trainer | None = None
    prepared: Trainer | None = None
    reopened: bool = False
    _facts: dict[str, Any] = attrs.field(factory=dict)
    _guided: tuple[object, ScoreModel] | None = None
    _is_told: bool = False
    _sample_steps: Pace = attrs.field(init=False, factory=lambda: Pace(SAMPLE_STEP_SECONDS, at_once=True))

    def __repr__(self) -> str:
        plan = self.plan
        names = [f"{kind} {getattr(plan, kind).name}" for kind in ("process", "dataset", "model", "sampler")]
        done = ["trained" if self.trained else f"training step {self.training_step} of {plan.train.steps}"]
        if self.folder.samples.is_file():
            done.append("sampled")
        if self.folder.metrics.is_file():
            done.append("measured")
        return f"<Run {self.path}: {', '.join(names)}; {', '.join(done)}>"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def trained(self) -> bool:
        """Whether the model is ready to be sampled."""
        return self.parts.loss is None or (self.trainer is not None and training.done(self.trainer))

    @property
    def model(self) -> ScoreModel:
        """The model, inside its guidances."""
        return self.guided(self.plan.guidance)

    def guided(self, guidance: tuple[ChosenComponent, ...]) -> ScoreModel:
        """Return the model inside these guidances, the same object until the weights change: a guidance may learn."""
        if not guidance:
            return self.parts.model
        key = (self.parts.model, guidance, 0 if self.trainer is None else self.trainer.step)
        if self._guided is None or self._guided[0] != key:
            dataset, seed = self.parts.dataset, self.plan.seed
            context = guidance_context(dataset, seed, self.device, self.listener, self.path)
            self._guided = key, guided(self.parts.model, guidance, context)
        return self._guided[1]

    @property
    def training_step(self) -> int:
        """Training steps done so far; 0 for an exact model."""
        return 0 if self.trainer is None else self.trainer.step

    def tell(self, event: str, **values: Any) -> None:
        """Tell the loggers of an event; see `difrun.plugin.hooks`."""
        offered = {"folder": self.path, "step": self.training_step, **values}
        get_registry().emit(event, settings=self.plan.loggers, **offered)

    @contextlib.contextmanager
    def told(self, work: str) -> Iterator[None]:
        """Tell the loggers that the work in the block begins, and how it ends; of work within other work, nothing."""
        if self._is_told:
            yield
            return
        if work == "run" and (self.reopened or self.trainer is not None):
            work = "resume"
        begin = {
            "plan": self.plan,
            "config": Lazy(lambda: self.plan.to_dict(torch.__version__)),
            "hyperparameters": Lazy(lambda: hyperparameters(self.plan.to_dict())),
            "steps": 0 if self.parts.loss is None else self.plan.train.steps,
        }
        self._is_told = True
        try:
            with told(self.tell, work, begin, lambda: {"metrics": self._measured()}):
                yield
        finally:
            self._is_told = False

    def _measured(self) -> evaluation.Numbers:
        """The metrics in metrics.json for loggers; empty where that file is damaged, which is no matter of theirs."""
        try:
            return self.metrics if get_registry().hears("difrun_run_finished") else {}
        except DifrunError:
            return {}

    def note_change(self, what: str) -> None:
        """Say that a component changed what belongs to the whole process; `restored` has put it back."""
        self.listener.note(f"code of this run changed {what}; that is restored")

    def stop_if_asked(self, text: str = "Stopped; the trained model is saved.") -> None:
        """Raise Interrupted if the user asked to stop, once training is over."""
        if self.listener.stopping():
            raise Interrupted(self.path, text)

    def sample_report(self, done: int, total: int, chunks: int = 1) -> None:
        """Report how many of the steps of all chunks are done. Raises Interrupted if the user asked to stop."""
        self.listener.sample(done // chunks, total // chunks)
        if done == total or self._sample_steps.is_due():
            self._sample_steps.timed(self.tell, "difrun_sample_step", step=done, steps=total)
        self.stop_if_asked()

    def likelihood_report(self, done: int, total: int) -> None:
        """Report how much of a likelihood is done. Raises Interrupted if the user asked to stop."""
        self.listener.sample(done, total)
        self.stop_if_asked()

    def tuning_report(self, done: int, total: int) -> None:
        """Report how many iterations of tuning are done. Raises Interrupted if the user asked to stop."""
        self.listener.sample(done, total)
        self.stop_if_asked("Stopped.")

    @property
    def signal(self) -> Signal | None:
        """What is left of the data at T; None if the process is not Gaussian."""
        return signal_at_horizon(self.parts.process, self.parts.dataset.var)

    @property
    def facts(self) -> dict[str, Any]:
        """All of metrics.json: metrics, samples, signal, training; empty before `evaluate`."""
        return self.folder.read_metrics()

    @property
    def metrics(self) -> evaluation.Numbers:
        """The metrics in metrics.json; empty before `evaluate`."""
        return self.facts.get("metrics", {})

    @property
    def suggestion(self) -> str:
        """What may help if the samples are far from the data; empty if they are not.

        It is also empty if a class, condition or guidance was asked for: such samples are not meant to be like all.
        """
        sample = self.plan.sample
        if self.plan.guides or sample.label is not None or sample.condition is not None:
            return ""
        return suggestion(
            self.metrics,
            None if self.trainer is None else self.trainer.step,
            sample.steps,
            prior_is_off=self.signal is not None and self.signal.is_large,
        )
