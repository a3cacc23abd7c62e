"""Losses of discrete processes: cross-entropy on x_0, on the reverse kernel, and the evidence bound."""

from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.loss import Loss, Uniform
from difrun.randomness import Generator
from difrun_ising.discrete.colouring import class_count, colouring
from difrun_ising.discrete.options import CrossEntropyOptions, KernelLossOptions, StepLossOptions
from difrun_ising.discrete.sites import Sites, with_mask
from difrun_ising.discrete.symmetry import augmented


class CrossEntropy(Loss, CrossEntropyOptions):
    r"""The cross-entropy −log p_θ(x_0,i | x_t), averaged over sites, at a time uniform on (0, T].

    Its minimum is the true distribution of every site given x_t. The time of a chain is one of its steps 1, ..., T.

    A share `hidden` of the examples are data without noise in which the even or the odd sites are hidden (x = 0); with
    an odd side, one of three classes (`colouring`). They teach the pseudo-likelihood of a sublattice given the others,
    from which the heat bath at t = 0 draws.

    References:
        Austin et al. (2021), arXiv 2107.03006, sec. 3.4.
        Besag (1975), The Statistician 24, 179 (pseudo-likelihood).
    """

    # Without `noise`: spins are not paired with noise, and training on couples is refused.
    @override
    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:  # type: ignore[override]
        process = model.process
        x0 = augmented(x0, generator, flip=self.flip, translate=self.translate, rotate=self.rotate)
        t = _times(process, x0, generator)
        at = process.instant(t, len(process.sites(x0.shape)))
        x = Sites(process.marginal(process.states(x0), at), process, x0.dtype).sample(generator)
        level, log_likelihood = model.level(x, at), model.log_likelihood(x, at)
        if self.hidden:
            x, level, log_likelihood = self._hide(model, x, x0, level, log_likelihood, generator)
        level = level.expand(len(x), *level.shape[1:])
        return {"x": x, "x0": x0, "level": level, "log_likelihood": log_likelihood}

    @override
    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        x, level, log_likelihood = (examples[name] for name in ("x", "level", "log_likelihood"))
        logits = _with_labels(model, examples).logits_at_level(x, level, log_likelihood)
        log_p = torch.log_softmax(logits, -1)
        target = model.process.states(examples["x0"]).to(log_p.dtype)
        return -(target * log_p).sum(-1).flatten(1).mean(1)

    def _hide(
        self,
        model: Any,
        x: Tensor,
        x0: Tensor,
        level: Tensor,
        log_likelihood: Tensor,
        generator: Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x, level and log-likelihood, with a share of the examples replaced by data with one sublattice hidden."""
        process = model.process
        sites = process.sites(x.shape)
        u = generator.uniform(x0.new_zeros(len(x), 2))
        chosen = _broadcastable(u[:, 0] < self.hidden, len(sites))
        classes = class_count(sites[1:], 2)
        turn = classes - 1 - (u[:, 1] * classes).long()
        hidden = colouring(sites[1:], classes, x.device) == _broadcastable(turn, len(sites))
        start = process.instant(0.0)
        data = torch.where(hidden.reshape(*hidden.shape, *(1,) * (x.ndim - len(sites))), 0.0, x0)
        x = torch.where(_broadcastable(chosen, x.ndim), data, x)
        known = torch.where(hidden[..., None], 0.0, model.log_likelihood(x0, start))
        log_likelihood = torch.where(chosen[..., None], known, log_likelihood)
        data_level = _broadcastable(model.level(x0, start), level.ndim)
        return x, torch.where(_broadcastable(chosen, level.ndim), data_level, level), log_likelihood


class _StepLoss(Loss):
    """Losses on the kernel of one step: they share the step, and the target distribution of x_s."""

    steps: int
    flip: bool
    translate: bool
    rotate: bool

    # Without `noise`: spins are not paired with noise, and training on couples is refused.
    @override
    def draw(self, model: Any, x0: Tensor, generator: Generator) -> dict[str, Tensor]:  # type: ignore[override]
        process = model.process
        x0 = augmented(x0, generator, flip=self.flip, translate=self.translate, rotate=self.rotate)
        t, s, extra = self._step(process, x0, generator)
        ndim = len(process.sites(x0.shape))
        at, to = process.instant(t, ndim), process.instant(s, ndim)
        x = Sites(process.marginal(process.states(x0), at), process, x0.dtype).sample(generator)
        target = self._target(process.bridge(x, x0, at, to), generator)
        return {"x": x, "t": t, "s": s, "target": target, **extra}

    def _step(
        self, process: Any, x0: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """(t, s) of a random step for every example, float64, and what else `evaluate` needs."""
        return *process.steps_before(_times(process, x0, generator).double(), self.steps), {}

    def _target(self, kernel: Sites, generator: Generator) -> Tensor:
        """The distribution of x_s that the model is compared with."""
        return kernel.weights

    def _cross_entropy(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        x, target = examples["x"], examples["target"]
        ndim = len(model.process.sites(x.shape))
        at, to = (model.process.instant(examples[name], ndim) for name in ("t", "s"))
        log_p = _with_labels(model, examples).reverse(x, at, to).weights.clamp_min(1e-30).log()
        return -(target * log_p).sum(-1).flatten(1).mean(1)


class ReverseKernel(_StepLoss, KernelLossOptions):
    r"""The cross-entropy −log p_θ(x_s,i | x_t), averaged over sites, for the kernel of one step from t to s.

    x_s is drawn from q(x_s | x_t, x_0), the recipe of the first Ising tutorials. With `rao_blackwell` the expectation
    over x_s is taken instead, which has the same mean and less variance. For a chain s = t − 1; a continuous process is
    divided into `steps`. The loss trains networks that predict the kernel and, through Bayes' rule, those that predict
    x_0.
    """

    @override
    def _target(self, kernel: Sites, generator: Generator) -> Tensor:
        if self.rao_blackwell:
            return kernel.weights
        drawn = attrs.evolve(kernel, dtype=torch.float64).sample(generator)
        return with_mask(kernel.process.states(drawn))

    @override
    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        return self._cross_entropy(model, examples).to(examples["x"].dtype)


class Elbo(_StepLoss, StepLossOptions):
    r"""The bound on −log p_θ(x_0) per site, Σ_k KL_k, from one random step k: KL_k/q_k, chosen with probability q_k.

    KL_k = KL(q(x_s | x_t, x_0) ‖ p_θ(x_s | x_t)). The term of the prior does not depend on the weights and is left out.

    For masked data KL_k is the sum of r_i (−log p_θ(x_0,i | x_t)) over the masked sites, where r_i =
    (α_s − α_t)/(1 − α_t) is the probability that site i is revealed at s. The step is then drawn with

        q_k ∝ √(Σ_i r_i² (1 − α_t)),

    which evens out the contributions of the steps: the rare mask of a late step counts much. For all other data q is
    uniform.

    References:
        Austin et al. (2021), arXiv 2107.03006, eq. 1.
    """

    @override
    def _step(
        self, process: Any, x0: Tensor, generator: Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        count = process.step_count(self.steps)
        if process.mixing != "absorbing":
            t, s, _ = super()._step(process, x0, generator)
            return t, s, {"inverse_probability": torch.full_like(t, count)}
        q = _step_probabilities(process, count, process.sites(x0.shape), x0.device)
        u = generator.uniform(torch.zeros(len(x0), dtype=torch.float64, device=x0.device))
        k = torch.searchsorted(q.cumsum(0), u, right=True).clamp_max(count - 1)
        width = process.horizon / count
        return (k + 1) * width, k * width, {"inverse_probability": 1 / q[k]}

    @override
    def evaluate(self, model: Any, examples: dict[str, Tensor]) -> Tensor:
        target = examples["target"]
        entropy = -torch.xlogy(target, target).sum(-1).flatten(1).mean(1)
        divergence = (self._cross_entropy(model, examples) - entropy).clamp_min(0)
        return (examples["inverse_probability"] * divergence).to(examples["x"].dtype)


def _step_probabilities(process: Any, count: int, sites: tuple[int, ...], device: torch.device) -> Tensor:
    """q_k of `Elbo` for masked data and `count` equal steps, (count,)."""
    grid = torch.arange(count + 1, dtype=torch.float64, device=device) * (process.horizon / count)
    instant = process.instant(grid, len(sites))
    alpha = torch.as_tensor(process.site_alpha(instant, (len(grid), *sites[1:])))
    square = (alpha[:-1] - alpha[1:]).square() / (1 - alpha[1:]).clamp_min(1e-300)
    q = square.flatten(1).mean(1).sqrt()
    return q / q.sum()


def _with_labels(model: Any, examples: dict[str, Tensor]) -> Any:
    """The model, conditioned on the labels of the examples if they have any."""
    return model.condition_on(examples["label"]) if "label" in examples else model


def _times(process: Any, x0: Tensor, generator: Generator) -> Tensor:
    """One training time per example."""
    t = Uniform().sample(process, x0, generator)
    return torch.ceil(t).clamp_min(1) if process.schedule == "flips" else t


def _broadcastable(values: Tensor, ndim: int) -> Tensor:
    """One value per example, as a tensor (n, 1, ..., 1) of so many axes."""
    return values.reshape(-1, *(1,) * (ndim - 1))
