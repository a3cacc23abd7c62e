"""Losses of discrete processes: cross-entropy on x_0, on the reverse kernel, and the evidence bound."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.loss import Loss, Uniform
from difrun.randomness import Generator
from difrun_ising.discrete.options import CrossEntropyOptions, KernelLossOptions, StepLossOptions
from difrun_ising.discrete.sites import Sites, sublattice
from difrun_ising.discrete.symmetry import augmented


class CrossEntropy(Loss, CrossEntropyOptions):
    r"""−log p_θ(x_0,i | x_t), the mean over sites, at a time uniform on (0, T].

    Its minimum is the true distribution of every site given x_t (Austin et al., 2021, arXiv 2107.03006, sec. 3.4).
    The time of a chain is one of its steps 1, ..., T. A share `hidden` of the examples are data without noise of
    which the even or the odd sites are hidden (x = 0): the pseudo-likelihood of a sublattice given the other (Besag,
    1975, The Statistician 24, 179), which the heat bath at t = 0 draws from.
    """

    # Without `noise`: spins are not paired with noise, and training on couples is refused.
    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:  # type: ignore[override]
        process = model.process
        x0 = augmented(x0, generator, flip=self.flip, translate=self.translate, rotate=self.rotate)
        t = _times(process, x0, generator)
        at = process.instant(t, len(process.sites(x0.shape)))
        x = Sites(process.marginal(process.states(x0), at), process, x0.dtype).sample(generator)
        level, own = model.level(x, at), model.own(x, at)
        if self.hidden:
            x, level, own = self._hide(model, x, x0, level, own, generator)
        return {"x": x, "x0": x0, "level": level.expand(len(x), *level.shape[1:]), "own": own}

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        logits = _told(model, examples).logits(examples["x"], None, examples["level"], examples["own"])
        log_p = torch.log_softmax(logits, -1)
        target = model.process.states(examples["x0"]).to(log_p.dtype)
        return -(target * log_p).sum(-1).flatten(1).mean(1)

    def _hide(
        self, model: Any, x: Tensor, x0: Tensor, level: Tensor, own: Tensor, generator: Generator
    ) -> tuple[Tensor, ...]:
        """The examples, of which a share is replaced by data with one sublattice hidden."""
        process = model.process
        sites = process.sites(x.shape)
        u = generator.uniform(x0.new_zeros(len(x), 2))
        chosen, odd = (
            (u[:, i] < bound).reshape(-1, *(1,) * (len(sites) - 1))
            for i, bound in ((0, self.hidden), (1, 0.5))
        )
        away = sublattice(sites[1:], x.device) != odd  # at these sites nothing is known
        start = process.instant(0.0)
        values = away.reshape(*away.shape, *(1,) * (x.ndim - len(sites)))
        mine = chosen.reshape(-1, *(1,) * (x.ndim - 1))
        x = torch.where(mine, torch.where(values, 0.0, x0), x)
        own = torch.where(chosen[..., None], torch.where(away[..., None], 0.0, model.own(x0, start)), own)
        certain = model.level(x0, start)
        rows = chosen.reshape(-1, *(1,) * (level.ndim - 1))
        return x, torch.where(rows, certain.reshape(-1, *(1,) * (level.ndim - 1)), level), own


class _StepLoss(Loss):
    """What the losses on the kernel share: a step of the chain, and the target distribution of x_s."""

    steps: int
    flip: bool
    translate: bool
    rotate: bool

    # Without `noise`: spins are not paired with noise, and training on couples is refused.
    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:  # type: ignore[override]
        process = model.process
        x0 = augmented(x0, generator, flip=self.flip, translate=self.translate, rotate=self.rotate)
        t, s, more = self._step(process, x0, generator)
        ndim = len(process.sites(x0.shape))
        at, to = process.instant(t, ndim), process.instant(s, ndim)
        x = Sites(process.marginal(process.states(x0), at), process, x0.dtype).sample(generator)
        target = self._target(process.bridge(x, x0, at, to), generator)
        return {"x": x, "t": t, "s": s, "target": target, **more}

    def _step(
        self, process: Any, x0: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """(t, s) of a random step for every example, float64, and what else `evaluate` needs to know of it."""
        return *process.steps_before(_times(process, x0, generator).double(), self.steps), {}

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
    r"""The bound on −log p_θ(x_0) per site, Σ_k KL_k, by one of the T steps k: KL_k/q_k, chosen with probability q_k.

    KL_k = KL(q(x_s | x_t, x_0) ‖ p_θ(x_s | x_t)), without the term of the prior, on which no weight depends (Austin et
    al., 2021, eq. 1). q is uniform, but for masked data. There KL_k is the sum of r_i (−log p_θ(x_0,i | x_t)) over the
    masked sites, r_i = (α_s − α_t)/(1 − α_t) the probability that site i is seen at s, and

        q_k ∝ √(Σ_i r_i² (1 − α_t)),

    which evens out how much the steps spread: the rare mask of a late step counts much.
    """

    def _step(
        self, process: Any, x0: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        count = process.step_count(self.steps)
        if process.mixing != "absorbing":
            t, s, _ = super()._step(process, x0, generator)
            return t, s, {"gain": torch.full_like(t, count)}
        width, sites = process.horizon / count, process.sites(x0.shape)
        grid = torch.arange(count + 1, dtype=torch.float64, device=x0.device) * width
        alpha = torch.as_tensor(process.keep(process.instant(grid, len(sites)), (len(grid), *sites[1:])))
        spread = (alpha[:-1] - alpha[1:]).square() / (1 - alpha[1:]).clamp_min(1e-300)
        q = spread.flatten(1).mean(1).sqrt()
        q = q / q.sum()
        u = generator.uniform(torch.zeros(len(x0), dtype=torch.float64, device=x0.device))
        k = torch.searchsorted(q.cumsum(0), u, right=True).clamp_max(count - 1)
        return (k + 1) * width, k * width, {"gain": 1 / q[k]}

    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        target = examples["target"]
        entropy = -torch.xlogy(target, target).sum(-1).flatten(1).mean(1)
        excess = (self._cross_entropy(model, examples) - entropy).clamp_min(0)
        return (examples["gain"] * excess).to(examples["x"].dtype)


def _told(model: Any, examples: dict[str, Tensor]) -> Any:
    """The model, given the labels of the examples if they have any."""
    return model.condition_on(examples["label"]) if "label" in examples else model


def _times(process: Any, x0: Tensor, generator: Generator) -> Tensor:
    """One training time per example."""
    t = Uniform().sample(process, x0, generator)
    return torch.ceil(t).clamp_min(1) if process.schedule == "flips" else t
