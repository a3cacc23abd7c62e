"""The state of a run: its plan, its folder, its components, and its results so far."""

from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.analysis.signal import Signal, signal_at_horizon
from difrun.config.plan import ChosenComponent, Plan
from difrun.listener import Listener
from difrun.model.base import ScoreModel
from difrun.report.verdict import suggestion
from difrun.runs.build import Components, guided
from difrun.runs.environment.context import guidance_context
from difrun.runs.folder.layout import Folder
from difrun.runs.stages import evaluation, training
from difrun.training.trainer import Trainer


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
    """

    plan: Plan
    folder: Folder
    parts: Components
    device: torch.device
    listener: Listener
    trainer: Trainer | None = None
    prepared: Trainer | None = None
    _facts: dict[str, Any] = attrs.field(factory=dict)
    _guided: tuple[object, ScoreModel] | None = None

    def __repr__(self) -> str:
        plan = self.plan
        names = [f"{kind} {getattr(plan, kind).name}" for kind in ("process", "dataset", "model", "sampler")]
        step = 0 if self.trainer is None else self.trainer.step
        done = ["trained" if self.trained else f"training step {step} of {plan.train.steps}"]
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
        """What may help if the samples of a trained model are far from the data; empty if they are not.

        It is also empty if a class, condition or guidance was asked for: such samples are not meant to be like all.
        """
        sample = self.plan.sample
        if (
            self.trainer is None
            or self.plan.guidance
            or sample.label is not None
            or sample.condition is not None
        ):
            return ""
        return suggestion(self.metrics, self.trainer.step, self.plan.sample.steps)
