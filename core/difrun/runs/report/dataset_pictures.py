"""The pictures that a dataset brings, drawn for a run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from difrun import draw
from difrun.config.plan import Plan
from difrun.config.selection import lookup
from difrun.data.scene import Drawing, Scene
from difrun.errors import DifrunError, Interrupted
from difrun.model.base import ScoreModel
from difrun.plugin.registry import get_registry
from difrun.plugin.signatures import PICTURES, call
from difrun.randomness.generator import Generator, seed_of
from difrun.report.html import Picture
from difrun.runs.build import Components, grid_times, instantiate
from difrun.runs.environment.faults import culprit, where
from difrun.runs.report.given_pictures import pictures_given
from difrun.runs.stages.labels import labels_of
from difrun.runs.stages.sample_file import read_labels
from difrun.sampler.base import Sampler
from difrun.sampler.integration import generate, integrate

if TYPE_CHECKING:
    from difrun.runs.run import Run


def scene_of(
    plan: Plan,
    parts: Components,
    model: ScoreModel,
    samples: Tensor,
    device: torch.device,
    labels: Tensor | None = None,
) -> Scene:
    """Return the scene for the pictures of a dataset; labels: the classes or conditions of the samples, if any."""
    return Scene(
        dataset=parts.dataset,
        process=parts.process,
        samples=samples,
        labels=labels,
        sampled=lambda n: reverse_frames(plan, parts, model, device, n),
        seed=plan.seed,
        given=None if model.condition_shape is None else lambda c: samples_of(plan, model, device, c),
    )


def samples_of(plan: Plan, model: ScoreModel, device: torch.device, conditions: Tensor) -> Tensor:
    """Return a sample of the run's sampler for each condition, in the units of the model, on the CPU."""
    sampler = instantiate(plan.sampler)
    times = grid_times(plan.grid, model, plan.sample.steps, sampler)
    seed = seed_of(plan.seed, "pictures of conditions")
    n, chunk = len(conditions), plan.sample.chunk
    return generate(sampler, model, n, times, labels=conditions, seed=seed, chunk=chunk, device=device).cpu()


def reverse_frames(
    plan: Plan, parts: Components, model: ScoreModel, device: torch.device, n: int
) -> tuple[list[float], Tensor]:
    """Return the times of the run's grid and frames (steps + 1, n, ...) of its sampler, from the prior."""
    sampler = instantiate(plan.sampler)
    times = grid_times(plan.grid, model, plan.sample.steps, sampler)
    return list(times), trajectory(plan, parts, model, device, sampler, times, n)


def trajectory(
    plan: Plan,
    parts: Components,
    model: ScoreModel,
    device: torch.device,
    sampler: Sampler,
    times: list[float],
    n: int,
) -> Tensor:
    """Return frames (steps + 1, n, ...) of a sampler from the prior."""
    labels = labels_of(model, parts.dataset, plan.sample, n)
    if labels is not None:
        model = model.condition_on(labels.to(device))
    generator = Generator(seed_of(plan.seed, "samples"), device=device)
    x = model.prior(n, generator, device=device)
    observed = model.process.observed
    frames = [observed(x).cpu()]

    def keep(k: int, at: Any, x: Tensor) -> None:
        frames.append(observed(x).cpu())

    integrate(sampler, model, x, times, generator=generator, watch=keep)
    return torch.stack(frames)


class DatasetPictures:
    """The pictures that a dataset brings (`difrun.data.pictured`), and that of its condition, if it has one.

    A picture that fails is left out, with a note.
    """

    def __init__(self, run: "Run", left_out: list[str]):
        self.run, self.left_out = run, left_out
        self.own: list[Drawing] = []
        self.drawings: list[Drawing] = []
        with self._guarded("the pictures of the dataset are"):
            pictures = declared_pictures(run.plan, run.parts)
            if pictures is not None or run.parts.dataset.condition is not None:
                scene = scene_of(run.plan, run.parts, run.model, run.samples, run.device, self._labels())
                self.own = (
                    []
                    if pictures is None
                    else with_distinct_stems(call(PICTURES, pictures, {"scene": scene}))
                )
                stems = {drawing.stem for drawing in self.own}
                self.drawings = [
                    *self.own,
                    *(each for each in pictures_given(scene) if each.stem not in stems),
                ]
        self._waiting = list(self.drawings)

    def _labels(self) -> Tensor | None:
        return read_labels(self.run.parts.dataset, self.run.folder.samples, len(self.run.samples))

    def draw(self, redraw: bool) -> list[Picture]:
        """Draw and save the pictures that are left; redraw: also those that are in the folder already."""
        pictures = []
        while self._waiting:
            drawing = self._waiting.pop(0)
            if redraw:
                self.run.stop_if_asked()
            with self._guarded(f"picture '{drawing.stem}' is"):
                files = [path for path in self.run.folder.drawings(drawing.stem) if path.is_file()]
                if redraw or not files:
                    picture = drawing.draw()
                    ending = "gif" if isinstance(picture, draw.Film) else "png"
                    files = [draw.save(picture, self.run.folder.drawing(drawing.stem, ending))]
                    self._tell(files[0], drawing)
                pictures.append(Picture(drawing.title, drawing.caption, files[0], drawing.alt))
        return pictures

    def _tell(self, file: Path, drawing: Drawing) -> None:
        self.run.tell("difrun_picture", file=file, title=drawing.title, caption=drawing.caption)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        """If the block fails, note that the picture is left out; an interruption by the user passes through."""
        try:
            yield
        except Interrupted:
            raise
        except Exception as error:
            plan = self.run.plan
            reason = str(error)
            if not isinstance(error, DifrunError):
                entries = [chosen.entry for chosen in plan.components()]
                reason = f"{culprit(error, entries) or plan.dataset.entry} failed: {where(error)}"
            self.left_out.append(f"{what} left out: {reason}")
            self.run.listener.note(self.left_out[-1])


def with_distinct_stems(drawings: Iterable[Drawing]) -> list[Drawing]:
    """Return the drawings as a list. Raises DifrunError if two have the same stem."""
    by_stem: dict[str, Drawing] = {}
    for drawing in drawings:
        if drawing.stem in by_stem:
            raise DifrunError(f"two pictures have the stem '{drawing.stem}'")
        by_stem[drawing.stem] = drawing
    return list(by_stem.values())


def declared_pictures(plan: Plan, parts: Components) -> Callable[[Scene], Iterable[Drawing]] | None:
    """Return the function that draws pictures of the dataset, or of its origin if it has one; None if there is none."""
    origin = parts.dataset.origin
    entry = plan.dataset.entry if origin is None else lookup(get_registry(), "dataset", origin.name)
    return getattr(entry.load(), "pictures", None)
