"""Samples of a run: drawing them, and the files that hold them."""

import copy
import functools
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from torch import Tensor

from difrun.config.plan import ChosenComponent, Plan
from difrun.config.settings import section_of
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.wrappers import Counted
from difrun.plugin.containment import restored
from difrun.plugin.signatures import Lazy
from difrun.randomness.generator import seed_of
from difrun.runs.build import grid_times, instantiate
from difrun.runs.folder.contents import Drawn
from difrun.runs.folder.schema import fitting, in_place, parse_json, record
from difrun.runs.stages import labels as stage_labels
from difrun.runs.stages import sample_file
from difrun.runs.stages.labels import labels_of
from difrun.sampler.base import Sampler
from difrun.sampler.integration import generate
from difrun.text import listed, quoted

if TYPE_CHECKING:
    from difrun.runs.run import Run


@attrs.frozen
class SampleRequest:
    """A request for samples.

    Attributes:
        n: How many samples to draw.
        sampler: The sampler.
        grid: The time grid.
        steps: The number of steps.
        seed: Seed of the samples.
        chunk: How many are drawn at a time.
        noise: Noise of a stochastic sampler, "fresh" or "brownian".
        label: One class, by name or number; None draws all, if the model knows classes.
        guidance: The guidances, the innermost first.
        condition: The values of a condition, or a file of one row per sample; None takes those of the data in turn.
    """

    n: int
    sampler: ChosenComponent
    grid: ChosenComponent
    steps: int
    seed: int
    chunk: int
    noise: str = "fresh"
    label: str | None = None
    guidance: tuple[ChosenComponent, ...] = ()
    condition: str | None = None

    @classmethod
    def of(cls, plan: Plan, **changes: Any) -> "SampleRequest":
        """Return the request of a run's own samples, with changes."""
        request = cls(
            plan.sample.n,
            plan.sampler,
            plan.grid,
            plan.sample.steps,
            plan.seed,
            plan.sample.chunk,
            plan.sample.noise,
            plan.sample.label,
            plan.guidance,
            plan.sample.condition,
        )
        return attrs.evolve(request, **changes)

    def facts(self) -> dict[str, Any]:
        """Return how the samples are drawn, for metrics.json.

        "evaluations" is None if the sampler only knows their number after it has run.
        """
        facts: dict[str, Any] = {} if self.noise == "fresh" else {"noise": self.noise}
        if self.label is not None:
            facts["label"] = self.label
        if self.condition is not None:
            facts["condition"] = self.condition
        if self.guidance:
            facts["guidance"] = [{"name": chosen.name, **chosen.record()} for chosen in self.guidance]
        return facts | {
            "sampler": self.sampler.name,
            "grid": self.grid.name,
            "steps": self.steps,
            "evaluations": instantiate(self.sampler).evaluations_in(self.steps),
        }

    def file_name(self, model: ScoreModel | None = None) -> str:
        """Return ``samples-<sampler>-<grid>-<steps>-n<n>-seed<seed>-<digest>.npz``, unique to this request.

        The digest covers the options of sampler and grid, the noise, class or condition, the guidance, and the tuning
        of the model if it is used.
        """
        options: list[Any] = [self.sampler.entry.qualified, self.grid.entry.qualified]
        options += [self.sampler.record(), self.grid.record()]
        if self.noise != "fresh":
            options.append(self.noise)
        if "tuned" in self.grid.entry.component.provides:
            tuning = getattr(model, "tunings", {}).get(self.steps)
            if tuning:
                options.append(attrs.asdict(tuning))
        if self.label is not None:
            options.append({"label": self.label})
        if self.condition is not None:
            options.append({"condition": stage_labels.identity(self.condition)})
        options += [[chosen.entry.qualified, chosen.record()] for chosen in self.guidance]
        digest = hashlib.blake2b(json.dumps(options).encode(), digest_size=3).hexdigest()
        parts = (
            self.sampler.entry.name,
            self.grid.entry.name,
            self.steps,
            f"n{self.n}",
            f"seed{self.seed}",
            digest,
        )
        return f"samples-{'-'.join(map(str, parts))}.npz"


def sampler_for(chosen: ChosenComponent, dataset: Dataset) -> Sampler:
    """Make the sampler. Raises DifrunError if it needs a score, which a model of couples does not have."""
    sampler = instantiate(chosen)
    if dataset.noise is not None and sampler.stochastic:
        raise DifrunError(
            f"sampler '{chosen.name}' is stochastic, and needs the score of noised data. This model learned from "
            "couples of an example and its own noise. It knows the velocity of a flow, from which no score follows: "
            "the samples would have another distribution. Choose a deterministic sampler, such as --sampler adams, "
            "heun or euler."
        )
    return sampler


