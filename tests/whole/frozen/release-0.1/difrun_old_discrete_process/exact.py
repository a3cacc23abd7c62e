"""The exact model, with which the process can be sampled before a network is written."""

from typing import Any

import torch
from difrun.data import Dataset
from difrun.model import ScoreModel
from torch import Tensor


class ExactModel(ScoreModel):
    r"""E[x_0 | x_t] = Σ_i w_i x^{(i)} with w_i ∝ q(x_t | x^{(i)}), over the training examples x^{(i)} (Bayes' rule).

    Args:
        process: A process with `transition`.
        dataset: The data, of which equal examples are counted together.
    """

    kind = "x0"

    def __init__(self, process: Any, dataset: Dataset):
        self.process, self.shape = process, dataset.shape
        self.mean, self.var = dataset.mean, dataset.var
        self.examples, self.counts = dataset.train.unique(dim=0, return_counts=True)

    def to(self, device: torch.device | str) -> "ExactModel":
        """Move the examples to a device."""
        self.examples, self.counts = self.examples.to(device), self.counts.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    def forward(self, x: Tensor, at: Any) -> Tensor:
        """Return x̂_0 at an instant whose time is one number."""
        n, m = len(x), len(self.examples)
        each = self.examples.repeat(n, *[1] * len(self.shape))
        kernel = self.process.transition(each, self.process.at(0.0), at)
        log_likelihood = kernel.log_prob(x.repeat_interleave(m, 0)).reshape(n, m)
        weights = torch.softmax(log_likelihood + self.counts.double().log(), 1)
        return (weights @ self.examples.double().flatten(1)).reshape(x.shape)
