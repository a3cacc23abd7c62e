"""Gaussian mixtures: exact draws, log-density and score, before and after a Gaussian process."""

import math
from functools import cached_property
from typing import Any, NamedTuple

import attrs
import torch
from torch import Tensor

from difrun.data.casts import as_data, data_on_cpu, wide
from difrun.errors import DifrunError

CHUNK = 2**22
"""Numbers in the largest array that is formed for one chunk of points (32 MB in float64)."""


def _float64(value: Any) -> Tensor:
    return data_on_cpu(value, "parameters of a mixture").double()


@attrs.frozen(eq=False, slots=False)
class GaussianMixture:
    r"""The Gaussian mixture p(x) = Σ_k w_k N(x; m_k, C_k) in d dimensions.

    Parameters are stored in float64 on the CPU. Formulas are evaluated in float64 on the device of x (in
    float32 on MPS, which has no float64), and results have the dtype of x.

    Attributes:
        weights: w_k, shape (K,), not negative, with sum 1.
        means: m_k, shape (K, d).
        covs: C_k, shape (K, d, d), symmetric and positive semi-definite; or shape (K,), the variances of
            isotropic components C_k = v_k I. An isotropic mixture stays cheap with thousands of components: it
            never forms an array of K · d · d or n · K · d numbers.

    Raises:
        DifrunError: If the shapes do not match, the weights are not a distribution, or a covariance is not
            symmetric or has a negative eigenvalue.
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
        """Dimension d of x."""
        return self.means.shape[1]

    @property
    def isotropic(self) -> bool:
        """Whether the covariances are given as variances, C_k = v_k I."""
        return self.covs.ndim == 1

    @property
    def eigenvalues(self) -> Tensor:
        """Eigenvalues of the C_k, shape (K, d); for an isotropic mixture a view of its variances."""
        assert self._eigen is not None
        return self._eigen[0]

    @property
    def eigenvectors(self) -> Tensor | None:
        """Matrices V_k with C_k = V_k diag(eigenvalues_k) V_kᵀ, shape (K, d, d); None (for I) if isotropic."""
        assert self._eigen is not None
        return self._eigen[1]

    @cached_property
    def mean(self) -> Tensor:
        """Mean E[x] = Σ w_k m_k, shape (d,), float64."""
        return self.weights @ self.means

    @cached_property
    def cov(self) -> Tensor:
        """Covariance Cov[x] = Σ w_k (C_k + (m_k − E[x])(m_k − E[x])ᵀ), shape (d, d), float64."""
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
        r"""Return the distribution of α x + σ ε with ε ~ N(0, I), which is Σ_k w_k N(α m_k, α² C_k + σ² I)."""
        if self.isotropic:
            covs = alpha**2 * self.covs + sigma**2
            values = covs[:, None].expand(-1, self.dim)
        else:
            covs = alpha**2 * self.covs + sigma**2 * torch.eye(self.dim, dtype=torch.float64)
            values = alpha**2 * self.eigenvalues + sigma**2
        return GaussianMixture(self.weights, alpha * self.means, covs, eigen=(values, self.eigenvectors))

    def part(self, selected: Tensor) -> "GaussianMixture":
        """Return the mixture of some of the components, with their weights scaled to sum 1.

        Args:
            selected: Which components to take, (K,), bool.

        Raises:
            DifrunError: If their weights sum to 0.
        """
        weights = self.weights[selected]
        if not float(weights.sum()) > 0:
            raise DifrunError("the selected components of the mixture have no weight.")
        vectors = None if self.eigenvectors is None else self.eigenvectors[selected]
        eigen = (self.eigenvalues[selected], vectors)
        return GaussianMixture(
            weights / weights.sum(), self.means[selected], self.covs[selected], eigen=eigen
        )

    def sample(self, n: int, generator: torch.Generator, *, stratified: bool = False) -> Tensor:
        """Draw n points.

        Args:
            n: The number of points.
            generator: The source of randomness; the points are on its device.
            stratified: Draw n w_k points of component k (up to rounding, in random order) instead of a multinomial
                number.

        Returns:
            Shape (n, d), float64.
        """
        return self.sample_with_components(n, generator, stratified=stratified)[0]

    def sample_with_components(
        self, n: int, generator: torch.Generator, *, stratified: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Draw n points as `sample` does; return them and the component of each, (n,), int64."""
        device = generator.device
        k = choose_components(n, self.weights, generator, stratified=stratified)
        noise = torch.randn((n, self.dim), generator=generator, dtype=torch.float64, device=device)
        noise = self.eigenvalues.sqrt().to(device)[k] * noise
        if self.eigenvectors is not None:
            noise = torch.einsum("nij,nj->ni", self.eigenvectors.to(device)[k], noise)
        return self.means.to(device)[k] + noise, k

    def log_prob(self, x: Tensor) -> Tensor:
        r"""Return log p(x) in nats for points x of shape (n, d), with shape (n,).

        Raises:
            DifrunError: If x has another shape, or a covariance is singular, so that there is no density.
        """
        x = as_data(x, "points")
        points = self._points(x)
        parameters = self._parameters_like(points)
        parts = [_log_joint(chunk, parameters).logsumexp(1) for chunk in self._chunks(points)]
        return torch.cat(parts).to(x.dtype)

    def score(self, x: Tensor) -> Tensor:
        r"""Return the score at points x of shape (n, d), with the same shape.

            ∇ log p(x) = Σ_k r_k(x) C_k⁻¹ (m_k − x),    r_k(x) = w_k N(x; m_k, C_k)/p(x)

        Raises:
            DifrunError: As `log_prob`.
        """
        x = as_data(x, "points")
        points = self._points(x)
        parameters = self._parameters_like(points)
        return torch.cat([_score(chunk, parameters) for chunk in self._chunks(points)]).to(x.dtype)

    def component(self, x: Tensor) -> Tensor:
        r"""Return the most probable component at points x of shape (n, d): argmax_k r_k(x), (n,), int64.

        Raises:
            DifrunError: As `log_prob`.
        """
        points = self._points(as_data(x, "points"))
        parameters = self._parameters_like(points)
        return torch.cat([_log_joint(chunk, parameters).argmax(1) for chunk in self._chunks(points)])

    def _points(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise DifrunError(f"points of shape {tuple(x.shape)} do not fit a mixture in (n, {self.dim}).")
        if not bool((self.eigenvalues > 0).all()):
            raise DifrunError(
                "a component of the mixture has zero variance, so it has no density and no score. Diffuse it."
            )
        return wide(x)

    def _chunks(self, x: Tensor) -> tuple[Tensor, ...]:
        width = len(self.weights) * (1 if self.isotropic else self.dim)
        return x.split(max(1, CHUNK // width))

    def _parameters_like(self, x: Tensor) -> "_Parameters":
        vectors = None if self.eigenvectors is None else self.eigenvectors.to(x)
        return _Parameters(self.weights.log().to(x), self.means.to(x), self.eigenvalues.to(x), vectors)


class _Parameters(NamedTuple):
    """Parameters in the dtype and on the device of the points."""

    log_weights: Tensor
    means: Tensor
    values: Tensor
    vectors: Tensor | None


def _rotated(x: Tensor, parameters: _Parameters) -> Tensor:
    """Return V_kᵀ(x − m_k), the offset in the eigenbasis of each component, shape (n, K, d)."""
    assert parameters.vectors is not None
    return torch.einsum("nki,kij->nkj", x[:, None] - parameters.means, parameters.vectors)


def _log_joint(x: Tensor, parameters: _Parameters) -> Tensor:
    """Return log w_k + log N(x; m_k, C_k), shape (n, K); its softmax over k is the posterior r_k."""
    if parameters.vectors is None:
        distances = torch.cdist(x, parameters.means).square() / parameters.values[:, 0]
    else:
        distances = (_rotated(x, parameters).square() / parameters.values).sum(2)
    norm = x.shape[1] * math.log(2 * math.pi) + parameters.values.log().sum(1)
    return parameters.log_weights - 0.5 * (distances + norm)


def _score(x: Tensor, parameters: _Parameters) -> Tensor:
    posterior = _log_joint(x, parameters).softmax(1)
    if parameters.vectors is None:
        pull = posterior / parameters.values[:, 0]
        return pull @ parameters.means - pull.sum(1, keepdim=True) * x
    pull = posterior[:, :, None] * _rotated(x, parameters) / parameters.values
    return -torch.einsum("kij,nkj->ni", parameters.vectors, pull)


def choose_components(
    n: int, weights: Tensor, generator: torch.Generator, *, stratified: bool = False
) -> Tensor:
    """Draw n component numbers, k with probability w_k.

    Args:
        n: The number of draws.
        weights: The probabilities w_k, (K,).
        generator: The source of randomness.
        stratified: Draw k exactly n w_k times (up to rounding), in random order: the uniform numbers u are replaced by
            the numbers (i + ½)/n in random order.

    Returns:
        Shape (n,), int64, on the generator's device.
    """
    device = generator.device
    if stratified:
        u = (torch.randperm(n, generator=generator, device=device) + 0.5).double() / n
    else:
        u = torch.rand(n, generator=generator, dtype=torch.float64, device=device)
    # The last edge is left out, because rounding may put it below 1.
    edges = weights.to(device, torch.float64).cumsum(0)[:-1].contiguous()
    return torch.searchsorted(edges, u, right=True)


def _decompose(weights: Tensor, means: Tensor, covs: Tensor) -> tuple[Tensor, Tensor | None]:
    """Check the parameters; return the eigenvalues (K, d) and eigenvectors (K, d, d) or None of the C_k."""
    _check_parameters(weights, means, covs)
    if covs.ndim == 1:
        values, vectors = covs[:, None].expand(-1, means.shape[1]), None
    else:
        if not torch.allclose(covs, covs.mT):
            raise DifrunError("a covariance of the mixture is not symmetric.")
        values, vectors = torch.linalg.eigh(covs)
    if bool((values < -1e-12 * values.abs().amax()).any()):
        raise DifrunError("a covariance of the mixture has a negative eigenvalue.")
    return values.clamp(min=0) if bool((values < 0).any()) else values, vectors


def _check_parameters(weights: Tensor, means: Tensor, covs: Tensor) -> None:
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
