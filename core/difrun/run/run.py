"""A run from its plan to its report, and back again from its folder."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor

from difrun import checkpoint, files
from difrun.config import Chosen, Plan
from difrun.errors import DifrunError, Interrupted
from difrun.integrate import refuse_noise
from difrun.listener import Listener
from difrun.randomness import seed_of
from difrun.registry import get_registry
from difrun.run import evaluation, sampling, snapshot
from difrun.run.device import choose_device, threads
from difrun.run.folder import Folder
from difrun.run.parts import Parts, build, guided, made
from difrun.run.sampling import Order
from difrun.run.signal import Signal, signal_at_horizon
from difrun.train import Trainer
from difrun.words import quoted

Method = TypeVar("Method", bound=Callable[..., Any])


def start(
    plan: Plan, folder: Path | str | None = None, *, force: bool = False, listener: Listener | None = None
) -> "Run":
    """A new run in a folder of its own (None: the next free ``runs/<process>-<dataset>-<k>``), with run.toml in it.

    Everything that can be refused is refused before the folder is made. Raises DifrunError.
    """
    device = choose_device(plan.device)
    plan = attrs.evolve(plan, device=str(device))
    parts = build(plan, device)
    times = made(plan.grid, parts.process, plan.sample.steps)
    refuse_noise(made(plan.sampler), plan.sample.noise, parts.model, times)
    path = None if folder is None else Path(folder)
    home = Folder.create(path, plan, force=force, torch_version=torch.__version__)
    snapshot.keep(home, parts.dataset)
    run = Run(plan, home, parts, device, listener or Listener())
    for text in parts.process.advice():
        run.listener.note(text)
    return run


def reopen(
    folder: Path | str,
    listener: Listener | None = None,
    *,
    device: str | None = None,
    threads: int | None = None,
) -> "Run":
    """The run in a folder, with its weights where it has been trained. Raises DifrunError.

    Nothing else is needed: examples that came from a user's file are in the folder.
    """
    home = Folder.open(Path(folder))
    plan = home.plan(get_registry())
    place = choose_device(device) if device else choose_device(plan.device, source=str(home.config))
    plan = attrs.evolve(plan, device=str(place), threads=threads or plan.threads)
    parts = build(plan, place, snapshot.kept(home))
    run = Run(plan, home, parts, place, listener or Listener())
    for text in plan.notes:
        run.listener.note(text)
    run.load()
    return run


def _with_its_threads(method: Method) -> Method:
    """Let a method of `Run` compute with the threads of its plan, and give them back."""

    @functools.wraps(method)
    def wrapped(self: "Run", *args: Any, **kwargs: Any) -> Any:
        with threads(self.plan.threads):
            return method(self, *args, **kwargs)

    return wrapped  # type: ignore[return-value]


@attrs.define(eq=False)
class Run:
    """One run. Made by `start` or `reopen`."""

    plan: Plan
    folder: Folder
    parts: Parts
    device: torch.device
    listener: Listener
    trainer: Trainer | None = None
    _facts: dict[str, Any] = attrs.field(factory=dict)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def trained(self) -> bool:
        """Whether the model is ready to be sampled."""
        return self.parts.loss is None or (self.trainer is not None and _done(self.trainer))

    @property
    def model(self) -> Any:
        """The model, inside its guidances."""
        return guided(self.parts.model, self.plan.guidance)

    @property
    def signal(self) -> Signal | None:
        """What is left of the data at T; None where the process is not Gaussian."""
        return signal_at_horizon(self.parts.process, self.parts.dataset.var)

    @property
    def metrics(self) -> evaluation.Numbers:
        """The metrics in metrics.json; empty before `evaluate`."""
        return self.facts.get("metrics", {})

    @property
    def facts(self) -> dict[str, Any]:
        """All of metrics.json: metrics, samples, signal, training; empty before `evaluate`."""
        return self.folder.read_metrics()

    @property
    def samples(self) -> Tensor:
        """The run's samples in the units of the model."""
        return self._samples(None)[0]

    @_with_its_threads
    def execute(self) -> "Run":
        """Train, sample, evaluate, draw and report; what is already there is not done again."""
        self.folder.clean()
        self.train()
        if not self.folder.samples.is_file():
            self.sample()
        self.stop_if_asked()
        if not self._measured():
            self._evaluate(self.plan.metrics, None, strict=False, added=False)
        self.report()
        get_registry().emit("difrun_run_finished", folder=self.path, metrics=self.metrics)
        return self

    def resume(self) -> "Run":
        """Go on where the run was left: the result is that of a run that was never interrupted."""
        if self.trainer is not None and not self.trained:
            self.listener.note(f"training goes on from step {self.trainer.step} of {self.plan.train.steps}")
        return self.execute()

    def load(self) -> None:
        """Take the weights and the state of training from the folder, if there are any."""
        if self.parts.loss is None or not self.folder.weights.is_file():
            return
        tensors, _ = checkpoint.read(self.folder.weights)
        self.trainer = self._new_trainer()
        self.trainer.load(tensors)
        if _done(self.trainer):
            self.trainer.finish()

    @_with_its_threads
    def train(self) -> None:
        """Train to the end, saving on the way. Raises Interrupted when asked to stop, DifrunError when it fails."""
        if self.trained:
            return
        self.listener.stage("train")
        trainer = self.trainer = self.trainer or self._new_trainer()
        options = self.plan.train
        try:
            trainer.run(
                report=self._train_report,
                stopping=self.listener.stopping,
                save=self._save,
                save_steps=options.checkpoint_steps,
                save_minutes=options.checkpoint_minutes,
            )
        except DifrunError as error:
            self._save_or_tell(trainer)
            raise DifrunError(f"{error}\nThe last good weights are in {self.folder.weights}.") from error
        self._save_or_tell(trainer)
        if trainer.stopped:
            raise Interrupted(
                self.path, f"Stopped at training step {trainer.step} of {options.steps}; the state is saved."
            )
        trainer.finish()

    @_with_its_threads
    def sample(self) -> Tensor:
        """Draw the run's samples (n, ...), in the units of the model, and write samples.npz in the user's."""
        order = Order.of(self.plan)
        samples, self._facts = sampling.draw(self, order)
        sampling.write(self.folder.samples, samples, self.parts.dataset, order, self._facts)
        return samples

    @_with_its_threads
    def draw_samples(
        self,
        n: int,
        sampler: Chosen,
        grid: Chosen,
        steps: int,
        seed: int,
        chunk: int,
        out: Path | None = None,
        force: bool = False,
        noise: str = "fresh",
    ) -> Path:
        """Draw n more samples with any sampler, grid and noise into a file of their own, and return its path.

        out None: a file in the run folder, named after all that the samples depend on (`sampling.Order.file_name`).
        """
        self._need_model()
        order = Order(n, sampler, grid, steps, seed, chunk, noise)
        path = sampling.place(self, order, None if out is None else Path(out), force)
        samples, facts = sampling.draw(self, order)
        sampling.write(path, samples, self.parts.dataset, order, facts)
        return path

    @_with_its_threads
    def evaluate(self, metrics: tuple[Chosen, ...] | None = None, n: int | None = None) -> evaluation.Numbers:
        """Metrics of the run's samples beside their floors; written to metrics.json.

        metrics: those to compute, None for the run's own; earlier ones stay in the file. n: compare so many samples,
        drawn anew if the run has fewer. Raises DifrunError when one cannot be computed.
        """
        self._need_model()
        chosen = self.plan.metrics if metrics is None else metrics
        return self._evaluate(chosen, n, strict=True, added=metrics is not None)

    @_with_its_threads
    def report(self) -> Path:
        """Draw every picture and write report.html; return its path."""
        from difrun.run.pictures import draw_all
        from difrun.run.tell import write_report

        self._need_model()
        self.listener.stage("draw")
        return write_report(self, draw_all(self))

    def stop_if_asked(self) -> None:
        """Raise Interrupted when the user has asked to stop; for what comes after training."""
        if self.listener.stopping():
            raise Interrupted(self.path, "Stopped; the trained model is saved.")

    def sample_report(self, done: int, total: int) -> None:
        """Tell how far sampling has come, and stop it when asked to."""
        self.listener.sample(done, total)
        get_registry().emit("difrun_sample_step", step=done, steps=total)
        self.stop_if_asked()

    def _train_report(self, step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        self.listener.train(step, steps, loss, rate, eta)
        get_registry().emit("difrun_train_step", step=step, steps=steps, loss=loss, rate=rate)

    def _evaluate(
        self, metrics: tuple[Chosen, ...], n: int | None, *, strict: bool, added: bool
    ) -> evaluation.Numbers:
        samples, facts = self._samples(n)
        self.listener.stage("evaluate")
        found = evaluation.measure_all(self, samples, metrics, strict=strict)
        content = evaluation.content(self, found, samples, facts, added=added)
        files.write_text(self.folder.metrics, json.dumps(content, indent=2) + "\n")
        return found

    def _measured(self) -> bool:
        """Whether metrics.json is there and holds every metric of the run."""
        found = {name.split(".")[0] for name in self.metrics}
        return self.folder.metrics.is_file() and all(m.entry.name in found for m in self.plan.metrics)

    def _new_trainer(self) -> Trainer:
        assert self.parts.loss is not None  # an exact model counts as trained and comes nowhere near
        dataset = self.parts.dataset
        return Trainer(
            self.parts.model,
            self.parts.loss,
            dataset.train.to(self.device),
            self.plan.train,
            seed=seed_of(self.plan.seed, "train"),
            note=self.listener.note,
            noise=None if dataset.noise is None else dataset.noise.to(self.device),
        )

    def _save(self, trainer: Trainer) -> None:
        checkpoint.write(
            self.folder.weights, trainer.state(), {"difrun": "run", "process": self.plan.process.name}
        )

    def _save_or_tell(self, trainer: Trainer) -> None:
        """Save at the end of a session of training. What cannot be saved is lost: say from where it goes on."""
        try:
            self._save(trainer)
        except DifrunError as error:
            raise DifrunError(
                f"{error}\nTraining had come to step {trainer.step}, which is not saved. Once there is room, "
                f"'difrun resume {quoted(self.path)}' goes on from the last state that is."
            ) from error

    def _samples(self, n: int | None) -> tuple[Tensor, dict[str, Any]]:
        """The run's samples and how they were drawn: read from its folder; drawn if there are none, or fewer than n."""
        order = Order.of(self.plan)
        if self.folder.samples.is_file():
            x = sampling.read(self)
            if n is None or n <= len(x):
                told = {k: v for k, v in self.facts.get("samples", {}).items() if k != "n"}
                return x[:n], self._facts or told or sampling.told(self, order)
        if n is None:
            return self.sample(), self._facts
        return sampling.draw(self, attrs.evolve(order, n=n))

    def _need_model(self) -> None:
        if not self.trained:
            raise DifrunError(
                f"{self.path} has not been trained to the end. Run 'difrun resume {quoted(self.path)}' first."
            )


def _done(trainer: Trainer) -> bool:
    """Whether training has come to its end: all steps done, or all minutes spent."""
    minutes = trainer.options.minutes
    return trainer.step >= trainer.options.steps or (minutes is not None and trainer.seconds >= 60 * minutes)
