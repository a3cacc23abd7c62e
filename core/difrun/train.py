r"""The one training loop.

Training is a pure function of the seed, the step, and the tensors that an optimiser step changes. The examples, times
and noise of step k come from generators seeded by (seed, block or epoch that k lies in), so that a state saved after
any step continues bit for bit, and holds no generator. Times and noise of a block of steps are drawn at once, which
costs as much as one step does; data stay on the device and are indexed.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from difrun.errors import DifrunError
from difrun.flat import Adam, FlatParameters, Snapshot
from difrun.loss import Loss
from difrun.randomness import Generator, seed_of, torch_generator

BLOCK_STEPS = 64
"""Most steps whose noise is drawn at once."""

BLOCK_NUMBERS = 2_000_000
"""Most coordinates of examples drawn at once: some 50 MB of inputs, targets and noise."""

ORDER_ROWS = 4096
"""A data set of fewer examples is permuted several times at once, until it makes so many."""

CHECK_STEPS = 50
"""Steps between two looks at the loss; all that a non-finite loss can cost."""

REPORT_SECONDS = 0.5
HISTORY_POINTS = 500

Report = Callable[[int, int, float, float, float], Any]
"""Called with step, steps, mean loss since the last report, steps per second, seconds left."""


class Trainer:
    r"""Trains a network on the mean of a loss, by Adam with clipping and averaged weights.

    The learning rate at step k of n rises linearly over `warmup` steps and falls as a half cosine,

        lr(k) = lr · min(1, (k + 1)/warmup) · ½[1 + cos(π p)],    p = max(k/n, elapsed/minutes).

    With `minutes` the rate depends on the clock, and such a run is not reproducible bit for bit; without, it is on
    one machine and number of threads, however often it is interrupted.

    model: a `NetworkModel`; its network is moved to the device of `data`.
    data: examples (N, *shape), on the device. Every epoch is a permutation of them; none is skipped.
    options: steps, minutes, batch, lr, warmup, ema, clip (`difrun.config.TrainOptions`).
    note: called with a sentence for the user; `warnings.warn` unless given.

    step: steps done. seconds: time spent in `run`, over all sessions. stopped: whether the last run was asked to stop.

    Raises DifrunError when there are no data or nothing to train.
    """

    def __init__(
        self,
        model: Any,
        loss: Loss,
        data: Tensor,
        options: Any,
        *,
        seed: int,
        note: Callable[[str], Any] | None = None,
    ):
        if len(data) == 0 or tuple(data.shape[1:]) != tuple(model.shape):
            raise DifrunError(
                f"training needs examples of shape (N, {', '.join(map(str, model.shape))}) with N at least 1; "
                f"got {tuple(data.shape)}."
            )
        model.to(data.device)
        self.model, self.loss, self.data, self.options, self.seed = model, loss, data, options, seed
        self.network: nn.Module = model.network
        self.note = note or (lambda text: warnings.warn(text, stacklevel=2))
        self.flat = FlatParameters(self.network)
        self.adam = Adam(self.flat, clip=options.clip, ema=options.ema)
        self.step = 0
        self.seconds = 0.0
        self.stopped = False
        self.losses = torch.empty(0)
        self._raw: Tensor | None = (
            None  # the weights of training, while the averaged ones stand in the network
        )
        self._window: list[Tensor] = []  # losses of the steps since the last check, on the device
        self._block_steps = max(
            1, min(BLOCK_STEPS, BLOCK_NUMBERS // max(1, options.batch * data[:1].numel()))
        )
        self._block: tuple[int, list[dict[str, Tensor]]] = -1, []
        self._order: tuple[int, Tensor] = -1, torch.empty(0)
        self._snapshot = Snapshot([*self.adam.tensors(), *self.network.buffers()])
        self._good_step = 0

    # ---- the loop

    def run(
        self,
        *,
        report: Report | None = None,
        stopping: Callable[[], bool] | None = None,
        save: Callable[["Trainer"], Any] | None = None,
        save_steps: int = 0,
        save_minutes: float = 0.0,
    ) -> None:
        """Train until `options.steps` are done or `options.minutes` have passed.

        report: called about twice a second and at the end. stopping: asked before every step; True ends the run between
        two steps, with `stopped` set. save: called with the trainer every `save_steps` steps and `save_minutes` minutes
        (0: never); when it fails, the user is told and training goes on.

        Raises DifrunError when the loss or the weights become NaN or infinite; the trainer then holds the last good
        state, at most `CHECK_STEPS` steps old.
        """
        options, before, first = self.options, self.seconds, self.step
        self.stopped = False
        self._leave_average()
        self.flat.attach()
        self._keep()
        seed_network = _seeder(self.data.device, seed_of(self.seed, "network"))
        start = reported = saved = time.perf_counter()
        reported_step = first
        self.network.train()
        with _private_randomness(self.data.device), torch.enable_grad():
            while self.step < options.steps and not self._time_is_up():
                if stopping is not None and stopping():
                    self.stopped = True
                    break
                seed_network(self.step)
                self._advance()
                now = time.perf_counter()
                self.seconds = before + now - start
                if len(self._window) >= CHECK_STEPS:
                    self._check()
                if report is not None and now - reported >= REPORT_SECONDS:
                    self._report(report, reported_step, (self.step - first) / (now - start))
                    reported, reported_step = now, self.step
                if save is not None and (
                    (save_steps and self.step % save_steps == 0)
                    or (save_minutes and now - saved >= 60 * save_minutes)
                ):
                    self._save(save)
                    saved = time.perf_counter()
            self._check()
        self.network.eval()
        if report is not None and self.step > reported_step:
            self._report(report, reported_step, (self.step - first) / (time.perf_counter() - start))

    def _advance(self) -> None:
        """One step."""
        options, k = self.options, self.step
        block, place = divmod(k, self._block_steps)
        if block != self._block[0]:
            self._block = block, self._draw(block)
        progress = k / options.steps
        if options.minutes is not None:
            progress = min(1.0, max(progress, self.seconds / (60 * options.minutes)))
        lr = options.lr * 0.5 * (1 + math.cos(math.pi * progress))
        if k + 1 < options.warmup:
            lr *= (k + 1) / options.warmup
        # Gradients are added where they lie, so that they stay views into the flat vector.
        self.flat.gradient.zero_()
        loss = self.loss.evaluate(self.model, self._block[1][place]).mean()
        loss.backward()
        self._window.append(loss.detach())
        self.step = k + 1
        self.adam.update(self.step, lr)

    @torch.no_grad()
    def _draw(self, block: int) -> list[dict[str, Tensor]]:
        """Examples, times and noise of the steps of a block: what `Loss.evaluate` takes, one dictionary per step."""
        batch, device = self.options.batch, self.data.device
        rows = self._block_steps * batch
        x0 = self.data[self._rows(block * rows, (block + 1) * rows).to(device)]
        random = Generator.of(torch_generator(self.seed, "train", block, device=device))
        drawn = self.loss.draw(self.model, x0, random)
        parts = zip(*(tensor.split(batch) for tensor in drawn.values()), strict=True)
        return [dict(zip(drawn, part, strict=True)) for part in parts]

    def _rows(self, start: int, stop: int) -> Tensor:
        """Which examples stand at the places start, ..., stop − 1 of the endless sequence of permuted epochs."""
        n = len(self.data)
        passes = math.ceil(ORDER_ROWS / n)
        length, parts = passes * n, []
        while start < stop:
            epoch, place = divmod(start, length)
            if epoch != self._order[0]:
                keys = torch.rand(
                    (passes, n), generator=torch_generator(self.seed, "epoch", epoch), dtype=torch.float64
                )
                self._order = epoch, keys.argsort(1).flatten()
            part = self._order[1][place : place + stop - start]
            parts.append(part)
            start += len(part)
        return torch.cat(parts)

    def _time_is_up(self) -> bool:
        minutes = self.options.minutes
        return minutes is not None and self.seconds >= 60 * minutes

    def _report(self, report: Report, since: int, rate: float) -> None:
        self._check()
        left = (self.options.steps - self.step) / rate
        if self.options.minutes is not None:
            left = min(left, max(0.0, 60 * self.options.minutes - self.seconds))
        report(self.step, self.options.steps, float(self.losses[since:].mean()), rate, left)

    def _save(self, save: Callable[["Trainer"], Any]) -> None:
        self._check()
        try:
            save(self)
        except (OSError, DifrunError) as error:
            self.note(f"The state after step {self.step} is not saved; training goes on. {error}")

    # ---- good and bad states

    def _check(self) -> None:
        """Read the losses since the last check. Sound: remember this state. Not: return to the last one and say so."""
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
        self._snapshot.put_back()
        self.step = self._good_step
        self.network.eval()
        raise DifrunError(
            f"The {what} became NaN or infinite at step {step}; the weights are those of step {self.step}. "
            f"Try a lower --train.lr (it was {self.options.lr:g}), a bound on the gradient "
            f"(--train.clip 1; it was {self.options.clip:g}), and data of a scale near 1."
        )

    def _keep(self) -> None:
        self._snapshot.take()
        self._good_step = self.step

    # ---- state

    @torch.no_grad()
    def state(self) -> dict[str, Tensor]:
        """Copies of all that a bit-equal continuation needs, on the CPU.

        network.*: weights of training and persistent buffers. ema.*: averaged weights, unless the average is off.
        adam.mean.*, adam.square.*: moments. step, seconds: (). losses: (step,).
        """
        self._check()
        averaged = self._leave_average()
        named = {f"network.{name}": tensor for name, tensor in _tensors(self.network).items()}
        for group, vector in self.adam.vectors().items():
            named |= {f"{group}.{name}": view for name, view in self.flat.views(vector).items()}
        named |= {
            "step": torch.tensor(self.step),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "losses": self.losses,
        }
        state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}
        if averaged:
            self.finish()
        return state

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` gave. Raises DifrunError when it is of another network or was made without ema."""
        self._leave_average()
        self.flat.attach()
        targets = {f"network.{name}": tensor for name, tensor in _tensors(self.network).items()}
        for group, vector in self.adam.vectors().items():
            targets |= {f"{group}.{name}": view for name, view in self.flat.views(vector).items()}
        _copy(targets, state)
        self._window.clear()
        self.step = int(state["step"])
        self.seconds = float(state["seconds"])
        self.losses = state["losses"].clone()
        self.adam.count.fill_(self.step)
        self._keep()

    @torch.no_grad()
    def finish(self) -> None:
        """Put the averaged weights into the network, to sample with; `state` and `run` go on with those of training."""
        if self.adam.average is not None and self._raw is None:
            self._check()
            self._raw = self.flat.weights.clone()
            self.flat.weights.copy_(self.adam.average)
        self.network.eval()

    @torch.no_grad()
    def _leave_average(self) -> bool:
        """Undo `finish`; whether there was anything to undo."""
        if self._raw is None:
            return False
        self.flat.weights.copy_(self._raw)
        self._raw = None
        return True

    @property
    def done(self) -> bool:
        """Whether training has come to its end: all steps done, or all minutes spent."""
        return self.step >= self.options.steps or self._time_is_up()

    @property
    def rate(self) -> float:
        """Steps per second over the whole training."""
        return self.step / self.seconds if self.seconds else 0.0

    @property
    def history(self) -> tuple[Tensor, Tensor]:
        """The loss curve: steps and mean losses up to them, at most `HISTORY_POINTS` of each."""
        stride = max(1, -(-len(self.losses) // HISTORY_POINTS))
        parts = self.losses.split(stride)
        ends = torch.tensor([len(part) for part in parts], dtype=torch.int64).cumsum(0)
        return ends, torch.stack([part.mean() for part in parts]) if len(self.losses) else self.losses


def restore(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Put the weights to sample with into a network: from `Trainer.state`, the averaged ones where there are any.

    Raises DifrunError when they are of another network.
    """
    chosen = {name: tensor for name, tensor in state.items() if name.startswith("network.")}
    chosen |= {f"network.{name[4:]}": tensor for name, tensor in state.items() if name.startswith("ema.")}
    with torch.no_grad():
        _copy({f"network.{name}": tensor for name, tensor in _tensors(network).items()}, chosen)
    network.eval()


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; of tied parameters the first name."""
    first = dict(network.named_parameters())
    every = dict(network.named_parameters(remove_duplicate=False))
    state = network.state_dict(keep_vars=True)
    return {name: t for name, t in state.items() if name in first or name not in every}


def _copy(targets: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Copy tensors by name, all or none."""
    groups = tuple({name.partition(".")[0] + "." for name in targets})
    given = {name for name in state if name.startswith(groups)}
    wrong = sorted(given ^ set(targets)) + [
        name for name in sorted(given & set(targets)) if state[name].shape != targets[name].shape
    ]
    if wrong:
        shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise DifrunError(
            f"The saved state does not fit this network and its training options: {shown} "
            f"({len(wrong)} of {len(targets)} tensors) are missing, left over or of another shape."
        )
    for name, target in targets.items():
        target.copy_(state[name])


def _seeder(device: torch.device, base: int) -> Callable[[int], Any]:
    """A function that seeds torch's global generator of the device for a step.

    Layers such as dropout draw from that generator. Seeding it for every step makes their numbers, too, a function of
    the step; a seed per block would not survive a stop inside the block. It costs a microsecond.
    """
    if device.type == "cuda":
        generator = torch.cuda.default_generators[_index(device)]
    elif device.type == "mps":
        return lambda step: torch.mps.manual_seed(base + step)
    else:
        generator = torch.default_generator
    return lambda step: generator.manual_seed(base + step)


@contextmanager
def _private_randomness(device: torch.device) -> Iterator[None]:
    """Give torch's global generators of the CPU and of the device back as they were."""
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=[_index(device)] if device.type == "cuda" else []):
            yield
    finally:
        if mps is not None:
            torch.mps.set_rng_state(mps)


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index
