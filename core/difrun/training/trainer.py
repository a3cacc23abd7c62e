r"""The one training loop.

Training is a pure function of the seed (`difrun.training.batches`) and of the tensors that an optimiser step changes
(`difrun.training.optimizer`). The loss is read at checks only, as reading it at every step would hold up the device.
"""

import inspect
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from difrun.config.run_options import TrainOptions
from difrun.errors import DifrunError
from difrun.loss.base import Loss
from difrun.plugin.listener import Pace
from difrun.training.batches import Batches, TrainedModel, private_randomness, seeder
from difrun.training.network_state import Snapshot, copy_by_name, restore, weights_and_buffers
from difrun.training.optimizer import Adam, FlatParameters
from difrun.training.schedule import learning_rate

CHECK_STEPS = 50
"""Steps between two checks of the loss: the most that a non-finite loss can cost."""

REPORT_SECONDS = 0.5

ReportProgress = Callable[[int, int, float, float, float], Any]
"""Called with step, steps, mean loss of the last `CHECK_STEPS` steps, steps per second, seconds left."""


class Trainer:
    r"""Trains a network on the mean of a loss, by Adam with clipping and averaged weights.

    On one machine and with one number of threads the result is the same bit for bit, however often the run is
    interrupted. With `minutes` it is not, as the learning rate then depends on the clock.

    Args:
        model: The model whose network is trained, such as a `NetworkModel`. It is moved to the device.
        loss: The loss.
        data: Examples (N, *shape). Examples on another device are brought block by block.
        options: steps, stop_at and minutes (or None), batch, lr, warmup, ema, clip and label_dropout, as
            `difrun.config.TrainOptions`.
        seed: The seed of all random numbers.
        note: Called with a sentence for the user; None is `warnings.warn`.
        noise: The noise that each example is paired with, of the shape of `data`; None draws it anew.
        labels: Class (N,) or condition (N, ...) of each example; `options.label_dropout`: how often it is hidden.
        device: Where to train; None is the device of `data`.

    Attributes:
        step, lr: Steps done, and the learning rate of the last; 0 before the first.
        seconds: Time spent in `run`, over all sessions.
        losses: The loss of every step up to the last check, (step,).
        stopped: Whether the last `run` was asked to stop.

    Raises:
        DifrunError: If the data do not have the shape of the model, nothing is trainable, or the loss cannot take the
            noise of couples.
    """

    def __init__(
        self,
        model: TrainedModel,
        loss: Loss,
        data: Tensor,
        options: TrainOptions,
        *,
        seed: int,
        note: Callable[[str], Any] | None = None,
        noise: Tensor | None = None,
        labels: Tensor | None = None,
        device: torch.device | str | None = None,
    ):
        if len(data) == 0 or tuple(data.shape[1:]) != tuple(model.shape):
            wanted = ", ".join(str(size) for size in ("N", *model.shape))
            raise DifrunError(f"Training needs examples of shape ({wanted}), not {tuple(data.shape)}.")
        if noise is not None and "noise" not in inspect.signature(loss.draw).parameters:
            raise DifrunError(
                f"The examples are couples with their own noise, and the loss {type(loss).__name__} draws new noise. "
                "Choose a loss that takes couples: --loss flow."
            )
        self._device = data.device if device is None else torch.device(device)
        model.to(self._device)
        self.model: Any = model  # the loss knows what else the model has
        self.loss, self.options = loss, options
        self.network: nn.Module = model.network
        self.note = note or (lambda text: warnings.warn(text, stacklevel=3))
        dropout = 0.0 if labels is None else options.label_dropout
        hides, place = getattr(model, "completes", False), self._device
        self.batches = Batches(model, loss, data, options.batch, seed, noise, labels, dropout, place, hides)
        self.flat = FlatParameters(self.network)
        self.adam = Adam(self.flat, clip=options.clip, ema=options.ema)
        self.step, self.seconds, self.stopped, self.lr = 0, 0.0, False, 0.0
        self.losses = torch.empty(0)
        self._seed_network = seeder(self._device, seed)
        # The weights of training, while the averaged ones stand in the network; the losses since the last check.
        self._raw: Tensor | None = None
        self._window: list[Tensor] = []
        changing = [self.flat.weights, self.adam.count, *self.adam.vectors.values()]
        self._good, self._good_step = Snapshot([*changing, *self.network.buffers()]), 0

    def run(
        self,
        *,
        report: ReportProgress | None = None,
        stopping: Callable[[], bool] | None = None,
        save: Callable[["Trainer"], Any] | None = None,
        save_steps: int = 0,
        save_minutes: float = 0.0,
    ) -> None:
        """Train until `options.steps` are done, or `options.stop_at` of them, or `options.minutes` have passed.

        Args:
            report: Called about twice a second and at the end; less often where it is slow.
            stopping: Asked before every step; True ends the run and sets `stopped`.
            save: Called with the trainer; if it fails (OSError, DifrunError), `note` says so and training goes on.
            save_steps: Steps between two calls of `save`; 0 is never.
            save_minutes: Minutes between two calls of `save`; 0 is never.

        Raises:
            DifrunError: If the loss or the weights become NaN or infinite. The trainer then holds the last finite
                state, at most `CHECK_STEPS` steps old.
        """
        self.stopped = False
        self._leave_average()
        self.flat.attach()
        self._keep()
        before, first, last = self.seconds, self.step, self.last
        start = saved = time.perf_counter()
        reported_step, pace = first, Pace(REPORT_SECONDS)
        self.network.train()
        try:
            with private_randomness(self._device), torch.enable_grad():
                while self.step < last and not self._time_is_up():
                    if stopping is not None and stopping():
                        self.stopped = True
                        break
                    self._advance()
                    now = time.perf_counter()
                    self.seconds = before + now - start
                    if len(self._window) >= CHECK_STEPS:
                        self._check()
                    if report is not None and pace.is_due():
                        rate = (self.step - first) / (now - start)
                        reported_step = self._report(partial(pace.timed, report), rate)
                    by_step = save_steps and self.step % save_steps == 0
                    if save is not None and (by_step or (save_minutes and now - saved >= 60 * save_minutes)):
                        self._save(save)
                        saved = time.perf_counter()
                self._check()
        finally:
            self.network.eval()
        if report is not None and self.step > reported_step:
            self._report(report, (self.step - first) / (time.perf_counter() - start))

    def _advance(self) -> None:
        self._seed_network(self.step)
        # Gradients are added where they lie, so that they stay views into the flat vector.
        self.flat.gradient.zero_()
        self._window.append(self.loss.backward(self.model, self.batches[self.step]))
        self.lr = learning_rate(self.options, self.step, self.seconds)
        self.step += 1
        self.adam.update(self.step, self.lr)

    @property
    def last(self) -> int:
        """The step at which training ends."""
        return min(self.options.steps, self.options.stop_at or self.options.steps)

    def _time_is_up(self) -> bool:
        return self.options.minutes is not None and self.seconds >= 60 * self.options.minutes

    def _report(self, report: ReportProgress, rate: float) -> int:
        self._check()
        left = (self.last - self.step) / rate
        if self.options.minutes is not None:
            left = min(left, max(0.0, 60 * self.options.minutes - self.seconds))
        # A mean since the last report would depend on the clock, and give one step two losses.
        report(self.step, self.last, float(self.losses[-CHECK_STEPS:].mean()), rate, left)
        return self.step

    def _save(self, save: Callable[["Trainer"], Any]) -> None:
        self._check()
        try:
            save(self)
        except (OSError, DifrunError) as error:
            self.note(f"The state after step {self.step} is not saved; training goes on. {error}")

    def _check(self) -> None:
        """Read the losses since the last check: keep this state if all are finite, else go back and raise."""
        if not self._window:
            return
        losses = torch.stack(self._window).float().cpu()
        first = self.step - len(losses)
        self._window.clear()
        bad = (~losses.isfinite()).nonzero()
        if len(bad) == 0 and bool(self.flat.weights.sum().isfinite()):
            self.losses = torch.cat((self.losses, losses))
            self._keep()
            return
        what, step = ("loss", first + int(bad[0]) + 1) if len(bad) else ("weights", self.step)
        self._good.put_back()
        self.step = self._good_step
        raise self._not_finite(what, step)

    def _not_finite(self, what: str, step: int) -> DifrunError:
        bound = self.options.clip
        now = f"now {bound:g}" if bound else "now off"
        clip = f"a bound on the gradient (--train.clip 1; {now}), " if not 0 < bound <= 1 else ""
        return DifrunError(
            f"The {what} became NaN or infinite at step {step}; the weights of step {self.step} are kept. "
            f"Try a smaller --train.lr (now {self.options.lr:g}), {clip}and data whose coordinates have a standard "
            "deviation near 1."
        )

    def _keep(self) -> None:
        self._good.take()
        self._good_step = self.step

    def state(self) -> dict[str, Tensor]:
        """Return copies on the CPU of all that a continuation needs.

        Returns:
            network.*, the weights of training and persistent buffers; ema.*, averaged weights, unless the average is
            off; adam.mean.* and adam.square.*, the moments; step and seconds, (); losses, (step,).
        """
        self._check()
        averaged = self._leave_average()
        tensors = self.tensors() | {
            "step": torch.tensor(self.step),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "losses": self.losses,
        }
        state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        if averaged:
            self.finish()
        return state

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned.

        Raises:
            DifrunError: If it is of another network, or only one of the two trainings averages weights.
        """
        self._leave_average()
        self.flat.attach()
        step, seconds = torch.tensor(0), torch.tensor(0.0, dtype=torch.float64)
        losses = torch.empty_like(state.get("losses", self.losses))
        copy_by_name(self.tensors() | {"step": step, "seconds": seconds, "losses": losses}, state)
        self._window.clear()
        self.step, self.seconds, self.losses = int(step), float(seconds), losses
        self.adam.count.fill_(self.step)
        self._keep()

    def start_from(self, state: dict[str, Tensor]) -> None:
        """Begin with the weights for sampling in the `state` of another training: averaged ones if it has any.

        Raises:
            DifrunError: If it is of another network.
        """
        restore(self.network, state)
        if self.adam.average is not None:
            self.adam.average.copy_(self.flat.weights)
        self._keep()

    def tensors(self) -> dict[str, Tensor]:
        """Return all that an optimiser step changes, by name."""
        tensors = {f"network.{name}": tensor for name, tensor in weights_and_buffers(self.network).items()}
        for group, vector in self.adam.vectors.items():
            tensors |= {f"{group}.{name}": view for name, view in self.flat.views(vector).items()}
        return tensors

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averaged weights into the network, to sample with.

        `state` and `run` go on with the weights of training.
        """
        if self.adam.average is not None and self._raw is None:
            self._check()
            self._raw = self.flat.weights.clone()
            self.flat.weights.copy_(self.adam.average)

    @torch.no_grad()
    def _leave_average(self) -> bool:
        """Undo `finish`, and return whether there was anything to undo."""
        if self._raw is None:
            return False
        self.flat.weights.copy_(self._raw)
        self._raw = None
        return True

    @property
    def rate(self) -> float:
        """Steps per second over the whole training."""
        return self.step / self.seconds if self.seconds else 0.0
