"""A run, and everything that can be done with it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from torch import Tensor

from difrun.config.plan import ChosenComponent
from difrun.errors import DifrunError
from difrun.runs.environment import faults
from difrun.runs.environment.guards import exclusive, with_run_environment
from difrun.runs.folder import lock
from difrun.runs.stages import evaluation, labels, length, likelihood, sampling, training, tuning
from difrun.runs.stages.sampling import SampleRequest
from difrun.runs.state import RunState
from difrun.sampler.tuning.result import Tuning
from difrun.storage.regular import resolved
from difrun.text import quoted

if TYPE_CHECKING:
    from difrun.draw import Film
    from difrun.runs.report.notebook import ReportView


@attrs.define(eq=False, repr=False)
class Run(RunState):
    """One run, made by `start` or `reopen`: its state (`RunState`), and the methods that work on it.

    A method that writes into the folder raises DifrunError while another process works on that folder.
    """

    @property
    def samples(self) -> Tensor:
        """The run's samples in the units of the model."""
        return self.drawn()[0]

    def drawn(self) -> tuple[Tensor, dict[str, Any]]:
        """Return the run's samples and how they were drawn: from its folder, or newly drawn if there are none."""
        if not self.folder.samples.is_file():
            return self.sample(), self._facts
        x = sampling.read(self)
        measured = {key: value for key, value in self.facts.get("samples", {}).items() if key != "n"}
        return x, self._facts or measured or sampling.recorded_facts(self, SampleRequest.of(self.plan))

    @exclusive("run")
    def execute(self) -> "Run":
        """Train, sample, evaluate, draw and report. A stage whose results exist is not done again."""
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
        with faults.keeping_what_is_finished(self.path):
            self.report()
        return self

    def resume(self) -> "Run":
        """Continue where the run stopped. The result is that of a run that was never interrupted."""
        lock.refuse_if_held(self.path)
        if self.trainer is not None and not self.trained:
            self.listener.note(f"training goes on from step {self.trainer.step} of {self.plan.train.steps}")
        sampled = self.trained and self.folder.samples.is_file()
        if sampled and evaluation.is_complete(self) and self.folder.report.is_file():
            self.listener.note("this run is finished; only its pictures and its report are drawn again")
        return self.execute()

    def finish(self) -> "Run":
        """Stop training: sample, evaluate and report with the weights that are saved.

        The files record where training ended (``stop_at`` in ``[train]``), and a new run from run.toml ends there too.

        Raises:
            DifrunError: If no weights are saved.
        """
        lock.refuse_if_held(self.path)
        length.cut_short(self)
        return self.execute()

    def extend(self, steps: int) -> "Run":
        """Train further than planned, to step `steps` in all, and sample, evaluate and report anew.

        The learning rate begins a new schedule where the last one ends (`restarts` in ``[train]``). A new run from
        run.toml gives the same weights. The samples, metrics, pictures and tunings of the weights so far are removed.

        Raises:
            DifrunError: If the model is not trained, its training was cut short or is bounded by a time, or `steps`
                is not more than planned.
        """
        lock.refuse_if_held(self.path)
        length.extend(self, steps)
        return self.execute()

    def load(self) -> None:
        """Take the weights and the state of training from the folder, if there are any."""
        if self.parts.loss is None or not self.folder.weights.is_file():
            return
        self.trainer = training.new_trainer(self.plan, self.parts, self.device, self.listener)
        training.load(self.folder, self.trainer)
        if training.done(self.trainer):
            self.trainer.finish()

    @exclusive("train")
    def train(self) -> None:
        """Train to the end, and save the state on the way.

        Raises:
            Interrupted: If the user asks to stop; the state is saved.
            DifrunError: If training fails.
        """
        if self.trained:
            return
        training.train(self)

    @exclusive("sample")
    def sample(self) -> Tensor:
        """Draw the run's samples (n, ...), in the units of the model, and write samples.npz in the user's."""
        request = SampleRequest.of(self.plan)
        samples, _, self._facts = sampling.draw_into(self.folder.samples, self, request)
        return samples

    @with_run_environment("sample")
    def draw_samples(
        self,
        n: int | None,
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
        condition: str | None = None,
    ) -> Path:
        """Draw n more samples with any sampler, grid and noise into a separate file, and return its path.

        Args:
            n: How many samples; None takes the number of the run, or of the rows of a file of conditions.
            sampler: Any sampler that works with the model.
            grid: Any grid that works with the model.
            steps: Sampling steps.
            seed: Seed of the samples.
            chunk: How many are drawn at a time.
            out: The file; None takes one in the run folder, with a name of its own (`SampleRequest.file_name`).
            force: Replace a file that is there.
            noise: Noise of a stochastic sampler, "fresh" or "brownian".
            label: The class to draw, by name or number; None draws all, if the model knows any.
            guidance: The guidances; None takes those of the run.
            condition: The values of a condition, or a file of one row per sample; None takes those of the data in turn.

        Raises:
            DifrunError: If the file exists and `force` is not given.
        """
        self._need_model()
        guidance = self.plan.guidance if guidance is None else guidance
        if n is None:
            n = labels.rows_asked(condition, self.parts.dataset) or self.plan.sample.n
        request = SampleRequest(n, sampler, grid, steps, seed, chunk, noise, label, guidance, condition)
        with self.writing_beside(self.folder.samples if out is None else Path(out)):
            path = sampling.output_path(self, request, None if out is None else Path(out), force)
            sampling.draw_into(path, self, request)
        return path

    @exclusive("evaluate")
    def evaluate(
        self, metrics: tuple[ChosenComponent, ...] | None = None, n: int | None = None
    ) -> evaluation.Numbers:
        """Measure the run's samples beside the floors, write metrics.json and bring the report up to date.

        Args:
            metrics: The metrics to compute, in addition to those in the file; None takes the run's.
            n: How many samples to compare. If the run has fewer, n samples are drawn into a separate file.
        """
        self._need_model()
        chosen = self.plan.metrics if metrics is None else metrics
        numbers = evaluation.evaluate_run(self, chosen, n, strict=True, added=metrics is not None)
        if self.folder.report.is_file():
            self._report(redraw=False)
        return numbers

    def samples_by(
        self,
        guidance: tuple[ChosenComponent, ...],
        label: str | None,
        n: int | None = None,
        condition: str | None = None,
    ) -> Path:
        """Return a file of samples like the run's own, but with other guidance, class or condition; drawn if missing.

        Args:
            guidance: The guidances.
            label: The class to draw; None draws all.
            n: How many samples; None as in `draw_samples`.
            condition: As in `draw_samples`.
        """
        self._need_model()
        n = n or labels.rows_asked(condition, self.parts.dataset) or self.plan.sample.n
        request = SampleRequest.of(self.plan, guidance=guidance, label=label, condition=condition, n=n)
        path = self.path / request.file_name(self.model)
        if not path.is_file():
            self.draw_samples(**attrs.asdict(request, recurse=False))
        return path

    @with_run_environment("evaluate")
    def evaluate_file(
        self, path: Path, metrics: tuple[ChosenComponent, ...] | None = None, n: int | None = None
    ) -> tuple[evaluation.Numbers, Path]:
        """Measure samples in a file, in the user's units; metrics.json and the report of the run stay as they are.

        Args:
            path: A .npz, .npy or .csv file.
            metrics: The metrics to compute; None takes the run's.
            n: How many samples to compare; None takes all in the file.

        Returns:
            The metrics, and the file that they are written to: ``NAME.metrics.json`` beside ``NAME.npz``.
        """
        with self.writing_beside(Path(path)):
            chosen = self.plan.metrics if metrics is None else metrics
            return evaluation.evaluate_file(self, Path(path), chosen, n, named=metrics is not None)

    @exclusive("tune")
    def tune(self, steps: int, *, free_weights: bool = False, iterations: int | None = None) -> Tuning:
        """Optimise the sampler for a number of steps; the sampler and grid called `tuned` use the result.

        Args:
            steps: The number of steps.
            free_weights: Optimise the weights of the method as well as the grid.
            iterations: See `difrun.sampler.tuning.tune`.

        Raises:
            DifrunError: If the run is not trained, has a guidance, or its process is not Gaussian.
        """
        self._need_model()
        return tuning.improve(self, steps, free_weights, iterations, self.tuning_report)

    @exclusive("likelihood")
    def likelihood(self, request: likelihood.LikelihoodRequest | None = None) -> likelihood.Content:
        """Measure −log p of held-out examples (`difrun.runs.stages.likelihood.measure`) and write metrics.json."""
        self._need_model()
        measured = likelihood.measure(self, request or likelihood.LikelihoodRequest())
        if self.folder.report.is_file():
            self._report(redraw=False)
        return measured

    @exclusive("report")
    def report(self) -> Path:
        """Draw every picture and write report.html; return its path."""
        self._need_model()
        return self._report(redraw=True)

    def show(self) -> "ReportView":
        """Show the report, in the notebook or else in the browser. Raises DifrunError if it is not written yet."""
        from difrun.runs.report.notebook import show

        return show(self)

    def animate(self) -> "Film":
        """Return the film of the sampler, which a notebook plays. Raises DifrunError if there is none."""
        from difrun.runs.report.notebook import animate

        self._need_model()
        return animate(self)

    def _repr_html_(self) -> str:
        from difrun.runs.report.notebook import html_of

        return html_of(self)

    @contextlib.contextmanager
    def writing_beside(self, file: Path) -> Iterator[None]:
        """Hold the lock of the run folder if `file` is in it; no lock if not."""
        inside = resolved(file.parent) == resolved(self.path)
        with lock.hold_lock(self.path) if inside else contextlib.nullcontext():
            self.folder.refuse_replaced()
            yield

    def _report(self, *, redraw: bool) -> Path:
        from difrun.runs.report.write import draw_and_write

        return draw_and_write(self, redraw)

    def _need_model(self) -> None:
        if not self.trained:
            raise DifrunError(
                f"{self.path} has not been trained to the end. Run 'difrun resume {quoted(self.path)}' first. With "
                "--finish it uses the weights that are saved."
            )
