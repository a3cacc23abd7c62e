"""A discrete process on the small system of its `enumeration`, where every probability can be computed."""

from itertools import combinations
from typing import Any

import attrs
import torch
from scipy import stats
from torch import Tensor

from difrun.testing.rules import ComponentUnderTest
from difrun.testing.verdict import RuleBroken, ensure

P_VALUE = 1e-6
"""About 5 standard errors, two-sided."""

FRACTIONS = (0.0, 0.13, 0.37, 0.62, 0.81, 1.0)
"""Times, as fractions of T."""


@attrs.frozen(eq=False)
class EnumeratedProcess:
    """A process on its small system.

    Attributes:
        process: The process.
        data: All its examples, one per row, float64.
        states: All values of x_t, one per row, float64.
    """

    process: Any
    data: Tensor
    states: Tensor

    @classmethod
    def of(cls, subject: ComponentUnderTest) -> "EnumeratedProcess":
        """Make the process of a component and ask it for its small system."""
        process = subject.make()
        try:
            data, states = process.enumeration()
        except NotImplementedError as error:
            raise RuleBroken(
                "no transition, jump_rate or enumeration",
                "all three, see 'A process of finitely many states'",
            ) from error
        return cls(process, data, states)

    @property
    def times(self) -> list[float]:
        """0, four times in between, and T."""
        return [fraction * self.process.horizon for fraction in FRACTIONS]

    def pairs(self) -> list[tuple[float, float]]:
        """Some s < t. T is left out, because nothing of the data may be left there for a bridge to use."""
        return list(combinations([self.times[k] for k in (0, 1, 2, 4)], 2))

    def many(self, n: int, row: int = -1) -> Tensor:
        """One of the examples, n times."""
        return self.data[[row]].expand(n, *self.data.shape[1:])

    def kernel(self, s: float, t: float) -> Tensor:
        """q(x_t | x_s), rows and columns by `states`."""
        m = len(self.states)
        distribution = self.process.transition(
            self.states.repeat_interleave(m, 0), self.process.at(s), self.process.at(t)
        )
        every = self.states.repeat(m, *[1] * (self.states.ndim - 1))
        return distribution.log_prob(every).exp().reshape(m, m)

    def from_data(self, t: float) -> Tensor:
        """q(x_t | x_0), rows by `data`."""
        return self.kernel(0.0, t)[self.index(self.data)]

    def index(self, x: Tensor) -> Tensor:
        """For each row of x, the number of its state; fails for a row that is none of the states."""
        same = (x.double().unsqueeze(1) == self.states).flatten(2).all(2)
        known = same.any(1)
        ensure(known, f"x_t = {x[~known][:1].tolist()}", "one of the states of the small system")
        return same.long().argmax(1)

    def posteriors(self, t: float) -> tuple[Tensor, Tensor]:
        """p(x_0 | x_t), with shape (states, data), for a non-uniform p(x_0), and which states can be reached."""
        p = torch.arange(1, len(self.data) + 1, dtype=torch.float64)
        joint = (self.from_data(t) * p[:, None]).T
        total = joint.sum(1, keepdim=True)
        return joint / total.clamp_min(1e-300), total[:, 0] > 1e-9


def close(computed: Tensor, truth: Tensor, what: str, allowed: float = 1e-8) -> None:
    """Ensure that no number is further from the truth than allowed."""
    worst = (computed - truth).abs().max().item()
    ensure(worst <= allowed, f"{what}: off by {worst:.2g}", f"0 ± {allowed:.2g}")


def ensure_counts(index: Tensor, distribution: Tensor, what: str) -> None:
    """Ensure by χ² that draws follow probabilities.

    Improbable values are counted together, and values of probability 0 must not occur.
    """
    seen = torch.bincount(index, minlength=distribution.numel()).double()
    expected = len(index) * distribution.flatten() / distribution.sum()
    never = int(seen[expected == 0].sum())
    ensure(never == 0, f"{what}: {never} draws of values of probability 0", "none")
    often = expected >= 5
    pairs = [(seen[often], expected[often]), (seen[~often].sum()[None], expected[~often].sum()[None])]
    seen, expected = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    some = expected > 1e-6
    if int(some.sum()) > 1:
        result = stats.chisquare(
            seen[some].numpy(), (expected[some] * seen[some].sum() / expected[some].sum()).numpy()
        )
        ensure(
            result.pvalue > P_VALUE,
            f"{what}: χ² = {result.statistic:.0f} for {int(some.sum())} values, p = {result.pvalue:.2g}",
            f"p > {P_VALUE:g}",
        )
