"""The pictures of a run, each a file in its folder."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from difrun import draw
from difrun.errors import DifrunError
from difrun.model.eval_mode import evaluating
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import torch_generator
from difrun.report.html import Picture
from difrun.runs.environment.faults import where
from difrun.runs.report.dataset_pictures import DatasetPictures, reverse_frames, trajectory
from difrun.runs.report.images import as_images, samples_and_examples
from difrun.runs.report.powers_of_ten import drawn_powers, times_power
from difrun.sampler.fixed_step import Heun
from difrun.training.loss_history import loss_history

if TYPE_CHECKING:
    from difrun.runs.run import Run

POINTS = 1000
FRAMES = 48
LINES = 60
PANELS = 6

VectorPicture = tuple[str, str, str, Callable[[], Any]]
"""Title, caption, alternative text, and the function that draws the picture."""


def draw_all(run: "Run", *, redraw: bool = True, left_out: list[str] | None = None) -> list[Picture]:
    """Draw and save every picture that the data allow, in the order of the report, the loss curve last.

    Args:
        run: A run that has been sampled.
        redraw: Draw the pictures in the folder again. If not, they stay, and the work cannot be stopped half-way.
        left_out: A sentence is added here for each picture that fails.
    """
    pictures = []
    left_out = [] if left_out is None else left_out
    of_dataset = DatasetPictures(run, left_out)
    replaced = {drawing.stem for drawing in of_dataset.drawings}
    for name, make in _drawings(run):
        if name in replaced or (of_dataset.own and len(run.parts.dataset.shape) != 1 and name != "loss"):
            continue
        if name == "loss":
            pictures += of_dataset.draw(redraw)
        if redraw:
            run.stop_if_asked()
        path = run.folder.picture(name)
        title, caption, alt, drawn = make()
        if redraw or not path.is_file():
            if not _saved(run, drawn, path, left_out):
                continue
            run.tell("difrun_picture", file=path, title=title, caption=caption)
        pictures.append(Picture(title, caption, path, alt))
    return pictures + of_dataset.draw(redraw)


def _saved(run: "Run", drawn: Callable[[], Any], path: Path, left_out: list[str]) -> bool:
    """Draw and save a picture; if drawing fails, say so and return False. An error in writing the file is raised."""
    try:
        draw.save(drawn(), path)
    except (DifrunError, OSError):
        raise
    except Exception as error:
        left_out.append(f"picture '{path.stem}' is left out: {where(error)}")
        run.listener.note(left_out[-1])
        return False
    return True


def _drawings(run: "Run") -> Iterator[tuple[str, Callable[[], VectorPicture]]]:
    """The names of the pictures that fit the data, and the methods that make them."""
    vectors = Vectors(run)
    yield "samples", vectors.samples
    if isinstance(vectors.process, GaussianProcess):
        yield "forward", vectors.forward
        yield "reverse", vectors.reverse
        if vectors.size == 1:
            yield "paths", vectors.paths
        if vectors.size <= 2:
            yield "density", vectors.density
            if vectors.has_a_score:
                yield "score", vectors.score
        if vectors.size >= 2:
            yield "flow", vectors.flow
    if run.trainer is not None and len(run.trainer.losses):
        yield "loss", vectors.loss


class Vectors:
    """The pictures of vectors, and what they share: the data, the model, and the times to show."""

    def __init__(self, run: "Run"):
        self.run = run
        self.dataset, self.process = run.parts.dataset, run.parts.process
        self.size = math.prod(self.dataset.shape)
        self.data = self.dataset.train[:POINTS]
        self.device = run.device
        scaling = self.dataset.scaling
        shift = np.zeros(self.size) if scaling is None else scaling.shift.flatten().numpy()
        scale = np.ones(self.size) if scaling is None else scaling.scale.flatten().numpy()
        powers = drawn_powers(shift, scale)
        self._powers = powers
        self.columns = self.dataset.columns or None
        if powers.any():
            names = self.columns or [f"column {i}" for i in range(1, self.size + 1)]
            self.columns = tuple(
                f"{name} / 1e{power}" if power else name for name, power in zip(names, powers, strict=True)
            )
        self.shift, self.scale = times_power(shift, -powers), times_power(scale, -powers)

    @property
    def has_a_score(self) -> bool:
        """Whether the model has a score without a class: not if it was trained on labelled examples only."""
        return self.run.parts.model.knows_any

    def samples(self) -> VectorPicture:
        """Training examples and samples side by side."""
        images = as_images(self.dataset.shape)

        def drawn() -> Any:
            if images is not None:
                return samples_and_examples(self.dataset, self.run.samples, images)
            data, samples = (self._shown(x[: 5 * POINTS]) for x in (self.dataset.train, self.run.samples))
            return draw.data_and_samples(data, samples, self.columns, density=self._density_1d())

        caption = "Training examples and samples of the model, under the same limits."
        if images is not None:
            caption = "Samples of the model, and training examples; from black to white as these are."
        return "Data and samples", caption, "", drawn

    def forward(self) -> VectorPicture:
        """An animation of the forward process."""

        def drawn() -> Any:
            times, path = self._forward_path(FRAMES)
            return draw.forward_animation(self._shown_path(path), times, columns=self.columns)

        caption = "The forward process: one exact joint path per example, from t = 0 to T."
        return (
            "Data become noise",
            caption,
            "Animation of points that spread from the data into noise.",
            drawn,
        )

    def reverse(self) -> VectorPicture:
        """An animation of the sampler."""
        plan = self.run.plan

        def drawn() -> Any:
            times, path = reverse_frames(self.run.plan, self.run.parts, self.run.model, self.device, POINTS)
            data = self._shown(self.data)
            return draw.reverse_animation(self._shown_path(path), times, data=data, columns=self.columns)

        caption = (
            f"{plan.sampler.name} on the {plan.grid.name} grid, {plan.sample.steps} steps, from T to t_min."
        )
        return "Noise becomes samples", caption, "Animation of noise that contracts into samples.", drawn

    def density(self) -> VectorPicture:
        """The density of the noised examples over time."""

        def drawn() -> Any:
            points, shape, extent = self._lattice(120)
            times = self._times(PANELS if self.size == 2 else 80)
            values = np.stack([self._density(points, t).reshape(shape).numpy() for t in times])
            return draw.density_map(values, extent, times, columns=self.columns)

        caption = "The density p_t of the noised training examples, exact at every point."
        return "Density over time", caption, "Maps of the density at increasing times.", drawn

    def score(self) -> VectorPicture:
        """The model's score over the density."""

        def drawn() -> Any:
            times = self._times(PANELS)
            coarse, _, _ = self._lattice(15, inside=True) if self.size == 2 else self._lattice(200)
            model, scores = self.run.model, []
            for t in times:
                at = self.process.at(t)
                with torch.no_grad(), evaluating(model):
                    scores.append(model.predict(coarse.to(self.device), at, "score").cpu().double().numpy())
            if self.size == 1:
                points = self.shift + self.scale * coarse.numpy()
                return draw.score_field(points, np.stack(scores) / self.scale, times, columns=self.columns)
            points, shape, extent = self._lattice(100)
            background = np.stack([self._density(points, t).reshape(shape).numpy() for t in times])
            return draw.score_field(
                coarse.numpy(),
                np.stack(scores),
                times,
                background=background,
                extent=extent,
                units=(self.shift, self.scale),
                columns=self.columns,
            )

        caption = "The model's score ∇ log p_t, over the exact density of the noised data."
        if self.run.parts.model.shares:
            caption += (
                " This is the score without a class, which is learned where labels are dropped in training."
            )
        if self.size == 2 and self.dataset.scaling is not None:
            caption += (
                " Axes in your units; arrows as the model sees them, with both coordinates of variance 1."
            )
        return "Score field", caption, "Arrows of the score at increasing times.", drawn

    def flow(self) -> VectorPicture:
        """Trajectories of the probability flow."""

        def drawn() -> Any:
            run = self.run
            paths = trajectory(
                run.plan, run.parts, run.model, run.device, Heun(), self._times(40)[::-1], LINES
            )
            data = self._shown(self.data)
            return draw.probability_flow_lines(self._shown_path(paths), data, columns=self.columns)

        caption = f"Trajectories of the probability-flow ODE from {LINES} draws of the prior."
        return "Probability flow", caption, "Lines from noise to samples.", drawn

    def paths(self) -> VectorPicture:
        """Paths of the forward process in one dimension."""

        def drawn() -> Any:
            # Equal steps in time as well: with log-SNR alone, the last step would span most of the time.
            even = np.linspace(0, self.process.horizon, 121)
            times = np.unique([*even, *self._times(120)]).tolist()
            path = self.process.path(self.data, times, torch_generator(self.run.plan.seed, "forward"))
            column = None if self.columns is None else self.columns[0]
            shown = self._shown_path(path)[..., 0]
            return draw.paths_1d(times, shown, density=self._density_1d(), column=column)

        return "Paths", "Paths of the forward process and histograms at both ends.", "", drawn

    def loss(self) -> VectorPicture:
        """The training loss."""
        trainer = self.run.trainer
        assert trainer is not None  # `_drawings` asks for this picture only after training
        caption = "The training loss, and its moving average."
        return "Loss", caption, "", lambda: draw.loss_curve(*loss_history(trainer.losses))

    def _forward_path(self, count: int) -> tuple[list[float], Tensor]:
        """Times from 0 to T, and the path of the examples through them."""
        times = [0.0, *self._times(count)]
        return times, self.process.path(self.data, times, torch_generator(self.run.plan.seed, "forward"))

    def _times(self, count: int) -> list[float]:
        return self.process.display_times(count + 1)[1:]

    def _lattice(self, count: int, inside: bool = False) -> tuple[Tensor, tuple[int, ...], list[float]]:
        """A regular lattice around the data, (count^d, d), its shape, and its extent in the user's units.

        inside: take the centres of count^d cells of the same square instead, so that arrows drawn there stay in it.
        """
        data = self.dataset.train
        low, high = data.quantile(0.002, dim=0), data.quantile(0.998, dim=0)
        centre, half = (low + high) / 2, 0.75 * (high - low).max() * (1 - 1 / count if inside else 1)
        axes = [torch.linspace(float(c - half), float(c + half), count) for c in centre]
        extent = [
            float(self.shift[i]) + float(self.scale[i]) * float(v)
            for i, axis in enumerate(axes)
            for v in (axis[0], axis[-1])
        ]
        if self.size == 1:
            return axes[0][:, None], (count,), extent
        across, up = torch.meshgrid(axes[0], axes[1], indexing="xy")
        return torch.stack([across.flatten(), up.flatten()], 1), (count, count), extent

    def _density(self, points: Tensor, t: float) -> Tensor:
        """The density at points in the model's units, per unit of the user's; these are kept to 1e±250, for drawing."""
        assert isinstance(self.process, GaussianProcess)  # the densities of no other process are drawn
        density = self.process.density(points, self.dataset.train[: 4 * POINTS].flatten(1), t)
        return density.double() * 10 ** float(np.clip(-np.log10(self.scale).sum(), -250, 250))

    def _density_1d(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """The true density of one-dimensional data, where it is known."""
        distribution = self.dataset.distribution
        if distribution is None or self.size != 1:
            return None
        return lambda x: distribution.log_prob(torch.as_tensor(x)[:, None].double()).exp().numpy()

    def _shown(self, x: Tensor) -> np.ndarray:
        """Examples as vectors, in the user's units, or a power of ten of these (`drawn_powers`)."""
        return times_power(self.dataset.decode(x.cpu()).flatten(1).numpy(), -self._powers)

    def _shown_path(self, path: Tensor) -> np.ndarray:
        return np.stack([self._shown(frame) for frame in path])
