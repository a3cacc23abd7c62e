"""Models of discrete processes: the distribution of x_0 at every site, given x_t."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from difrun.errors import DifrunError
from difrun.model import ConditionalModel, ScoreModel, for_rows
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import Sites

if TYPE_CHECKING:
    from difrun_ising.discrete.process import DiscreteProcess

MOST = 5.0
"""Largest noise level |c| that a network is given."""


class DiscreteModel(ScoreModel):
    """Something that knows p(x_0,i | x_t) at every site i.

    The kind of its answer is "x0", E[x_0 | x_t], from which the distribution follows.
    """

    kind = "x0"
    process: "DiscreteProcess"

    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        """p(x_0 = k | x_t) for every site and category: (n, *sites, K), float64."""
        raise NotImplementedError

    def forward(self, x: Tensor, at: Instant) -> Tensor:
        p0 = self.x0_distribution(x, at)
        return self.process.mean(torch.cat((p0, torch.zeros_like(p0[..., :1])), -1))

    def predict(self, x: Tensor, at: Instant, kind: str) -> Tensor:
        """E[x_0 | x_t], or as "score" `DiscreteProcess.log_ratios`; float64. Raises DifrunError for another kind."""
        if kind == "x0":
            return self(x, at)
        if kind == "score":
            return self.process.log_ratios(x, self.x0_distribution(x, at), at)
        raise DifrunError(f"a model of a discrete process predicts x0 or score, not {kind!r}")

    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        """p(x_0,i = k | x_t without x_t,i) for every site: (n, *sites, K), float64.

        hidden: (*sites), the sites that are asked for, where only they count.
        """
        raise NotImplementedError

    def reverse(self, x: Tensor, at: Instant, to: Instant) -> Sites:
        """The model's distribution of x_s given x_t, of independent sites."""
        return Sites(self.process.posterior(x, self.x0_distribution(x, at), at, to), self.process, x.dtype)


