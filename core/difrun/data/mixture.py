"""Gaussian mixtures: exact draws, log-density and score, before and after a Gaussian process."""

import math
from functools import cached_property
from typing import Any, NamedTuple

import attrs
import numpy as np
import torch
from torch import Tensor

from difrun.data.casts import wide
from difrun.errors import DifrunError

CHUNK = 2**22
"""Numbers in the largest array that one chunk of points makes (32 MB in float64)."""


def _float64(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", torch.float64)
    return torch.from_numpy(np.array(value, dtype=np.float64))  # torch would read a list as float32


@attrs.frozen(eq=False, slots=False)
class GaussianMixture:
    r"""p(x) = Σ_k w_k N(x; m_k, C_k) in d dimensions.

    weights: w_k, shape (K,), not negative, with sum 1.
    means: m_k, shape (K, d).
    covs: C_k, shape (K, d, d), symmetric and positive semi-definite; or shape (K,), the variances of
        isotropic components C_k = v_k I. An isotropic mixture stays cheap with thousands of components: it
        never makes an array of K · d · d or n · K · d numbers.

    Parameters are held in float64 on the CPU. Formulas are evaluated in float64 on the device of x (in
    float32 on MPS, which has no float64), and results have the dtype of x. Raises `DifrunError` when shapes
    do not match, the weights are not a distribution, or a covariance is not symmetric or has a negative
    eigenvalue.
    """

    weights: Tensor = attrs.field(converter=_float64)
    means: Tensor = attrs.field(converter=_float64)
    covs: Tensor = attrs.field(converter=_float64)
    _eigen: tuple[Tensor, Tensor | None] | None = attrs.field(default=None, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        if self._eigen is None:
            object.__setattr__(self, "_eigen", _decompose(self.weights, self.means, self.covs))

    @property
    def dim(self) -> int:
        """d, the dimension of x."""
        return self.means.shape[1]

    @property
    def isotropic(self) -> bool:
        """Whether the covariances were given as variances, C_k = v_k I."""
        return self.covs.ndim == 1

    @property
    def eigenvalues(self) -> Tensor:
        """Eigenvalues of the C_k, shape (K, d); for an isotropic mixture a view of its variances."""
        assert self._eigen is not None
        return self._eigen[0]

    @property
    def eigenvectors(self) -> Tensor | None:
        """V_k with C_k = V_k diag(eigenvalues_k) V_kᵀ, shape (K, d, d); None, for I, when isotropic."""
        assert self._eigen is not None
        return self._eigen[1]

    @cached_property
    def mean(self) -> Tensor:
        """E[x] = Σ w_k m_k, shape (d,), float64."""
        return self.weights @ self.means

    @cached_property
    def cov(self) -> Tensor:
        """Cov[x] = Σ w_k (C_k + (m_k − E[x])(m_k − E[x])ᵀ), shape (d, d), float64."""
        offset = self.means - self.mean
        between = (self.weights[:, None] * offset).T @ offset
        if self.isotropic:
            return between + (self.weights @ self.covs) * torch.eye(self.dim, dtype=torch.float64)
        return between + torch.einsum("k,kij->ij", self.weights, self.covs)

    @cached_property
    def var(self) -> Tensor:
        """Variance of each coordinate (the diagonal of `cov`), shape (d,), float64."""
        within = self.covs[:, None] if self.isotropic else self.covs.diagonal(dim1=1, dim2=2)
        return self.weights @ (within + (self.means - self.mean) ** 2)

    def diffused(self, alpha: float, sigma: float) -> "GaussianMixture":
        r"""The distribution of α x + σ ε with ε ~ N(0, I): Σ_k w_k N(α m_k, α² C_k + σ² I)."""
        noise = sigma**2 if self.isotropic else sigma**2 * torch.eye(self.dim, dtype=torch.float64)
        covs = alpha**2 * self.covs + noise
        values = (
            covs[:, None].expand(-1, self.dim) if self.isotropic else alpha**2 * self.eigenvalues + sigma**2
        )
        return GaussianMixture(self.weights, alpha * self.means, covs, eigen=(values, self.eigenvectors))

    def part(self, taken: Tensor) -> "GaussianMixture":
        """The distribution given that the component is one of those `taken`, (K,) bool: their weights, made to add
        up to 1.

        Raises `DifrunError` when they have no weight.
        """
        weights = self.weights[taken]
        if not float(weights.sum()) > 0:
            raise DifrunError("the components that were taken of the mixture have no weight.")
        vectors = None if self.eigenvectors is None else self.eigenvectors[taken]
        eigen = (self.eigenvalues[taken], vectors)
        return GaussianMixture(weights / weights.sum(), self.means[taken], self.covs[taken], eigen=eigen)

    def sample(self, n: int, generator: torch.Generator, *, stratified: bool = False) -> Tensor:
        """n draws, shape (n, d), float64, on the generator's device.

        stratified: component k gets n w_k draws (to rounding, in random order) instead of a multinomial
            number.
        """
        return self.sample_with_components(n, generator, stratified=stratified)[0]

    def sample_with_components(
        self, n: int, generator: torch.Generator, *, stratified: bool = False
    ) -> tuple[Tensor, Tensor]:
        """`sample`, and the component (n,), int64, that each draw is of."""
        device = generator.device
        k = choose(n, self.weights, generator, stratified=stratified)
        noise = torch.randn((n, self.dim), generator=generator, dtype=torch.float64, device=device)
        noise = self.eigenvalues.sqrt().to(device)[k] * noise
        if self.eigenvectors is not None:
            noise = torch.einsum("nij,nj->ni", self.eigenvectors.to(device)[k], noise)
        return self.means.to(device)[k] + noise, k

    def log_prob(self, x: Tensor) -> Tensor:
        r"""log p(x) in nats for points x of shape (n, d): shape (n,).

        Raises `DifrunError` when x has another shape or a covariance is singular: there is no density then.
        """
        points = self._points(x)
        on = self._on(points)
        return torch.cat([_log_joint(part, on).logsumexp(1) for part in self._parts(points)]).to(x.dtype)

    def score(self, x: Tensor) -> Tensor:
        r"""∇ log p(x) = Σ_k r_k(x) C_k⁻¹ (m_k − x), r_k the posterior of component k, for x of shape (n, d).

        Raises what `log_prob` raises.
        """
        points = self._points(x)
        on = self._on(points)
        return torch.cat([_score(part, on) for part in self._parts(points)]).to(x.dtype)

    def component(self, x: Tensor) -> Tensor:
        r"""The component k with the largest posterior r_k(x), for x of shape (n, d): shape (n,), int64.

        Raises what `log_prob` raises.
        """
        points = self._points(x)
        on = self._on(points)
        return torch.cat([_log_joint(part, on).argmax(1) for part in self._parts(points)])

    def _points(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise DifrunError(f"points of shape {tuple(x.shape)} do not fit a mixture in (n, {self.dim}).")
        if not bool((self.eigenvalues > 0).all()):
            raise DifrunError(
                "a component of the mixture has zero variance: no density, and no score. Diffuse it."
            )
        return wide(x)

    def _parts(self, x: Tensor) -> tuple[Tensor, ...]:
        width = len(self.weights) * (1 if self.isotropic else self.dim)
        return x.split(max(1, CHUNK // width))

    def _on(self, x: Tensor) -> "_Parameters":
        vectors = None if self.eigenvectors is None else self.eigenvectors.to(x)
        return _Parameters(self.weights.log().to(x), self.means.to(x), self.eigenvalues.to(x), vectors)


class _Parameters(NamedTuple):
    """What the formulas need, in the dtype and on the device of the points."""

    log_weights: Tensor
    means: Tensor
    values: Tensor
    vectors: Tensor | None


def _whitened(x: Tensor, on: _Parameters) -> Tensor:
    """V_kᵀ(x − m_k), the offset in the eigenbasis of each component, shape (n, K, d)."""
    assert on.vectors is not None
    return torch.einsum("nki,kij->nkj", x[:, None] - on.means, on.vectors)


def _log_joint(x: Tensor, on: _Parameters) -> Tensor:
    """log w_k + log N(x; m_k, C_k), shape (n, K); its softmax over k is the posterior of each component."""
    if on.vectors is None:
        distances = torch.cdist(x, on.means).square() / on.values[:, 0]
    else:
        distances = (_whitened(x, on).square() / on.values).sum(2)
    norm = x.shape[1] * math.log(2 * math.pi) + on.values.log().sum(1)
    return on.log_weights - 0.5 * (distances + norm)


def _score(x: Tensor, on: _Parameters) -> Tensor:
    posterior = _log_joint(x, on).softmax(1)
    if on.vectors is None:
        pull = posterior / on.values[:, 0]
        return pull @ on.means - pull.sum(1, keepdim=True) * x
    pull = posterior[:, :, None] * _whitened(x, on) / on.values
    return -torch.einsum("kij,nkj->ni", on.vectors, pull)


def choose(n: int, weights: Tensor, generator: torch.Generator, *, stratified: bool = False) -> Tensor:
    """n component numbers, k with probability w_k; shape (n,), int64, on the generator's device.

    stratified: k is taken n w_k times, to rounding, in random order: the numbers u become (i + ½)/n,
        permuted.
    """
    device = generator.device
    if stratified:
        u = (torch.randperm(n, generator=generator, device=device) + 0.5).double() / n
    else:
        u = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
    # Without the last edge, which rounding may put below 1.
    edges = weights.to(device, torch.float64).cumsum(0)[:-1].contiguous()
    return torch.searchsorted(edges, u, right=True)


def _decompose(weights: Tensor, means: Tensor, covs: Tensor) -> tuple[Tensor, Tensor | None]:
    """Eigenvalues (K, d), and eigenvectors (K, d, d) or None, of parameters that are checked first."""
    if weights.ndim != 1 or means.ndim != 2 or len(means) != len(weights) or 0 in means.shape:
        raise DifrunError(
            f"a mixture needs weights of shape (K,) and means of shape (K, d), not {tuple(weights.shape)} "
            f"and {tuple(means.shape)}."
        )
    components, dim = means.shape
    if covs.shape not in ((components,), (components, dim, dim)):
        raise DifrunError(
            f"covariances of shape {tuple(covs.shape)} do not fit {components} components in {dim} "
            f"dimensions: expected ({components}, {dim}, {dim}), or ({components},) for isotropic variances."
        )
    if not all(bool(a.isfinite().all()) for a in (weights, means, covs)):
        raise DifrunError("the parameters of a mixture must be finite numbers.")
    if bool((weights < 0).any()) or abs(float(weights.sum()) - 1) > 1e-6:
        raise DifrunError(
            f"mixture weights must not be negative and must add up to 1, not {float(weights.sum()):g}."
        )
    if covs.ndim == 1:
        values, vectors = covs[:, None].expand(-1, dim), None
    else:
        if not torch.allclose(covs, covs.mT):
            raise DifrunError("a covariance of the mixture is not symmetric.")
        values, vectors = torch.linalg.eigh(covs)
    if bool((values < -1e-12 * values.abs().amax()).any()):
        raise DifrunError("a covariance of the mixture has a negative eigenvalue.")
    return values.clamp(min=0) if bool((values < 0).any()) else values, vectors
