"""Runge–Kutta samplers of fixed steps, for every Gaussian process: a table each."""

from difrun.sampler.runge_kutta import RungeKutta, Table


class Euler(RungeKutta):
    r"""Euler's method on the probability flow, in the straight frame (`difrun.sampler.base`).

    With y = x/(α + σ) and τ = σ/(α + σ) the flow is dy/dτ = ε̂ − x̂_0, and one step

        y_s = y_t + (τ_s − τ_t)(ε̂ − x̂_0)    is    x_s = α_s x̂_0 + σ_s ε̂,

    the deterministic DDIM step, exact where trajectories are straight. Order 1, one network evaluation per step.

    References:
        Song et al. (2021), arXiv 2010.02502, eq. 12 with η = 0.
    """

    table = Table([[]], [1], 1)


class Midpoint(RungeKutta):
    r"""The midpoint method on the probability flow, in the straight frame (`difrun.sampler.runge_kutta`).

    An Euler step leads to the middle of the step in τ, and the slope there is that of the whole step:

        y_s = y_t + H u(y_t + ½H u(y_t, τ_t), τ_t + ½H).

    Order 2, two network evaluations per step.

    References:
        Hairer, Nørsett and Wanner (1993), Solving Ordinary Differential Equations I, sec. II.1, eq. 1.4.
    """

    table = Table([[], ["1/2"]], [0, 1], 2)


class Heun(RungeKutta):
    r"""Heun's method on the probability flow, in the straight frame (`difrun.sampler.base`).

    With dy/dτ = u(y, τ) = ε̂ − x̂_0, an Euler step to s is corrected by the trapezoidal rule,

        y' = y_t + (τ_s − τ_t) u(y_t, τ_t),
        y_s = y_t + (τ_s − τ_t)·½[u(y_t, τ_t) + u(y', τ_s)] = ½ y_t + ½[y' + (τ_s − τ_t) u(y', τ_s)],

    as in Karras et al., whose frame is x/α against σ/α; this one is regular at both ends of time. Order 2, two network
    evaluations per step.

    References:
        Karras et al. (2022), arXiv 2206.00364, Algorithm 1.
    """

    table = Table([[], [1]], ["1/2", "1/2"], 2)


class Kutta3(RungeKutta):
    r"""Kutta's method of order 3 on the probability flow, in the straight frame (`difrun.sampler.runge_kutta`).

    Slopes at the start, the middle and the end have the weights of Simpson's rule, 1/6, 4/6, 1/6. Order 3, three
    network evaluations per step.

    References:
        Kutta (1901), Z. Math. Phys. 46, 435.
    """

    table = Table([[], ["1/2"], [-1, 2]], ["1/6", "2/3", "1/6"], 3)


class RK4(RungeKutta):
    r"""The classical Runge–Kutta method on the probability flow, in the straight frame (`difrun.sampler.runge_kutta`).

    One slope at the start, two in the middle and one at the end have weights 1/6, 1/3, 1/3, 1/6. Order 4, four network
    evaluations per step.

    References:
        Kutta (1901), Z. Math. Phys. 46, 435.
    """

    table = Table([[], ["1/2"], [0, "1/2"], [0, 0, 1]], ["1/6", "1/3", "1/3", "1/6"], 4)