class NetworkDenoiser(DiscreteModel, ConditionalModel):
    r"""A network of logits f(x_t, c), to which the likelihood of every site's own value is added.

    p(x_0,i = k | x_t) ∝ e^{f_i(k)} q(x_t,i | x_0,i = k): f is all that the other sites say. For spins f is one number,
    the log-odds, and the addition is 2 artanh(ρ) x_t,i; for masked sites it is nothing, and a visible site is known. A
    network with `skip` false gets no addition. c = −artanh α is the noise level, one per example, or per site where
    these differ.

    network: called with x_t and c; returns a tensor like x_t. One that `predicts` "previous" gives the log-odds of
    x_{t−1} instead (for the reverse kernel of a chain), with the addition 2 artanh(ρ_t/ρ_s) x_t. Raises DifrunError for
    such a network where the process is no chain of flips, and when it is asked for p(x_0 | x_t).
    """

    def __init__(self, network: nn.Module, process: "DiscreteProcess", shape: Any, *, mean: Any, var: Any):
        self.network, self.process, self.shape = network, process, tuple(shape)
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.var = torch.as_tensor(var, dtype=torch.float32)
        self.predicts = getattr(network, "predicts", "x0")
        self.skip = getattr(network, "skip", True)
        self.reads_evidence = getattr(network, "reads_evidence", False)
        if self.predicts != "x0" and (process.schedule != "flips" or process.mixing == "absorbing"):
            raise DifrunError(
                "a network of the reverse kernel (reverse-mlp) predicts the spins of one step of a chain earlier. It "
                "needs --process.schedule flips, without masks."
            )

    def to(self, device: torch.device | str) -> "NetworkDenoiser":
        self.network.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    def logits(
        self, x: Tensor, at: Instant, level: Tensor | None = None, own: Tensor | None = None
    ) -> Tensor:
        """log p(x_0 = k | x_t) at every site, up to a constant: (n, *sites, K), float32 as the network is.

        level, own: the noise level and log q(x_t | x_0 = k), where they are at hand.
        """
        if self.predicts != "x0":
            raise DifrunError(
                "this network was made for the reverse kernel: it predicts x_{t-1}, not x_0. Train it with --loss "
                "reverse-kernel or elbo, and sample it with --sampler reverse-kernel."
            )
        level = self.level(x, at) if level is None else level
        output = self.network(x, level, *self._label(x))
        f = torch.stack((-output / 2, output / 2), -1) if self.process.sites(x.shape) == x.shape else output
        if not self.skip:
            return f
        return f + (self.own(x, at) if own is None else own)

    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        """At t = 0 and of masked data, where it is told which sites are asked for, it hides them.

        Their own values cannot leak then; of visible sites of masked data it learns nothing in training.
        """
        if hidden is not None and (at.t == 0 or self.process.mixing == "absorbing"):
            hidden = hidden.reshape(*hidden.shape, *(1,) * (x.ndim - 1 - hidden.ndim))
            x = torch.where(hidden, 0.0, x)
        elif not self.skip:
            logits = self.logits(x, at).double() - self.process.likelihood(x, at).clamp_min(1e-12).log()
            return torch.softmax(logits, -1)
        # Without the likelihood of the site's own value it is what the network gives.
        nothing = torch.zeros((), dtype=x.dtype, device=x.device)
        return torch.softmax(self.logits(x, at, own=nothing).double(), -1)

    def _label(self, x: Tensor) -> tuple[Tensor, ...]:
        """The labels (n,), for a network that knows classes (`ScoreModel.condition_on`)."""
        return (for_rows(self.labels, x),) if self.shares else ()

    def own(self, x: Tensor, at: Instant) -> Tensor:
        """log q(x_t | x_0 = k): (n, *sites, K), in the dtype of x; never below −1e4."""
        return self.process.likelihood(x, at).log().clamp_min(-1e4).to(x.dtype)

    def level(self, x: Tensor, at: Instant) -> Tensor:
        """c: (1,) or (n,), or (1 or n, *sites) where sites differ.

        A network that reads the evidence of every site, tanh(−c) x_t, is told that visible sites of masked lattices are
        certain, at any time.
        """
        if self.reads_evidence and self.process.mixing == "absorbing":
            return torch.full((1,), -MOST, dtype=x.dtype, device=x.device)
        alpha = self.process.keep(at, self.process.sites(x.shape))
        c = -torch.atanh(torch.as_tensor(alpha, dtype=torch.float64)).clamp(-MOST, MOST)
        c = c.to(x.dtype).to(x.device)
        if c.ndim == 0:
            return c[None]
        sites = self.process.sites(x.shape)[1:]
        if c.ndim == len(sites):  # one field for all
            return c[None]
        return c if c.shape[1:] == sites and math.prod(sites) > 1 else c.reshape(-1)

    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        return torch.softmax(self.logits(x, at).double(), -1)

    def reverse(self, x: Tensor, at: Instant, to: Instant) -> Sites:
        if self.predicts == "x0":
            return super().reverse(x, at, to)
        if isinstance(at.t, float):
            self.refuse_times((at.t, to.t))
        kernel = torch.softmax(self.kernel_logits(x, at, to).double(), -1)
        return Sites(torch.cat((kernel, torch.zeros_like(kernel[..., :1])), -1), self.process, x.dtype)

    def refuse_times(self, times: Sequence[float]) -> None:
        """A network of the reverse kernel knows steps of length 1."""
        for at, to in pairwise(times):
            if self.predicts != "x0" and abs(at - to - 1) > 1e-6:
                raise DifrunError(
                    f"this network knows the steps of the chain, of length 1, not {at - to:g}: sample it with "
                    f"--steps {self.process.steps}."
                )

    def kernel_logits(self, x: Tensor, at: Instant, to: Instant) -> Tensor:
        """log p(x_s = k | x_t), up to a constant, of a network that predicts it: (n, *sites, K)."""
        output = self.network(x, self.level(x, at), *self._label(x))
        f = torch.stack((-output / 2, output / 2), -1)
        if not self.skip:
            return f
        return f + self.process.step_likelihood(x, to, at).log().clamp_min(-1e4).to(x.dtype)
