"""A run: its folder, its parts, and all that can be done with them."""

import contextlib
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.analysis.signal import Signal, signal_at_horizon
from difrun.config.plan import ChosenComponent, Plan
from difrun.errors import DifrunError, Interrupted
from difrun.guidance.context import Context
from difrun.listener import Listener
from difrun.model.base import ScoreModel
from difrun.plugin.registry import get_registry
from difrun.report.verdict import suggestion
from difrun.runs.build import Components, guided
from difrun.runs.environment.guards import exclusive, with_run_environment
from difrun.runs.folder import lock
from difrun.runs.folder.layout import Folder
from difrun.runs.stages import evaluation, likelihood, sampling, training, tuning
from difrun.runs.stages.sampling import Order
from difrun.storage.tensors import read_tensors
from difrun.text import quoted
from difrun.training.trainer import Trainer
from difrun.tuning.result import Tuning


@attrs.define(eq=False, repr=False)
class Run:
    """One run. Made by `start` or `reopen`."""

    plan: Plan
    folder: Folder
    parts: Components
    device: torch.device
    listener: Listener
    trainer: Trainer | None = None
    _facts: dict[str, Any] = attrs.field(factory=dict)
    _guided: tuple[object, ScoreModel] | None = None

    def __repr__(self) -> str:
        plan = self.plan
        names = ", ".join(
            f"{kind} {getattr(plan, kind).name}" for kind in ("process", "dataset", "model", "sampler")
        )
        step = 0 if self.trainer is None else self.trainer.step
        done = ["trained" if self.trained else f"training step {step} of {plan.train.steps}"]
        done += ["sampled"] * self.folder.samples.is_file() + ["measured"] * self.folder.metrics.is_file()
        return f"<Run {self.path}: {names}; {', '.join(done)}>"

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
        """The model inside these guidances: one object until the weights change, as one may have had to learn."""
        if not guidance:
            return self.parts.model
        key = (self.parts.model, guidance, 0 if self.trainer is None else self.trainer.step)
        if self._guided is None or self._guided[0] != key:
            self._guided = key, guided(self.parts.model, guidance, self._context())
        return self._guided[1]

    def _context(self) -> Context:
        listener = self.listener
        return Context(
            self.parts.dataset,
            folder=self.path,
            seed=self.plan.seed,
            device=self.device,
            note=listener.note,
            stage=listener.stage,
            report=listener.train,
            stopping=listener.stopping,
        )

    @property
    def signal(self) -> Signal | None:
        """What is left of the data at T; None where the process is not Gaussian."""
        return signal_at_horizon(self.parts.process, self.parts.dataset.var)

    @property
    def metrics(self) -> evaluation.Numbers:
        """The metrics in metrics.json; empty before `evaluate`."""
        return self.facts.get("metrics", {})

    @property
    def suggestion(self) -> str:
        """What may help where the samples of a trained model are far from the data; empty where they are not, and
        where a class or a guidance was asked for, with which they are not meant to be like all data."""
        if self.trainer is None or self.plan.sample.label is not None or self.plan.guidance:
            return ""
        return suggestion(self.metrics, self.trainer.step, self.plan.sample.steps)

    @property
    def facts(self) -> dict[str, Any]:
        """All of metrics.json: metrics, samples, signal, training; empty before `evaluate`."""
        return self.folder.read_metrics()

    @property
    def samples(self) -> Tensor:
        """The run's samples in the units of the model."""
        return self.drawn()[0]

    def drawn(self) -> tuple[Tensor, dict[str, Any]]:
        """The run's samples and how they were drawn: read from its folder; drawn if there are none."""
        if not self.folder.samples.is_file():
            return self.sample(), self._facts
        x = sampling.read(self)
        told = {k: v for k, v in self.facts.get("samples", {}).items() if k != "n"}
        return x, self._facts or told or sampling.recorded_facts(self, Order.of(self.plan))

    @exclusive
    def execute(self) -> "Run":
        """Train, sample, evaluate, draw and report; what is already there is not done again.

        Like all that writes into the folder it raises DifrunError while another process works on it.
        """
        self.folder.clean()
        self.train()
        if not self.folder.samples.is_file():
            self.sample()
        self.stop_if_asked()
        if not evaluation.is_complete(self):
            evaluation.evaluate_run(self, self.plan.metrics, None, strict=False, added=False)
        if self.plan.sample.likelihood and "likelihood" not in self.facts:
            try:
                likelihood.measure(self, likelihood.LikelihoodRequest())
            except DifrunError as error:
                self.listener.note(f"the likelihood is left out: {error}")
        self.report()
        get_registry().emit("difrun_run_finished", folder=self.path, metrics=self.metrics)
        return self

    def resume(self) -> "Run":
        """Go on where the run was left: the result is that of a run that was never interrupted."""
        lock.refuse_if_held(self.path)
        if self.trainer is not None and not self.trained:
            self.listener.note(f"training goes on from step {self.trainer.step} of {self.plan.train.steps}")
        if (
            self.trained
            and self.folder.samples.is_file()
            and evaluation.is_complete(self)
            and self.folder.report.is_file()
        ):
            self.listener.note("this run is finished; only its pictures and its report are drawn again")
        return self.execute()

    def finish(self) -> "Run":
        """Train no further: sample, evaluate and report with the weights that are there.

        run.toml says where training ended (``stop_at`` in ``[train]``, with which another run ends there too), as do
        metrics.json and the report. Raises DifrunError where no weights are saved.
        """
        lock.refuse_if_held(self.path)
        if self.trained:
            self.listener.note("this run is trained to its end; there is nothing to cut short")
            return self.execute()
        if self.trainer is None or self.trainer.step == 0:
            raise DifrunError(
                f"{self.path} holds no weights: it was stopped before any were saved. Train it first: "
                f"'difrun resume {quoted(self.path)}'."
            )
        step = self.trainer.step
        self.listener.note(f"training ends at step {step} of {self.plan.train.steps}, where it was left")
        with lock.hold_lock(self.path):
            self.folder.record_stop(step)
        self.plan = attrs.evolve(self.plan, train=attrs.evolve(self.plan.train, stop_at=step))
        self.trainer.options = self.plan.train
        self.trainer.finish()
        return self.execute()

    def load(self) -> None:
        """Take the weights and the state of training from the folder, if there are any."""
        if self.parts.loss is None or not self.folder.weights.is_file():
            return
        tensors, _ = read_tensors(self.folder.weights)
        self.trainer = training.new_trainer(self.plan, self.parts, self.device, self.listener)
        self.trainer.load(tensors)
        if training.done(self.trainer):
            self.trainer.finish()

    @exclusive
    def train(self) -> None:
        """Train to the end, saving on the way. Raises Interrupted when asked to stop, DifrunError when it fails."""
        if self.trained:
            return
        training.train(self)

    @exclusive
    def sample(self) -> Tensor:
        """Draw the run's samples (n, ...), in the units of the model, and write samples.npz in the user's."""
        order = Order.of(self.plan)
        samples, labels, self._facts = sampling.draw(self, order)
        sampling.write(self.folder.samples, samples, labels, self.parts.dataset, order, self._facts)
        return samples

    @with_run_environment
    def draw_samples(
        self,
        n: int,
        sampler: ChosenComponent,
        grid: ChosenComponent,
        steps: int,
        seed: int,
        chunk: int,
        out: Path | None = None,
        force: bool = False,
        noise: str = "fresh",
        label: str | None = None,
        guidance: tuple[ChosenComponent, ...] | None = None,
    ) -> Path:
        """Draw n more samples with any sampler, grid and noise into a file of their own, and return its path.

        label: of one class, by name or number; None: of all, if the model knows any. guidance: None takes the run's.
        out None: a file in the run folder, named after all that the samples depend on (`sampling.Order.file_name`).
        Raises DifrunError when there is such a file already, unless force is given.
        """
        self._need_model()
        guidance = self.plan.guidance if guidance is None else guidance
        order = Order(n, sampler, grid, steps, seed, chunk, noise, label, guidance)
        with self._writing_beside(self.folder.samples if out is None else Path(out)):
            path = sampling.output_path(self, order, None if out is None else Path(out), force)
            samples, labels, facts = sampling.draw(self, order)
            sampling.write(path, samples, labels, self.parts.dataset, order, facts)
        return path

    @exclusive
    def evaluate(
        self, metrics: tuple[ChosenComponent, ...] | None = None, n: int | None = None
    ) -> evaluation.Numbers:
        """Metrics of the run's samples beside their floors; written to metrics.json, and the report is made to fit.

        metrics: those to compute, None for the run's own; earlier ones stay in the file. n: compare so many samples;
        where the run has fewer, so many are drawn into a file of their own. Raises DifrunError when a metric cannot
        be computed.
        """
        self._need_model()
        chosen = self.plan.metrics if metrics is None else metrics
        found = evaluation.evaluate_run(self, chosen, n, strict=True, added=metrics is not None)
        if self.folder.report.is_file():
            self._report(redraw=False)
        return found

    def samples_by(
        self, guidance: tuple[ChosenComponent, ...], label: str | None, n: int | None = None
    ) -> Path:
        """The file of n samples (None: as many as the run's) drawn as the run's own, but so guided, or of one class.

        It is read where it is there, and else drawn, under the seed of the run. Raises what `draw_samples` raises.
        """
        self._need_model()
        order = Order.of(self.plan, guidance=guidance, label=label, n=n or self.plan.sample.n)
        path = self.path / order.file_name(self.model)
        if not path.is_file():
            values = attrs.asdict(order, recurse=False)
            self.draw_samples(**values)
        return path

    @with_run_environment
    def evaluate_file(
        self, path: Path, metrics: tuple[ChosenComponent, ...] | None = None, n: int | None = None
    ) -> tuple[evaluation.Numbers, Path]:
        """Metrics of samples in a file (.npz, .npy, .csv; in the user's units), and the file that they are written to.

        That is ``NAME.metrics.json`` beside ``NAME.npz``; metrics.json and the report are of the run's own samples
        and stay. metrics, n: as for `evaluate`, but nothing is drawn. Raises DifrunError when they cannot be
        computed.
        """
        with self._writing_beside(Path(path)):
            chosen = self.plan.metrics if metrics is None else metrics
            return evaluation.evaluate_file(self, Path(path), chosen, n, named=metrics is not None)

    @exclusive
    def tune(self, steps: int, *, free_weights: bool = False, iterations: int | None = None) -> Tuning:
        """Optimise the sampler for so many steps (`difrun.tuning.tune`), for the sampler and grid called `tuned`.

        Raises DifrunError for a run that is not trained, or with a guidance, or not of a Gaussian process.
        """
        self._need_model()
        provides = self.plan.process.entry.component.provides
        if not {"gaussian", "ode"} <= provides or self.plan.guidance:
            raise DifrunError(
                "Tuning works on the probability flow of a model without guidance on a Gaussian process, which "
                f"{self.path} is not."
            )
        self.listener.stage(f"tune {steps}")
        return tuning.improve(self, steps, free_weights, iterations, self._tuned)

    @exclusive
    def likelihood(self, request: likelihood.LikelihoodRequest | None = None) -> likelihood.Content:
        """−log p of held-out examples; written to metrics.json. See `difrun.runs.stages.likelihood.measure`."""
        self._need_model()
        found = likelihood.measure(self, request or likelihood.LikelihoodRequest())
        if self.folder.report.is_file():
            self._report(redraw=False)
        return found

    @exclusive
    def report(self) -> Path:
        """Draw every picture and write report.html; return its path."""
        self._need_model()
        return self._report(redraw=True)

    def stop_if_asked(self) -> None:
        """Raise Interrupted when the user has asked to stop; for what comes after training."""
        if self.listener.stopping():
            raise Interrupted(self.path, "Stopped; the trained model is saved.")

    def sample_report(self, done: int, total: int, chunks: int = 1) -> None:
        """Tell how far sampling has come, and stop it when asked to. done, total: of the steps of all chunks."""
        self.listener.sample(done // chunks, total // chunks)
        get_registry().emit("difrun_sample_step", step=done, steps=total)
        self.stop_if_asked()

    def _writing_beside(self, file: Path) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of the run folder for what is written beside `file`, if that lies in it."""
        inside = file.parent.resolve() == self.path.resolve()
        return lock.hold_lock(self.path) if inside else contextlib.nullcontext()

    def _tuned(self, done: int, total: int) -> None:
        self.listener.sample(done, total)
        if self.listener.stopping():
            raise Interrupted(self.path, "Stopped.")

    def _report(self, *, redraw: bool) -> Path:
        from difrun.runs.report.content import write_report
        from difrun.runs.report.standard_pictures import draw_all

        self.listener.stage("draw")
        left_out: list[str] = []
        return write_report(self, draw_all(self, redraw=redraw, left_out=left_out), left_out)

    def _need_model(self) -> None:
        if not self.trained:
            raise DifrunError(
                f"{self.path} has not been trained to the end. Run 'difrun resume {quoted(self.path)}' first. With "
                "--finish it takes the weights that are there."
            )
