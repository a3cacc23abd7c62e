r"""Exact models: E[x_0 | x_t] in closed form, the ground truth by which samplers and networks are judged.

For data from a mixture Σ_k w_k N(m_k, S_k) and x_t = α x_0 + σ ε (all measured from the centre of the process),

    p_t(x)   = Σ_k w_k N(x; α m_k, V_k),    V_k = α² S_k + σ² I,
    ∇ log p_t = Σ_k r_k V_k⁻¹ (α m_k − x),    r = softmax_k(log w_k + log N(x; α m_k, V_k)),
    E[x_0|x]  = Σ_k r_k (m_k + α S_k V_k⁻¹ (x − α m_k)).

Finitely many examples are the mixture with S_k = 0 and equal weights.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.casts import CastCache, as_data
from difrun.data.mixture import GaussianMixture
from difrun.errors import DifrunError
from difrun.model.base import MOST_CORRELATED
from difrun.model.conditional import ConditionalModel
from difrun.model.labels import for_rows

if TYPE_CHECKING:
    from difrun.process.gaussian import GaussianProcess

_BLOCK = 8_000_000
"""Most numbers in a temporary, so that many components and many points together fit into memory."""


class ExactMixture(ConditionalModel):
    """The exact model of a Gaussian mixture under any Gaussian process, in float32 or float64 as x is.

    A kind other than x0 and score is converted from whichever of the two is well conditioned at the noise level: x̂_0
    where noise prevails (λ < 0), the score where the signal does. The model needs no training.

    Args:
        mixture: The distribution of the data.
        process: The forward process.
        component_labels: The class of each component, (K,) int64. `condition_on` then gives the exact model of a
            class, the mixture of its components alone, and `log_posterior` gives p(class | x_t).
    """

    def __init__(
        self, mixture: GaussianMixture, process: "GaussianProcess", component_labels: Tensor | None = None
    ):
        self.mixture = mixture
        self.process = process
        self.component_labels = component_labels
        self.shape = (mixture.dim,)
        self.mean, self.var = mixture.mean, mixture.var
        self.cov = mixture.cov if mixture.dim <= MOST_CORRELATED else None
        self._casts = CastCache()

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        x = as_data(x)
        if kind in ("x0", "score"):
            return self._posterior(x, at, kind)
        if kind == "noise":
            return -at.sigma * self._posterior(x, at, "score")
        if isinstance(at.lam, float):
            return self._converted(x, at, "x0" if at.lam < 0 else "score", kind)
        return torch.where(
            at.lam < 0, self._converted(x, at, "x0", kind), self._converted(x, at, "score", kind)
        )

    @property
    @override
    def classes(self) -> int:
        return 0 if self.component_labels is None else int(self.component_labels.max()) + 1

    @property
    def proportions(self) -> tuple[float, ...]:
        """Share of each class in the distribution, () without classes; unlike `shares`, it is not sampled from."""
        labels = self.component_labels
        if labels is None:
            return ()
        return tuple(float(self.mixture.weights[labels == k].sum()) for k in range(self.classes))

    @cached_property
    @override
    def class_moments(self) -> tuple[Tensor, Tensor] | None:  # type: ignore[override]
        labels = self.component_labels
        if labels is None:
            return None
        parts = [self.mixture.part(labels == label) for label in range(self.classes)]
        means, variances = torch.stack([p.mean for p in parts]), torch.stack([p.var for p in parts])
        return means.reshape(-1, *self.shape), variances.reshape(-1, *self.shape)

    def log_prob(self, x: Tensor, at: Any) -> Tensor:
        """Return log p_t(x) in nats, (n,), given the labels of the rows if there are any."""
        x = as_data(x)
        blocks = [
            torch.logsumexp(self._terms(part, here, labels)[0], dim=1)
            for part, here, labels in self._blocks(x, at)
        ]
        return torch.cat(blocks)

    def log_posterior(self, x: Tensor, at: Any) -> Tensor:
        """Return log p(class | x_t) of every class, (n, classes), by Bayes' theorem, whatever the labels.

        Raises:
            DifrunError: If the components of the mixture belong to no classes.
        """
        labels = self.component_labels
        if labels is None:
            raise DifrunError("the components of this mixture belong to no classes.")
        x, here = as_data(x).reshape(len(x), -1), _flat(at)
        posteriors = []
        for part, now, _ in self._blocks(x, here):
            joint = self._terms(part, now, None)[0]
            per_class = [torch.logsumexp(joint[:, labels == k], dim=1) for k in range(self.classes)]
            posteriors.append(torch.stack(per_class, 1).log_softmax(1))
        return torch.cat(posteriors)

    def _converted(self, x: Tensor, at: Any, source: str, kind: str) -> Tensor:
        return self.process.convert(self._posterior(x, at, source), x, at, source, kind)

    def _posterior(self, x: Tensor, at: Any, kind: str) -> Tensor:
        mean = self._mean_of_x0 if kind == "x0" else self._score
        return torch.cat([mean(*block) for block in self._blocks(x, at)])

    def _blocks(self, x: Tensor, at: Any) -> list[tuple[Tensor, Any, Tensor | None]]:
        """Rows of x with their instants and labels, in blocks that keep temporaries (rows, components, ...) small."""
        row_labels = None if self.labels is None else for_rows(self.labels, x)
        rows = max(1, _BLOCK // (len(self.mixture.weights) * self.mixture.dim))
        if len(x) <= rows:
            return [(x, at, row_labels)]
        parts = x.split(rows)
        labels = [None] * len(parts) if row_labels is None else row_labels.split(rows)
        if isinstance(at.lam, float):
            return [(part, at, here) for part, here in zip(parts, labels, strict=True)]
        times = [self.process.instant(t, 2) for t in at.t.expand(len(x), 1).split(rows)]
        return list(zip(parts, times, labels, strict=True))

    def _terms(self, x: Tensor, at: Any, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """`log_terms` of the mixture, given the labels of the rows if there are any."""
        log_weights, means, variances, axes = self._parameters(x)
        if labels is not None:
            log_weights = self._of_classes(log_weights)[labels]  # the last row is for −1, any class
        return log_terms(self.process, x, at, log_weights, means, variances, axes)

    def _of_classes(self, log_weights: Tensor) -> Tensor:
        """The logarithm of p(component | class) for each class and, in a last row, for any class: (classes + 1, K)."""
        assert self.component_labels is not None
        numbers = torch.arange(self.classes, device=log_weights.device)[:, None]
        other = self.component_labels.to(log_weights.device) != numbers
        rows = log_weights.expand(self.classes, -1).masked_fill(other, -torch.inf)
        return torch.cat((rows - rows.logsumexp(1, keepdim=True), log_weights[None]))

    def _mean_of_x0(self, x: Tensor, at: Any, labels: Tensor | None) -> Tensor:
        _, means, variances, axes = self._parameters(x)
        log_joint, gap, var = self._terms(x, at, labels)
        posterior = log_joint.softmax(1)
        pull = per_component(at.alpha) * variances / var * gap
        return posterior @ means + combine(posterior, pull, axes) + self.process.centre_like(x)

    def _score(self, x: Tensor, at: Any, labels: Tensor | None) -> Tensor:
        _, _, _, axes = self._parameters(x)
        log_joint, gap, var = self._terms(x, at, labels)
        return -combine(log_joint.softmax(1), gap / var, axes)

    def _parameters(self, like: Tensor) -> Any:
        """(log w, m − μ, eigenvalues of S, eigenvectors or None) in the dtype and on the device of `like`."""
        return self._casts.like(like, self._wide_parameters)

    def _wide_parameters(self) -> Any:
        mixture = self.mixture
        means = mixture.means - self.process.centre_like(mixture.means)
        return mixture.weights.log(), means, mixture.eigenvalues, mixture.eigenvectors


class ExactEmpirical(ExactMixture):
    r"""The exact model of finitely many examples x_i: E[x_0 | x] = Σ_i r_i x_i, r = softmax(−‖x − α x_i‖² / 2σ²).

    It is what a network of unlimited capacity would learn from the examples: it generates the examples themselves.

    Args:
        data: The examples, (n, ...).
        process: The forward process.
        labels: Their classes (n,), if they have any.
    """

    def __init__(self, data: Tensor, process: "GaussianProcess", labels: Tensor | None = None):
        data = as_data(data, "examples")
        flat = data.reshape(len(data), -1).double()
        n = len(flat)
        mixture = GaussianMixture(torch.full((n,), 1 / n, dtype=torch.float64), flat, torch.zeros(n))
        super().__init__(mixture, process, labels)
        self.shape = tuple(data.shape[1:])
        self.mean, self.var = self.mean.reshape(self.shape), self.var.reshape(self.shape)

    @override
    def _posterior(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return super()._posterior(x.reshape(len(x), -1), _flat(at), kind).reshape(x.shape)


def _flat(at: Any) -> Any:
    """The instant for examples flattened to vectors."""
    return at if isinstance(at.lam, float) else at.schedule.instant(at.t.reshape(-1), 2)


def per_component(value: Any) -> Any:
    """Return a field of an instant, ready to broadcast against (n, K, d)."""
    return value if isinstance(value, float) else value[:, None, :]


def log_terms(
    process: "GaussianProcess",
    x: Tensor,
    at: Any,
    log_weights: Tensor,
    means: Tensor,
    variances: Tensor,
    axes: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return log w_k N(x; α m_k, V_k), (n, K); Q_kᵀ(x − α m_k) and the eigenvalues of V_k, both as (n, K, d).

    Args:
        process: The forward process.
        x: The points, (n, d).
        at: The instant.
        log_weights: log w_k, (K,), or (n, K) if they differ between rows.
        means: m_k − μ, (K, d), or (n, K, d) if they differ between rows.
        variances: The eigenvalues of S_k, (K, d).
        axes: The eigenvectors Q_k of S_k, (K, d, d); None for I.
    """
    y = x - process.centre_like(x)
    gap = y[:, None, :] - per_component(at.alpha) * means
    if axes is not None:
        gap = torch.einsum("nkd,kde->nke", gap, axes)
    var = per_component(at.alpha) ** 2 * variances + per_component(at.var)
    energy = gap.square() / var + (2 * torch.pi * var).log()
    return log_weights - 0.5 * energy.sum(-1), gap, var


def combine(posterior: Tensor, along: Tensor, axes: Tensor | None) -> Tensor:
    """Return Σ_k r_k Q_k a_k, (n, d), for r (n, K) and a (n, K, d)."""
    if axes is None:
        return torch.einsum("nk,nkd->nd", posterior, along)
    return torch.einsum("nk,nke,kde->nd", posterior, along, axes)
