"""The exact model of p(x | c), for data whose joint distribution with their condition is a Gaussian mixture."""

from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import CastCache, as_data
from difrun.data.conditional_mixture import ConditionalMixture, Given
from difrun.model.exact import ExactMixture, combine, log_terms, per_component
from difrun.model.labels import pick_rows

if TYPE_CHECKING:
    from difrun.process.gaussian import GaussianProcess

_BLOCK = 8_000_000
"""Most numbers in a temporary."""


class ExactConditional(ExactMixture):
    """The exact model of a Gaussian mixture of (x, c): asked for conditions, its x̂_0 is E[x_0 | x_t, c].

    The conditional of each row is a mixture of its own weights and means (`ConditionalMixture`), so `ExactMixture`'s
    formulas hold row by row. Without a condition, and for rows of NaN alone, it is the model of p(x).

    Args:
        conditional: p(x | c).
        process: The forward process.
    """

    def __init__(self, conditional: ConditionalMixture, process: "GaussianProcess"):
        super().__init__(conditional.marginal(), process)
        self.given = conditional.given
        self.set_condition((conditional.width,), conditional=conditional, completes=conditional.completes)
        self._given: list[tuple[Given, CastCache]] = []

    @override
    def condition_on(self, labels: Tensor) -> Self:
        changed = super().condition_on(labels)
        assert changed.labels is not None
        changed._given = [(part, CastCache()) for part in self.given(changed.labels)]
        return changed

    @override
    def rows(self, index: Any) -> Self:
        return self if self.labels is None else self.condition_on(pick_rows(self.labels, index))

    @override
    def log_prob(self, x: Tensor, at: Any) -> Tensor:
        if self.labels is None:
            return super().log_prob(x, at)
        x = as_data(x)
        log_p = x.new_empty(len(x))
        for rows, here, parameters in self._row_blocks(x, at):
            log_p[rows] = torch.logsumexp(log_terms(self.process, x[rows], here, *parameters)[0], dim=1)
        return log_p

    @override
    def _posterior(self, x: Tensor, at: Any, kind: str) -> Tensor:
        if self.labels is None:
            return super()._posterior(x, at, kind)
        result = torch.empty_like(x)
        for rows, here, parameters in self._row_blocks(x, at):
            _, means, variances, axes = parameters
            log_joint, gap, var = log_terms(self.process, x[rows], here, *parameters)
            posterior = log_joint.softmax(1)
            if kind == "score":
                result[rows] = -combine(posterior, gap / var, axes)
                continue
            pull = per_component(here.alpha) * variances / var * gap
            mean = torch.einsum("nk,nkd->nd", posterior, means) + combine(posterior, pull, axes)
            result[rows] = mean + self.process.centre_like(mean)
        return result

    def _row_blocks(self, x: Tensor, at: Any) -> list[tuple[Tensor, Any, tuple[Tensor, ...]]]:
        """Rows, their instants, and their parameters in the dtype of x: log weights and means row by row."""
        most = max(1, _BLOCK // (len(self.mixture.weights) * self.mixture.dim))
        blocks: list[tuple[Tensor, Any, tuple[Tensor, ...]]] = []
        for part, casts in self._given:
            log_weights, means, variances, axes = casts.like(x, partial(self._centred_parts, part))
            for places in torch.arange(len(part.rows)).split(most):
                rows = part.rows[places].to(x.device)
                here = (
                    at if isinstance(at.lam, float) else self.process.instant(at.t.expand(len(x), 1)[rows], 2)
                )
                blocks.append((rows, here, (log_weights[places], means[places], variances, axes)))
        return blocks

    def _centred_parts(self, part: Given) -> tuple[Tensor, ...]:
        means = part.means - self.process.centre_like(part.means)
        return part.log_weights, means, part.variances, part.axes
