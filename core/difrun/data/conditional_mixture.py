r"""The exact conditionals p(x | c) of a Gaussian mixture of (x, c).

With components N(m_k, S_k) of weight w_k, split into the coordinates x and those entries c_o of c that are known,

    p(x | c_o) = Σ_k r_k(c_o) N(x; m_k^x + G_k (c_o − m_k^o), S_k^xx − G_k S_k^ox),
    G_k = S_k^xo (S_k^oo)⁻¹,    r_k(c_o) ∝ w_k N(c_o; m_k^o, S_k^oo).

NaN marks an entry of c that is not known; without any known entry this is p(x).
"""

import math
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import data_on_cpu
from difrun.data.mixture import GaussianMixture
from difrun.errors import DifrunError

MOST_PATTERNS = 256
"""How many sets of known entries are remembered: rows with gaps anywhere have up to 2^d of them."""


@attrs.frozen(eq=False)
class Given:
    """The conditional mixtures of rows that have the same entries known, float64 on the CPU.

    Attributes:
        rows: The numbers of the rows, (n,).
        log_weights: log r_k, (n, K).
        means: The means of the components, (n, K, d).
        variances: The eigenvalues of the covariances, which do not depend on the values, (K, d).
        axes: Their eigenvectors, (K, d, d).
    """

    rows: Tensor
    log_weights: Tensor
    means: Tensor
    variances: Tensor
    axes: Tensor


@attrs.frozen(eq=False)
class _Pattern:
    """All that depends on which entries are known, and not on their values."""

    known: Tensor  # the numbers of the known entries among the coordinates of the joint mixture
    root: Tensor  # the Cholesky factors of S_k^oo
    gain: Tensor  # G_k
    variances: Tensor
    axes: Tensor


@attrs.frozen(eq=False)
class ConditionalMixture:
    """p(x | c), for a Gaussian mixture of (x, c), or for one of x alone whose own coordinates may be known.

    Attributes:
        joint: The mixture. Its first coordinates are x, the rest are c.
        dim: The number of coordinates of x.
        completes: Whether c consists of the coordinates of x themselves, some of them known; `joint` is then that of x.
    """

    joint: GaussianMixture
    dim: int
    completes: bool = False
    _patterns: dict[tuple[bool, ...], _Pattern] = attrs.field(factory=dict, init=False, repr=False)

    @property
    def width(self) -> int:
        """The number of entries of c."""
        return self.dim if self.completes else self.joint.dim - self.dim

    def marginal(self) -> GaussianMixture:
        """Return p(x)."""
        return self._part(slice(0, self.dim))

    def of_condition(self) -> GaussianMixture:
        """Return p(c)."""
        return self.joint if self.completes else self._part(slice(self.dim, None))

    def given(self, condition: Tensor) -> list[Given]:
        """Return the conditional mixture of every row, the rows in groups that have the same entries known.

        Args:
            condition: c, (n, width), with NaN where it is not known.

        Raises:
            DifrunError: If c has another width, or a component has no density in the known entries.
        """
        c = data_on_cpu(condition, "a condition").double().reshape(len(condition), -1)
        if c.shape[1] != self.width:
            raise DifrunError(f"a condition of {c.shape[1]} entries; the mixture has {self.width}.")
        known = ~c.isnan()
        kinds, which = known.unique(dim=0, return_inverse=True)
        return [
            self._of_rows((which == number).nonzero()[:, 0], c[which == number][:, kind], kind)
            for number, kind in enumerate(kinds)
        ]

    def moments(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each coordinate of x given c, (n, d) each, float64."""
        mean, var = (torch.empty((len(condition), self.dim), dtype=torch.float64) for _ in range(2))
        for part in self.given(condition):
            weights = part.log_weights.exp()
            average = torch.einsum("nk,nkd->nd", weights, part.means)
            within = torch.einsum("kde,ke->kd", part.axes.square(), part.variances)
            between = (part.means - average[:, None]).square()
            mean[part.rows] = average
            var[part.rows] = torch.einsum("nk,nkd->nd", weights, within + between)
        return mean, var

    def sample(self, condition: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one x for every row of c, (n, d), float64."""
        x = torch.empty((len(condition), self.dim), dtype=torch.float64)
        for part in self.given(condition):
            k = torch.multinomial(part.log_weights.exp(), 1, generator=generator)[:, 0]
            noise = torch.randn((len(k), self.dim), generator=generator, dtype=torch.float64)
            spread = torch.einsum("nde,ne->nd", part.axes[k], part.variances[k].sqrt() * noise)
            x[part.rows] = part.means[torch.arange(len(k)), k] + spread
        return x

    def log_prob(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return log p(x | c) in nats, (n,), float64.

        Raises:
            DifrunError: If a coordinate of x is fixed by c, so that there is no density.
        """
        points = data_on_cpu(x, "points").double()
        log_p = torch.empty(len(points), dtype=torch.float64)
        for part in self.given(condition):
            if not bool((part.variances > 0).all()):
                raise DifrunError("a coordinate of x is fixed by the condition, so there is no density.")
            gap = torch.einsum("nkd,kde->nke", points[part.rows][:, None] - part.means, part.axes)
            energy = (gap.square() / part.variances + (2 * math.pi * part.variances).log()).sum(2)
            log_p[part.rows] = (part.log_weights - 0.5 * energy).logsumexp(1)
        return log_p

    def _part(self, which: slice) -> GaussianMixture:
        covs = self.joint.covs if self.joint.isotropic else self.joint.covs[:, which, which]
        return GaussianMixture(self.joint.weights, self.joint.means[:, which], covs)

    def _of_rows(self, rows: Tensor, values: Tensor, kind: Tensor) -> Given:
        """The conditional of some rows; values: their known entries."""
        key = tuple(kind.tolist())
        pattern = self._patterns.pop(key, None) or self._pattern(kind)
        self._patterns[key] = pattern  # now the last one used
        if len(self._patterns) > MOST_PATTERNS:
            del self._patterns[next(iter(self._patterns))]
        gap = values[:, None] - self.joint.means[:, pattern.known]
        scaled = torch.linalg.solve_triangular(pattern.root, gap[..., None], upper=False)[..., 0]
        log_det = pattern.root.diagonal(dim1=1, dim2=2).log().sum(1)
        log_weights = self.joint.weights.log() - 0.5 * scaled.square().sum(2) - log_det
        means = self.joint.means[:, : self.dim] + torch.einsum("kdm,nkm->nkd", pattern.gain, gap)
        return Given(rows, log_weights.log_softmax(1), means, pattern.variances, pattern.axes)

    def _pattern(self, kind: Tensor) -> _Pattern:
        covs = self._covariances()
        known = kind.nonzero()[:, 0] + (0 if self.completes else self.dim)
        inside, across = covs[:, known][:, :, known], covs[:, known, : self.dim]
        root, failed = torch.linalg.cholesky_ex(inside)
        if bool(failed.any()):
            raise DifrunError("a component of the mixture has no density in the entries that are known.")
        gain = torch.cholesky_solve(across, root).mT
        left = covs[:, : self.dim, : self.dim] - gain @ across
        if self.completes:  # exactly, as rounding would leave a width
            left[:, known] = left[:, :, known] = 0.0
            gain[:, known] = torch.eye(len(known), dtype=gain.dtype)
        variances, axes = torch.linalg.eigh((left + left.mT) / 2)
        return _Pattern(known, root, gain, variances.clamp(min=0), axes)

    def _covariances(self) -> Any:
        if not self.joint.isotropic:
            return self.joint.covs
        return self.joint.covs[:, None, None] * torch.eye(self.joint.dim, dtype=torch.float64)
