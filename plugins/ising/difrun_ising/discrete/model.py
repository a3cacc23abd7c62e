"""Models of discrete processes: p(x_0 | x_t) at every site."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model import ConditionalModel, ScoreModel, for_rows
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import Sites, with_empty_mask

if TYPE_CHECKING:
    from difrun_ising.discrete.process import DiscreteProcess

LARGEST_LEVEL = 5.0
"""Largest noise level |c| that a network is given."""


class DiscreteModel(ScoreModel):
    """A model of p(x_0,i | x_t) at every site i.

    It predicts "x0", E[x_0 | x_t], from which the distribution follows.
    """

    kind = "x0"
    process: "DiscreteProcess"

    @property
    def couples_all(self) -> bool:
        """Whether any two sites may depend on each other, given the rest: then a sweep draws one at a time."""
        return False

    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        """p(x_0 = k | x_t) for every site and category: (n, *sites, K), float64."""
        raise NotImplementedError

    @override
    def forward(self, x: Tensor, at: Instant) -> Tensor:
        return self.process.mean(with_empty_mask(self.x0_distribution(x, at)))

    @override
    def predict(self, x: Tensor, at: Instant, kind: str) -> Tensor:
        """E[x_0 | x_t] for "x0", or `DiscreteProcess.log_ratios` for "score"; float64.

        Raises:
            DifrunError: If `kind` is another one.
        """
        if kind == "x0":
            return self(x, at)
        if kind == "score":
            return self.process.log_ratios(x, self.x0_distribution(x, at), at)
        raise DifrunError(f"a model of a discrete process predicts x0 or score, not {kind!r}")

    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        """p(x_0,i = k | x_t without x_t,i) for every site.

        Args:
            x: x_t.
            at: The instant of t.
            hidden: The sites whose distribution is needed, with shape (*sites); the answer at others does not matter.

        Returns:
            The distributions, with shape (n, *sites, K), float64.
        """
        raise NotImplementedError

    def reverse(self, x: Tensor, at: Instant, to: Instant) -> Sites:
        """The distribution of x_s given x_t, with independent sites."""
        return Sites(self.process.posterior(x, self.x0_distribution(x, at), at, to), self.process, x.dtype)


class NetworkDenoiser(DiscreteModel, ConditionalModel):
    r"""A network of logits f(x_t, c), to which the likelihood of every site's own value is added.

        p(x_0,i = k | x_t) ∝ e^{f_i(k)} q(x_t,i | x_0,i = k),

    so that f is the information of the other sites. For spins f is one number, the log-odds, and what is added is
    2 artanh(ρ) x_t,i. For masked sites nothing is added, and a visible site is known. A network with `skip` false gets
    nothing added. c = −artanh α is the noise level, one per example, or one per site where these differ.

    A network that `predicts` "previous" gives the log-odds of x_{t−1} instead, for the reverse kernel of a chain. What
    is added then is 2 artanh(ρ_t/ρ_s) x_t. Such a network does not predict p(x_0 | x_t).

    Args:
        network: The network, called with x_t, c and, where it knows classes, labels; it returns a tensor like x_t.
        process: The process.
        shape: The shape of an example.
        mean: The mean of the data.
        var: The variance of the data.

    Raises:
        DifrunError: If the network predicts x_{t−1} and the process is not a chain of flips.
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

    @override
    def to(self, device: torch.device | str) -> "NetworkDenoiser":
        self.network.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    def logits(self, x: Tensor, at: Instant) -> Tensor:
        """The logits log p(x_0 = k | x_t) at every site, up to a constant: (n, *sites, K), in the dtype of the network.

        Raises:
            DifrunError: If the network predicts x_{t−1}.
        """
        log_likelihood = self.log_likelihood(x, at) if self.skip else None
        return self.logits_at_level(x, self.level(x, at), log_likelihood)

    def logits_at_level(self, x: Tensor, level: Tensor, log_likelihood: Tensor | None) -> Tensor:
        """`logits`, from the noise level and log q(x_t | x_0 = k); with None, from the other sites alone."""
        if self.predicts != "x0":
            raise DifrunError(
                "this network was made for the reverse kernel: it predicts x_{t-1}, not x_0. Train it with --loss "
                "reverse-kernel or elbo, and sample it with --sampler reverse-kernel."
            )
        f = self._network_logits(x, level)
        return f + log_likelihood if self.skip and log_likelihood is not None else f

    def _network_logits(self, x: Tensor, level: Tensor) -> Tensor:
        """The output of the network, as one logit per category."""
        labels = (for_rows(self.labels, x),) if self.shares else ()
        output = self.network(x, level, *labels)
        is_log_odds = self.process.sites(x.shape) == x.shape
        return torch.stack((-output / 2, output / 2), -1) if is_log_odds else output

    @override
    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        """p(x_0,i = k | x_t without x_t,i) for every site.

        At t = 0, and for masked data, the sites in `hidden` are hidden from the network, so that their own values
        cannot leak. Training teaches it nothing about visible sites of masked data.
        """
        if hidden is not None and (at.t == 0 or self.process.mixing == "absorbing"):
            hidden = hidden.reshape(*hidden.shape, *(1,) * (x.ndim - 1 - hidden.ndim))
            x = torch.where(hidden, 0.0, x)
        elif not self.skip:
            logits = self.logits(x, at).double() - self.process.likelihood(x, at).clamp_min(1e-12).log()
            return torch.softmax(logits, -1)
        return torch.softmax(self.logits_at_level(x, self.level(x, at), None).double(), -1)

    def log_likelihood(self, x: Tensor, at: Instant) -> Tensor:
        """The log-likelihood log q(x_t | x_0 = k): (n, *sites, K), in the dtype of x; never below −1e4."""
        return self.process.likelihood(x, at).log().clamp_min(-1e4).to(x.dtype)

    def level(self, x: Tensor, at: Instant) -> Tensor:
        """The noise level c: (1,) or (n,), or (1 or n, *sites) where sites differ.

        For a network that reads the evidence tanh(−c) x_t of every site, visible sites of masked lattices are certain
        at any time.
        """
        if self.reads_evidence and self.process.mixing == "absorbing":
            return torch.full((1,), -LARGEST_LEVEL, dtype=x.dtype, device=x.device)
        alpha = self.process.site_alpha(at, self.process.sites(x.shape))
        c = -torch.atanh(torch.as_tensor(alpha, dtype=torch.float64)).clamp(-LARGEST_LEVEL, LARGEST_LEVEL)
        c = c.to(x.dtype).to(x.device)
        if c.ndim == 0:
            return c[None]
        sites = self.process.sites(x.shape)[1:]
        if c.ndim == len(sites):  # one field for all examples
            return c[None]
        return c if c.shape[1:] == sites and math.prod(sites) > 1 else c.reshape(-1)

    @override
    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        return torch.softmax(self.logits(x, at).double(), -1)

    @override
    def reverse(self, x: Tensor, at: Instant, to: Instant) -> Sites:
        if self.predicts == "x0":
            return super().reverse(x, at, to)
        if isinstance(at.t, float):
            self.refuse_times((at.t, to.t))
        kernel = torch.softmax(self.kernel_logits(x, at, to).double(), -1)
        return Sites(with_empty_mask(kernel), self.process, x.dtype)

    @override
    def refuse_times(self, times: Sequence[float]) -> None:
        """Refuse times that the network was not trained for.

        Raises:
            DifrunError: If the network predicts x_{t−1} and a step does not have length 1.
        """
        for at, to in pairwise(times):
            if self.predicts != "x0" and abs(at - to - 1) > 1e-6:
                raise DifrunError(
                    f"this network knows the steps of the chain, of length 1, not {at - to:g}: sample it with "
                    f"--steps {self.process.steps}."
                )

    def kernel_logits(self, x: Tensor, at: Instant, to: Instant) -> Tensor:
        """The logits log p(x_s = k | x_t), up to a constant, for a network that predicts it: (n, *sites, K)."""
        f = self._network_logits(x, self.level(x, at))
        if not self.skip:
            return f
        return f + self.process.step_likelihood(x, to, at).log().clamp_min(-1e4).to(x.dtype)
