"""The distance of samples from the exact endpoints of a model's probability flow."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.analysis.reference import Endpoint, distance, endpoint, modes, radius
from difrun.errors import DifrunError, Interrupted
from difrun.randomness.generator import Generator, seed_of
from difrun.runs.compare.compared_model import ComparedModel
from difrun.runs.compare.progress import Progress
from difrun.runs.stages.labels import labels_of
from difrun.sampler.base import Sampler
from difrun.sampler.integration import to_data

MOST = 2000
"""How many samples, at most, are compared with their exact endpoints."""


class ExactEndpoints:
    """The exact endpoints of the first samples of a compared model, solved when they are first needed.

    Attributes:
        n: How many samples are compared with their endpoints.
        reason: Why there are no endpoints; empty if there are some, or if that is not known yet.
    """

    def __init__(self, compared: ComparedModel, progress: Progress, several: bool):
        """several: whether more than one run is compared."""
        self.compared, self.progress, self.several = compared, progress, several
        dataset = compared.parts.dataset
        self.n = min(compared.n, MOST)
        self.radius = radius(dataset.var)
        self.modes = modes(dataset.distribution)
        self.reason = ""
        self._endpoint: Endpoint | None = None
        if not {"gaussian", "ode"} <= compared.plan.process.entry.component.provides:
            self.reason = f"process '{compared.plan.process.name}' has no probability flow"

    def compare(self, samples: Tensor, sampler: Sampler) -> dict[str, Any]:
        """Return the fields of a `ComparisonRow`: the distance of samples to their endpoints, or why there is none."""
        if not self.reason and getattr(sampler, "stochastic", False):
            return {"exact_note": "stochastic: its samples follow no flow"}
        if not self.reason and self._endpoint is None:
            try:
                self._endpoint = self._solve()
            except Interrupted:
                raise
            except DifrunError as error:
                self.reason = str(error)
        if self.reason or self._endpoint is None:
            return {"exact_note": self.reason}
        measured = distance(samples[: self.n], self._endpoint.x, self.radius, self.modes)
        return {"exact": measured, "exact_reference_error": self._endpoint.error}

    def _solve(self) -> Endpoint:
        compared, model = self.compared, self.compared.model
        self.progress.note_once(
            f"the exact endpoints of {self.n} samples{' of every run' if self.several else ''} are computed with the "
            "model's own flow, in 200 steps and in 400"
        )
        labels = labels_of(model, compared.parts.dataset, compared.plan.sample, compared.n)
        if labels is not None:
            model = model.condition_on(labels[: self.n].to(compared.device))
        generator = Generator(seed_of(compared.plan.seed, "samples"), device=compared.device)
        noise = model.prior(self.n, generator, device=compared.device)
        with torch.no_grad():
            end = endpoint(model, noise, self.radius, self.progress.stop_if_asked)
        return attrs.evolve(end, x=to_data(model.process, end.x, model.process.t_min))
