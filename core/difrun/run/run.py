"""A run from its plan to its report, and back again from its folder."""

import json
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun import checkpoint
from difrun.config import Chosen, Plan
from difrun.errors import DifrunError, Interrupted
from difrun.integrate import generate
from difrun.metric import measure
from difrun.randomness import seed_of
from difrun.registry import get_registry
from difrun.run.device import choose_device
from difrun.run.folder import Folder
from difrun.run.parts import Parts, build, guided, made
from difrun.run.signal import Signal, signal_at_horizon
from difrun.train import Trainer


class Listener:
    """Hears what a run does. The base class is silent; the command line has one that shows progress."""

    def stage(self, name: str) -> None:
        """A stage begins: train, sample, evaluate, draw."""

    def train(self, step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        """Training has come to `step`; `rate` in steps per second, `eta` in seconds."""

    def sample(self, done: int, total: int) -> None:
        """Sampling has done so many steps of all."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def stopping(self) -> bool:
        """Whether the user asked to stop; the run then saves its state and raises Interrupted."""
        return False


def start(
    plan: Plan, folder: Path | str | None = None, *, force: bool = False, listener: Listener | None = None
) -> "Run":
    """A new run in a folder of its own (None: the next free ``runs/<process>-<dataset>-<k>``), with run.toml in it.

    Everything that can be refused is refused before the folder is made. Raises DifrunError.
    """
    device = choose_device(plan.device)
    plan = attrs.evolve(plan, device=str(device))
    _use_threads(plan.threads)
    parts = build(plan, device)
    made(plan.grid, parts.process, plan.sample.steps)
    made(plan.sampler)
    path = None if folder is None else Path(folder)
    home = Folder.create(path, plan, force=force, torch_version=torch.__version__)
    return Run(plan, home, parts, device, listener or Listener())


def reopen(
    folder: Path | str,
    listener: Listener | None = None,
    *,
    device: str | None = None,
    threads: int | None = None,
) -> "Run":
    """The run in a folder, with its weights where it has been trained. Raises DifrunError."""
    home = Folder.open(Path(folder))
    plan = home.plan(get_registry())
    plan = attrs.evolve(plan, device=device or plan.device, threads=threads or plan.threads)
    place = choose_device(plan.device)
    _use_threads(plan.threads)
    run = Run(plan, home, build(plan, place), place, listener or Listener())
    for text in plan.notes:
        run.listener.note(text)
    run.load()
    return run


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
    def signal(self) -> Signal:
        """What is left of the data at T."""
        return signal_at_horizon(self.parts.process, self.parts.dataset.var)

    def execute(self) -> "Run":
        """Train, sample, evaluate, draw and report; what is already there is not done again."""
        self.folder.clean()
        self.train()
        if not self.folder.samples.is_file():
            self.sample()
        self.stop_if_asked()
        if not self._measured():
            self.evaluate()
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

    def sample(self) -> Tensor:
        """Draw the run's samples (n, ...), in the units of the model, and write samples.npz in the user's."""
        plan = self.plan
        samples, self._facts = self._draw(
            plan.sample.n, plan.sampler, plan.grid, plan.sample.steps, plan.seed, plan.sample.chunk
        )
        self._write_samples(self.folder.samples, samples)
        return samples

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
    ) -> Path:
        """Draw n more samples with any sampler and grid into a file of their own, and return its path.

        out None: ``samples-<sampler>-<steps>-n<n>-seed<seed>.npz`` in the run folder, which is replaced if it is there.
        """
        self._need_model()
        name = f"samples-{sampler.entry.name}-{steps}-n{n}-seed{seed}.npz"
        path = self.path / name if out is None else Path(out)
        if out is not None and path.exists() and not force:
            raise DifrunError(
                f"--out {path} already exists. Choose another name, or replace it with --force."
            )
        if path.suffix != ".npz":
            raise DifrunError(f"--out {path}: samples are written as .npz; give a name that ends so.")
        self._write_samples(path, self._draw(n, sampler, grid, steps, seed, chunk)[0])
        return path

    def evaluate(
        self, metrics: tuple[Chosen, ...] | None = None, n: int | None = None
    ) -> dict[str, dict[str, float]]:
        """Every metric of the run's samples beside its floor; written to metrics.json.

        metrics: those to compute, None for the run's own; earlier ones stay in the file. n: compare so many samples,
        drawn anew if the run has fewer.
        """
        self._need_model()
        samples, facts = self._samples(n)
        self.listener.stage("evaluate")
        found: dict[str, dict[str, float]] = {}
        for chosen in self.plan.metrics if metrics is None else metrics:
            numbers = measure(
                chosen.entry.load(),
                samples,
                self.parts.dataset,
                seed=seed_of(self.plan.seed, "metrics"),
                **_options(chosen),
            )
            prefix = "" if list(numbers) == [chosen.entry.name] else f"{chosen.entry.name}."
            found |= {prefix + name: number for name, number in numbers.items()}
        content = self.folder.read_metrics()
        content["metrics"] = {**content.get("metrics", {}), **found} if metrics is not None else found
        content["samples"] = {"n": len(samples)} | facts
        content["signal"] = attrs.asdict(self.signal)
        if self.trainer is not None:
            content["training"] = {
                "steps": self.trainer.step,
                "seconds": round(self.trainer.seconds, 3),
                "steps_per_second": round(self.trainer.rate, 1),
            }
        checkpoint.write_text(self.folder.metrics, json.dumps(content, indent=2) + "\n")
        return found

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The metrics in metrics.json; empty before `evaluate`."""
        return self.folder.read_metrics().get("metrics", {})

    @property
    def facts(self) -> dict[str, Any]:
        """All of metrics.json: metrics, samples, signal, training; empty before `evaluate`."""
        return self.folder.read_metrics()

    @property
    def samples(self) -> Tensor:
        """The run's samples in the units of the model."""
        return self._samples(None)[0]

    def report(self) -> Path:
        """Draw every picture and write report.html; return its path."""
        from difrun.run.pictures import draw_all
        from difrun.run.tell import write_report

        self._need_model()
        self.listener.stage("draw")
        return write_report(self, draw_all(self))

    @property
    def model(self) -> Any:
        """The model, inside its guidances."""
        return guided(self.parts.model, self.plan.guidance)

    def stop_if_asked(self) -> None:
        """Raise Interrupted when the user has asked to stop; for what comes after training."""
        if self.listener.stopping():
            raise Interrupted(self.path, "Stopped after training; the trained model is saved.")

    def _measured(self) -> bool:
        """Whether metrics.json is there and holds every metric of the run."""
        found = {name.split(".")[0] for name in self.metrics}
        return self.folder.metrics.is_file() and all(m.entry.name in found for m in self.plan.metrics)

    def _new_trainer(self) -> Trainer:
        assert self.parts.loss is not None  # an exact model counts as trained and comes nowhere near
        data = self.parts.dataset.train.to(self.device)
        seed = seed_of(self.plan.seed, "train")
        return Trainer(
            self.parts.model, self.parts.loss, data, self.plan.train, seed=seed, note=self.listener.note
        )

    def _train_report(self, step: int, steps: int, loss: float, rate: float, eta: float) -> None:
        self.listener.train(step, steps, loss, rate, eta)
        get_registry().emit("difrun_train_step", step=step, steps=steps, loss=loss, rate=rate)

    def _sample_report(self, done: int, total: int) -> None:
        self.listener.sample(done, total)
        get_registry().emit("difrun_sample_step", step=done, steps=total)
        self.stop_if_asked()

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
                f"'difrun resume {self.path}' goes on from the last state that is."
            ) from error

    def _draw(
        self, n: int, sampler: Chosen, grid: Chosen, steps: int, seed: int, chunk: int
    ) -> tuple[Tensor, dict[str, Any]]:
        """n samples in the units of the model, and what metrics.json says of how they were drawn."""
        self.listener.stage("sample")
        method = made(sampler)
        times = made(grid, self.parts.process, steps)
        began = time.perf_counter()
        samples = generate(
            method,
            self.model,
            n,
            times,
            seed=seed_of(seed, "samples"),
            chunk=chunk,
            device=self.device,
            watch=self._sample_report,
        )
        seconds = round(time.perf_counter() - began, 3)
        return samples, self._how(sampler, grid, steps) | {"seconds": seconds}

    @staticmethod
    def _how(sampler: Chosen, grid: Chosen, steps: int) -> dict[str, Any]:
        return {
            "sampler": sampler.name,
            "grid": grid.name,
            "steps": steps,
            "evaluations": steps * made(sampler).evaluations,
        }

    def _write_samples(self, path: Path, samples: Tensor) -> None:
        dataset = self.parts.dataset
        arrays: dict[str, np.ndarray] = {"x": dataset.decode(samples.cpu()).numpy()}
        if dataset.columns:
            arrays["columns"] = np.array(dataset.columns)
        checkpoint.write_npz(path, **arrays)

    def _samples(self, n: int | None) -> tuple[Tensor, dict[str, Any]]:
        """The run's samples and how they were drawn: read from its folder; drawn if there are none, or fewer than n."""
        plan = self.plan
        if self.folder.samples.is_file():
            x = self.folder.read_samples(self.parts.dataset.shape)
            scaling = self.parts.dataset.scaling
            x = x if scaling is None else scaling.encode(x)
            if n is None or n <= len(x):
                told = {k: v for k, v in self.folder.read_metrics().get("samples", {}).items() if k != "n"}
                return x[:n], self._facts or told or self._how(plan.sampler, plan.grid, plan.sample.steps)
        if n is None:
            return self.sample().cpu(), self._facts
        samples, facts = self._draw(
            n, plan.sampler, plan.grid, plan.sample.steps, plan.seed, plan.sample.chunk
        )
        return samples.cpu(), facts

    def _need_model(self) -> None:
        if not self.trained:
            raise DifrunError(
                f"{self.path} has not been trained to the end. Run 'difrun resume {self.path}' first."
            )


def _done(trainer: Trainer) -> bool:
    """Whether training has come to its end: all steps done, or all minutes spent."""
    minutes = trainer.options.minutes
    return trainer.step >= trainer.options.steps or (minutes is not None and trainer.seconds >= 60 * minutes)


def _options(chosen: Chosen) -> dict[str, Any]:
    return attrs.asdict(chosen.options, recurse=False)


def _use_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
