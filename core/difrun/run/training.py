"""The trainer of a run, and how many threads make it fast."""

import attrs
import torch

from difrun.config import Plan
from difrun.errors import DifrunError
from difrun.listener import Listener
from difrun.randomness import seed_of
from difrun.run.parts import Parts, build
from difrun.run.threads import fastest
from difrun.train import Trainer


def new_trainer(plan: Plan, parts: Parts, device: torch.device, listener: Listener) -> Trainer:
    """The trainer of a run whose model is trained, before its first step."""
    assert parts.loss is not None  # an exact model counts as trained and comes nowhere near
    dataset = parts.dataset
    return Trainer(
        parts.model,
        parts.loss,
        dataset.train.to(device),
        plan.train,
        seed=seed_of(plan.seed, "train"),
        note=listener.note,
        noise=None if dataset.noise is None else dataset.noise.to(device),
        labels=dataset.labels.to(device) if dataset.labels is not None and parts.model.shares else None,
    )


def with_threads(plan: Plan, parts: Parts, device: torch.device, listener: Listener) -> Plan:
    """The plan with a number in the place of ``threads = "auto"``.

    A model that is trained on the CPU takes as many as make the steps of a rehearsal fast (`fastest`), with a network
    of its own, so that nothing of the run changes. All others take torch's number.
    """
    if plan.threads != "auto":
        return plan
    count, most = torch.get_num_threads(), torch.get_num_threads()
    if parts.loss is not None and device.type == "cpu" and most > 1 and plan.train.steps > 0:
        try:
            count, rates = _rehearsed(plan, parts, device)
        except DifrunError:  # such as a loss that is not finite: the run itself will tell
            return attrs.evolve(plan, threads=count)
        if rates:
            told = ", ".join(f"{rate:.0f} with {n}" for n, rate in rates.items())
            listener.note(
                f"CPU threads: {count}, by the speed of training ({told} steps/s); "
                f"--threads {count} gives the same numbers again"
            )
    return attrs.evolve(plan, threads=count)


def _rehearsed(plan: Plan, parts: Parts, device: torch.device) -> tuple[int, dict[int, float]]:
    endless = attrs.evolve(plan.train, steps=10**9, stop_at=None, minutes=None)
    double = build(plan, device, parts.dataset)
    trainer = new_trainer(attrs.evolve(plan, train=endless), double, device, Listener())

    def step() -> None:
        until = trainer.step + 1
        trainer.run(stopping=lambda: trainer.step >= until)

    return fastest(step)
