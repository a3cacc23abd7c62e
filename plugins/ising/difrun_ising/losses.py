"""Losses of discrete processes: cross-entropy on x_0, on the reverse kernel, and the evidence bound."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.loss import Loss
from difrun.randomness import Generator
from difrun.times import Uniform
from difrun_ising.options import KernelLossOptions, LossOptions, StepLossOptions
from difrun_ising.sites import Sites
from difrun_ising.symmetry import augmented


class CrossEntropy(Loss, LossOptions):
    r"""−log p_θ(x_0,i | x_t), the mean over sites, at a time uniform on (0, T].

    Its minimum is the true law of every site given x_t (Austin et al., 2021, arXiv 2107.03006, sec. 3.4). The time of a
    chain is one of its steps 1, ..., T.
    """

    # Without `noise`: spins are not paired with noise, and training on couples is refused.
    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:  # type: ignore[override]
        process = model.process
        x0 = augmented(x0, generator, flip=self.flip, translate=self.translate, rotate=self.rotate)
        t = _times(process, x0, generator)
        at = process.instant(t, len(process.sites(x0.shape)))
        x = Sites(process.marginal(process.states(x0), at), process, x0.dtype).sample(generator)
        level = model.level(x, at)
        return {"x": x, "x0": x0, "level": level, "own": model.own(x, at)}

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        logits = _told(model, examples).logits(examples["x"], None, examples["level"], examples["own"])
        log_p = torch.log_softmax(logits, -1)
        target = model.process.states(examples["x0"]).to(log_p.dtype)
        return -(target * log_p).sum(-1).flatten(1).mean(1)


class _StepLoss(Loss):
    """What the losses on the kernel share: a step of the chain, and the target law of x_s."""

    steps: int
    flip: bool
    translate: bool
    rotate: bool

    # Without `noise`: spins are not paired with noise, and training on couples is refused.
    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:  # type: ignore[override]
        process = model.process
        x0 = augmented(x0, generator, flip=self.flip, translate=self.translate, rotate=self.rotate)
        t, s = process.steps_before(_times(process, x0, generator).double(), self.steps)
        ndim = len(process.sites(x0.shape))
        at, to = process.instant(t, ndim), process.instant(s, ndim)
        x = Sites(process.marginal(process.states(x0), at), process, x0.dtype).sample(generator)
        target = self._target(process.bridge(x, x0, at, to), generator)
        return {"x": x, "t": t, "s": s, "target": target}

    def _target(self, kernel: Sites, generator: Generator) -> Tensor:
        return kernel.weights

    def _cross_entropy(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        x, target = examples["x"], examples["target"]
        ndim = len(model.process.sites(x.shape))
        at, to = (model.process.instant(examples[name], ndim) for name in ("t", "s"))
        log_p = _told(model, examples).reverse(x, at, to).weights.clamp_min(1e-30).log()
        return -(target * log_p).sum(-1).flatten(1).mean(1)


class ReverseKernel(_StepLoss, KernelLossOptions):
    r"""−log p_θ(x_s,i | x_t), the mean over sites, for the kernel of one step from t to s.

    x_s is drawn from q(x_s | x_t, x_0), the recipe of the first Ising tutorials; with `rao_blackwell` its expectation
    is taken instead, which has the same mean and less variance. For a chain s = t − 1; a continuous process is cut into
    `steps`. It trains networks that predict the kernel, and, through Bayes, those that predict x_0.
    """

    def _target(self, kernel: Sites, generator: Generator) -> Tensor:
        if self.rao_blackwell:
            return kernel.weights
        one = kernel.process.states(attrs.evolve(kernel, dtype=torch.float64).sample(generator))
        return torch.cat((one, 1 - one.sum(-1, keepdim=True)), -1)

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        return self._cross_entropy(model, examples).to(examples["x"].dtype)


class Elbo(_StepLoss, StepLossOptions):
    r"""The bound on −log p_θ(x_0) per site, T · KL(q(x_s | x_t, x_0) ‖ p_θ(x_s | x_t)), at one of T steps.

    Without the term of the prior, on which no weight depends (Austin et al., 2021, eq. 1).
    """

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        target = examples["target"]
        entropy = -torch.xlogy(target, target).sum(-1).flatten(1).mean(1)
        excess = (self._cross_entropy(model, examples) - entropy).clamp_min(0)
        return (model.process.step_count(self.steps) * excess).to(examples["x"].dtype)


def _told(model: Any, examples: dict[str, Tensor]) -> Any:
    """The model, given the labels of the examples if they have any."""
    return model.given(examples["label"]) if "label" in examples else model


def _times(process: Any, x0: Tensor, generator: Generator) -> Tensor:
    """One training time per example."""
    t = Uniform().sample(process, x0, generator)
    return torch.ceil(t).clamp_min(1) if process.schedule == "flips" else t