def draw(run: "Run", request: SampleRequest) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
    """Draw samples.

    The evaluations are counted, as a sampler may not know their number beforehand, or take fewer in a last step to the
    data; their mean per sample is given to one decimal.

    Returns:
        The samples (n, ...) in the units of the model, their labels if any, and facts for metrics.json.
    """
    model = run.guided(request.guidance)
    labels = labels_of(model, run.parts.dataset, request, request.n)
    sampler = sampler_for(request.sampler, run.parts.dataset)
    _note_accuracy(run, request, sampler)
    stage_labels.note(run.listener, run.parts.dataset, request, labels)
    run.listener.stage("sample")
    start = time.perf_counter()
    facts = request.facts()
    counted = Counted(model)
    # Put back before the file is written, which another working folder would misplace.
    with restored(run.note_change):
        samples = generate(
            sampler,
            counted,
            request.n,
            grid_times(request.grid, model, request.steps, sampler),
            seed=seed_of(request.seed, "samples"),
            chunk=request.chunk,
            device=run.device,
            noise=request.noise,
            labels=labels,
            watch=functools.partial(run.sample_report, chunks=-(-request.n // request.chunk)),
        )
    facts["evaluations"] = evaluations_per_sample(counted, request.n)
    return samples.detach().cpu(), labels, facts | {"seconds": round(time.perf_counter() - start, 3)}


def evaluations_per_sample(counted: Counted, n: int) -> float:
    """Return the mean number of evaluations that n samples took, to one decimal; whole if it is."""
    evaluations = round(counted.examples / n, 1)
    return int(evaluations) if evaluations.is_integer() else evaluations


def draw_into(path: Path, run: "Run", request: SampleRequest) -> tuple[Tensor, Tensor | None, dict[str, Any]]:
    """Draw samples, write them into a file, and return what `draw` does."""
    samples, labels, facts = draw(run, request)
    drawn = {"n": request.n, "seed": request.seed, **facts}
    sample_file.write(path, samples, labels, run.parts.dataset, drawn)
    run.tell("difrun_sampled", file=path, n=request.n, facts=Lazy(lambda: copy.deepcopy(facts)))
    return samples, labels, facts


def _note_accuracy(run: "Run", request: SampleRequest, sampler: Sampler) -> None:
    """Say which options set the accuracy of a sampler that chooses its own steps."""
    accuracy = getattr(sampler, "accuracy", ())
    if accuracy and request.steps > 1:
        section = section_of("sampler", request.sampler.name)
        values = request.sampler.record()
        flags = [f"{section.flag(name)} (now {values[name]:g})" for name in accuracy]
        run.listener.note(
            f"sampler '{request.sampler.name}' chooses its own steps, and --steps {request.steps} does not set its "
            f"accuracy: {listed(flags, ' and ')} do"
        )


def output_path(run: "Run", request: SampleRequest, out: Path | None, force: bool) -> Path:
    """Return where more samples go. Raises DifrunError, before any is drawn, if they cannot go there."""
    if out is not None:
        return sample_file.checked_path(out, force, "--out ", "--force")
    path = run.path / request.file_name(run.model)
    if path.exists() and not force:
        raise DifrunError(
            f"{path} already holds these samples. Draw others with another --seed, or draw these again with --force."
        )
    return path


def recorded_facts(run: "Run", request: SampleRequest) -> dict[str, Any]:
    """Return how the run's own samples were drawn, as their file says, or as they would be drawn now."""
    found = run.folder.read_sample_arrays(("drawn",)).get("drawn")
    drawn: Any = request.facts()
    if found is not None:
        advice = f"Remove it; 'difrun resume {quoted(run.path)}' draws the samples again."
        try:
            drawn = parse_json(str(found)) if found.ndim == 0 and found.dtype.kind == "U" else None
        except ValueError:
            drawn = None
        drawn = fitting(in_place("drawn", record(Drawn)), drawn, run.folder.samples, advice)
    return {key: value for key, value in drawn.items() if key not in ("n", "seed")}


def read(run: "Run", path: Path | None = None) -> Tensor:
    """Read samples from a file in the run folder (None: samples.npz), in the units of the model."""
    dataset = run.parts.dataset
    x = run.folder.read_samples(dataset.shape, path)
    return (x if dataset.scaling is None else dataset.scaling.encode(x)).float()
