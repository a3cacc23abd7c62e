"""What a logger is told, made up: the events of runs and of later work, in their order, with values of their form."""

import base64
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import torch

from difrun.config.plan import Plan, resolve
from difrun.errors import DifrunError, Interrupted
from difrun.plugin.arguments import EVENT_ARGUMENTS
from difrun.plugin.registry import Registry
from difrun.runs.environment.telling import hyperparameters
from difrun.testing.references import ReferenceVP

Event = tuple[str, dict[str, Any]]
"""The name of an event, and its values on offer but for ``settings``."""

STEPS = 4
"""Training steps of the runs."""

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel, as PNG."""

VALUES = {"value": 0.012, "value_sd": 0.003, "floor": 0.009, "floor_sd": 0.004}
READING = {
    "better": "lower",
    "ratio": False,
    "meaning": "Energy distance; 0 on average for equal distributions",
}
METRICS = {"energy": {**VALUES, "n": 64, "of": "samples.npz", **READING}}

FACTS = {"sampler": "heun", "grid": "logsnr", "steps": 3, "evaluations": 6, "seconds": 0.2}

NLL = {"nats": 2.31, "nats_error": 0.02, "bits_per_dim": 1.67, "bits_per_dim_error": 0.01}
LIKELIHOOD = {"n": 64, "steps": 20, "nll": NLL, "nll_bound": NLL}

TUNING = {"times": [1.0, 0.1, 0.001], "changes": None, "error": 0.1, "before": 0.3}

ROW = {"run": "vp", "sampler": "heun", "grid": "logsnr", "steps": 3, "evaluations": 6, "seconds": 0.2}
ROW |= {"energy": 0.012, "energy_sd": 0.003, "energy_floor": 0.009, "energy_floor_sd": 0.004}


@attrs.define(slots=False)
class Told:
    """A run that is told of.

    Attributes:
        folder: Its folder, which is made when it begins.
        step: The training steps done so far.
    """

    folder: Path
    step: int = 0

    @cached_property
    def plan(self) -> Plan:
        """A plan of the core's own components, with the kit's process."""
        named = {"process": ReferenceVP(), "dataset": "gmm", "model": "mlp", "loss": "x0"}
        named |= {"sampler": "heun", "grid": "logsnr", "metric": ["energy"]}
        return resolve(named, {"train": {"steps": STEPS}}, registry=Registry.discover(only="difrun"))

    def event(self, name: str, **values: Any) -> Event:
        """Return an event of this run, with the folder and the step where they are on offer."""
        offered = {argument.name for argument in EVENT_ARGUMENTS[f"difrun_{name}"]}
        own = {"folder": self.folder, "step": self.step}
        return f"difrun_{name}", {key: value for key, value in (own | values).items() if key in offered}

    def file(self, name: str, content: bytes = b"") -> Path:
        """Write a file of the run, and return it."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def begins(self, work: str) -> Event:
        """Return the event that work begins."""
        self.folder.mkdir(exist_ok=True)
        config = self.plan.to_dict(torch.__version__)
        self.file("run.toml", self.plan.to_toml().encode())
        flat = hyperparameters(config)
        return self.event(
            "run_started", work=work, plan=self.plan, config=config, hyperparameters=flat, steps=STEPS
        )

    def trains(self, until: int) -> Iterator[Event]:
        """Give the events of training up to a step."""
        while self.step < until:
            self.step += 1
            yield self.event("train_step", steps=STEPS, loss=1 / self.step, rate=20.0, lr=0.001)
        yield self.event("checkpoint", file=self.file("model.safetensors"))

    def finishes(self, work: str) -> Event:
        """Return the event that work is done."""
        return self.event("run_finished", metrics=METRICS, work=work)

    def fails(self, work: str, error: BaseException) -> Event:
        """Return the event that work has ended otherwise."""
        return self.event("run_failed", work=work, error=error, stopped=isinstance(error, Interrupted))


def whole_run(told: Told, work: str = "run") -> Iterator[Event]:
    """Give the events of a run from its beginning, or from where it was stopped, to its end."""
    yield told.begins(work)
    yield from told.trains(STEPS)
    for step in (1, 2, 3):
        yield told.event("sample_step", step=step, steps=3)
    yield told.event("sampled", file=told.file("samples.npz"), n=64, facts=FACTS)
    yield told.event("evaluated", metrics=METRICS, file=told.file("metrics.json", b"{}"))
    yield told.event("picture", file=told.file("loss.png", PICTURE), title="Loss", caption="The loss.")
    told.file("report.html")
    yield told.finishes(work)


def stopped_and_resumed(told: Told) -> Iterator[Event]:
    """Give the events of a run that the user stops, that fails when it is resumed, and that is resumed again."""
    yield told.begins("run")
    yield from told.trains(2)
    yield told.fails("run", Interrupted(told.folder))
    yield told.begins("resume")
    yield told.fails("resume", DifrunError("the disk is full"))
    yield from whole_run(told, "resume")


def later_work(told: Told) -> Iterator[Event]:
    """Give the events of what is done with a finished run."""
    more = [
        ("sample", told.event("sampled", file=told.file("more.npz"), n=64, facts=FACTS)),
        ("evaluate", told.event("evaluated", metrics=METRICS, file=told.file("more.metrics.json", b"{}"))),
        ("likelihood", told.event("likelihood", likelihood=LIKELIHOOD, file=told.folder / "metrics.json")),
        ("tune", told.event("tuned", steps=2, tuning=TUNING)),
        (
            "report",
            told.event("picture", file=told.file("loss.png", PICTURE), title="Loss", caption="The loss."),
        ),
    ]
    for work, event in more:
        yield told.begins(work)
        yield event
        yield told.finishes(work)


def comparison(folder: Path) -> Iterator[Event]:
    """Give the events of a comparison."""
    told = Told(folder)
    yield told.begins("compare")
    yield told.event("compared", row=ROW)
    yield told.finishes("compare")
