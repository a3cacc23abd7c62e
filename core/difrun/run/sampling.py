"""Samples of a run: drawing them, and the files that hold them."""

import functools
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun import files
from difrun.config import Chosen, Plan
from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.integrate import generate
from difrun.model import Counted
from difrun.randomness import seed_of
from difrun.run.parts import grid_times, made


@attrs.frozen
class Order:
    """What to draw: n samples by a sampler on a grid of so many steps, under a seed, so many at a time."""

    n: int
    sampler: Chosen
    grid: Chosen
    steps: int
    seed: int
    chunk: int
    noise: str = "fresh"

    @classmethod
    def of(cls, plan: Plan, **changes: Any) -> "Order":
        """The order of a run's own samples, with changes."""
        order = cls(
            plan.sample.n,
            plan.sampler,
            plan.grid,
            plan.sample.steps,
            plan.seed,
            plan.sample.chunk,
            plan.sample.noise,
        )
        return attrs.evolve(order, **changes)

    def facts(self) -> dict[str, Any]:
        """How the samples are drawn, for metrics.json; evaluations None: the sampler knows when it has run."""
        told = {} if self.noise == "fresh" else {"noise": self.noise}
        return told | {
            "sampler": self.sampler.name,
            "grid": self.grid.name,
            "steps": self.steps,
            "evaluations": made(self.sampler).evaluations_in(self.steps),
        }

    def file_name(self, model: Any = None) -> str:
        """``samples-<sampler>-<grid>-<steps>-n<n>-seed<seed>-<digest>.npz``: another order has another name.

        The digest is of the options of sampler and grid, of the noise, and of what was tuned for the model, if that is
        used.
        """
        tuned = "tuned" in self.grid.entry.component.provides and getattr(model, "tunings", {}).get(
            self.steps
        )
        options = json.dumps(
            [c.entry.qualified for c in (self.sampler, self.grid)]
            + [self.sampler.record(), self.grid.record()]
            + ([] if self.noise == "fresh" else [self.noise])
            + ([attrs.asdict(tuned)] if tuned else [])
        )
        digest = hashlib.blake2b(options.encode(), digest_size=3).hexdigest()
        parts = (
            self.sampler.entry.name,
            self.grid.entry.name,
            self.steps,
            f"n{self.n}",
            f"seed{self.seed}",
            digest,
        )
        return f"samples-{'-'.join(map(str, parts))}.npz"


def draw(run: Any, order: Order) -> tuple[Tensor, dict[str, Any]]:
    """Samples (n, ...) in the units of the model, and what metrics.json says of them.

    Where the sampler does not know its evaluations beforehand they are counted: their mean per sample, to one decimal.
    """
    run.listener.stage("sample")
    began = time.perf_counter()
    facts, model = order.facts(), run.model
    counted = Counted(model) if facts["evaluations"] is None else None
    samples = generate(
        made(order.sampler),
        counted or model,
        order.n,
        grid_times(order.grid, model, order.steps),
        seed=seed_of(order.seed, "samples"),
        chunk=order.chunk,
        device=run.device,
        noise=order.noise,
        watch=functools.partial(run.sample_report, chunks=-(-order.n // order.chunk)),
    )
    if counted is not None:
        facts["evaluations"] = round(counted.examples / order.n, 1)
    return samples.cpu(), facts | {"seconds": round(time.perf_counter() - began, 3)}


def place(run: Any, order: Order, out: Path | None, force: bool) -> Path:
    """Where more samples go. Raises DifrunError, before any is drawn, when they cannot go there."""
    if out is None:
        path = run.path / order.file_name(run.model)
        if path.exists() and not force:
            raise DifrunError(
                f"{path} holds these very samples already. Draw others with another --seed, or draw these again "
                "with --force."
            )
        return path
    if out.suffix != ".npz":
        raise DifrunError(f"--out {out}: samples are written as .npz; give a name that ends so.")
    if not out.parent.is_dir():
        raise DifrunError(f"--out {out}: there is no folder {out.parent}. Make it first.")
    if out.exists() and not force:
        raise DifrunError(f"--out {out} already exists. Choose another name, or replace it with --force.")
    return out


def write(path: Path, samples: Tensor, dataset: Dataset, order: Order, facts: dict[str, Any]) -> None:
    """Write an .npz file: x in the user's units, the names of its columns if there are any, and how it was drawn.

    facts: what `draw` says of the samples; the time taken is left out, so that equal samples make equal files.
    """
    arrays: dict[str, Any] = {"x": dataset.decode(samples).numpy()}
    if dataset.columns:
        arrays["columns"] = np.array(dataset.columns)
    drawn = {key: value for key, value in facts.items() if key != "seconds"}
    arrays["drawn"] = np.array(json.dumps({"n": order.n, "seed": order.seed, **drawn}))
    files.write_npz(path, **arrays)


def told(run: Any, order: Order) -> dict[str, Any]:
    """How the run's own samples were drawn, as their file says; as they would be drawn where it says nothing."""
    with np.load(run.folder.samples, allow_pickle=False) as file:
        drawn = json.loads(str(file["drawn"])) if "drawn" in file else order.facts()
    return {key: value for key, value in drawn.items() if key not in ("n", "seed")}


def read(run: Any, path: Path | None = None) -> Tensor:
    """Samples in a file of the run's folder (None: its own samples.npz), in the units of the model."""
    dataset = run.parts.dataset
    x = run.folder.read_samples(dataset.shape, path)
    return torch.as_tensor(x) if dataset.scaling is None else dataset.scaling.encode(x)
