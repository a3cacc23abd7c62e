"""The core's own components, declared through the same hooks as those of any plugin. Declarations only."""

from difrun.api import Component, hookimpl
from difrun.builtin.options import (
    AdamsOptions,
    AdaptiveOptions,
    ArrayOptions,
    BimodalOptions,
    BlobsOptions,
    CheckerboardOptions,
    DensityCoverageOptions,
    EnergyOptions,
    ExponentialOptions,
    FileOptions,
    GmmGivenOptions,
    GmmOptions,
    MinSNROptions,
    MLPOptions,
    MoonsOptions,
    RhoOptions,
    RingsOptions,
    SlicedW2Options,
    SpiralOptions,
    W2Options,
    X0Options,
)


@hookimpl
def difrun_models() -> list[Component]:
    def exact(name: str, function: str, summary: str) -> Component:
        target = f"difrun.model.exact_of_data:{function}"
        return Component(name, target, summary, provides={"exact"}, requires={"gaussian", "real"})

    return [
        Component(
            "mlp",
            "difrun.model.mlp:MLP",
            "Time-embedded residual MLP, for vectors",
            MLPOptions,
            provides={"network", "conditional"},
            requires={"real"},
        ),
        exact("exact", "exact_mixture", "The exact model of a dataset whose distribution is a mixture"),
        exact("empirical", "exact_empirical", "The exact model of the training examples"),
    ]


@hookimpl
def difrun_losses() -> list[Component]:
    # Here, and not in a plugin, so that every Gaussian process can be trained with the core alone.
    def loss(name: str, target: str, summary: str, options: type) -> Component:
        target = f"difrun.loss.x0:{target}"
        return Component(name, target, summary, options, requires={"gaussian", "network"})

    return [
        loss("x0", "x0", "Squared error of x̂_0, plain or weighted", X0Options),
        loss("min-snr", "min_snr_loss", "Squared error of x̂_0 with the weight min(SNR, γ)", MinSNROptions),
    ]


@hookimpl
def difrun_samplers() -> list[Component]:
    flow = {"gaussian", "ode"}

    def fixed(name: str, target: str, summary: str) -> Component:
        return Component(name, f"difrun.sampler.fixed_step:{target}", summary, requires=flow)

    return [
        fixed("euler", "Euler", "Euler on the probability flow (DDIM), order 1"),
        fixed(
            "midpoint",
            "Midpoint",
            "Midpoint method on the probability flow, order 2, two evaluations per step",
        ),
        fixed("heun", "Heun", "Heun on the probability flow, order 2"),
        fixed(
            "kutta3", "Kutta3", "Kutta's method on the probability flow, order 3, three evaluations per step"
        ),
        fixed(
            "rk4", "RK4", "Classical Runge–Kutta on the probability flow, order 4, four evaluations per step"
        ),
        Component(
            "adams",
            "difrun.sampler.adams:Adams",
            "Adams predictor–corrector in the frame of the data's Gaussian, order by number of steps",
            AdamsOptions,
            requires=flow,
        ),
        Component(
            "exponential",
            "difrun.sampler.exponential:Exponential",
            "Exponential multistep in log-SNR, order 1 to 4, with or without corrector",
            ExponentialOptions,
            requires=flow,
        ),
        Component(
            "tuned",
            "difrun.sampler.tuning.tuned:Tuned",
            "The weights that 'difrun tune' found for this model",
            requires=flow | {"tuned"},
            prefers={"grid": "tuned"},
        ),
        Component(
            "adaptive",
            "difrun.sampler.adaptive:Adaptive",
            "Runge–Kutta with error control on the probability flow, to a tolerance instead of a number of steps",
            AdaptiveOptions,
            requires=flow,
        ),
        Component(
            "ancestral",
            "difrun.sampler.ancestral:Ancestral",
            "x_s from the bridge q(x_s | x_t, x̂_0), as DDPM; for any process with a bridge",
        ),
    ]


@hookimpl
def difrun_grids() -> list[Component]:
    return [
        Component("linear", "difrun.grid.fixed:linear", "Equal steps in t"),
        Component("cosine", "difrun.grid.fixed:cosine", "Steps in t that shrink towards the data"),
        Component("quadratic", "difrun.grid.fixed:quadratic", "Equal steps in √t"),
        Component(
            "rho",
            "difrun.grid.fixed:rho",
            "Equal steps in (σ/α)^{1/ρ} (Karras)",
            RhoOptions,
            requires={"gaussian"},
        ),
        Component("logsnr", "difrun.grid.fixed:logsnr", "Equal steps in log(α/σ)", requires={"gaussian"}),
        Component(
            "tuned",
            "difrun.sampler.tuning.tuned:tuned",
            "The steps that 'difrun tune' found for this model",
            provides={"tuned"},
            requires={"gaussian", "ode", "tuned"},
        ),
        Component(
            "pilot",
            "difrun.sampler.tuning.pilot_grid:pilot",
            "More steps where the trajectories of this model bend",
            requires={"gaussian", "ode"},
        ),
    ]


@hookimpl
def difrun_datasets() -> list[Component]:
    def dataset(name: str, summary: str, options: type, function: str = "") -> Component:
        target = f"difrun.data.toy:{function or name}"
        # These datasets have classes, but are mostly used without them: labels are trained on only if the user asks.
        suits = {"train.label_dropout": 1.0}
        return Component(name, target, summary, options, provides={"real"}, suits=suits)

    return [
        dataset("rings", "Two half-circles in the plane, noise 0.02", RingsOptions),
        dataset("blobs", "Two Gaussian blobs at ±(2, 2), variance 0.1", BlobsOptions),
        dataset("gmm", "Gaussians on a circle", GmmOptions),
        dataset("moons", "Two interleaved half-moons", MoonsOptions),
        dataset("checkerboard", "Uniform on the dark squares of a board", CheckerboardOptions),
        dataset("spiral", "One arm of a spiral", SpiralOptions),
        dataset("bimodal-1d", "Two Gaussians on the line", BimodalOptions, "bimodal_1d"),
        Component(
            "gmm-given",
            "difrun.data.toy_given:gmm_given",
            "Gaussians of (x, c): two coordinates, drawn given a condition c of one number",
            GmmGivenOptions,
            provides={"real"},
        ),
        Component(
            "file",
            "difrun.data.files:file",
            "Your examples, one per row of a .npy, .npz, .csv or .parquet file",
            FileOptions,
            provides={"real"},
        ),
        Component(
            "array",
            "difrun.data.from_python:array",
            "Your examples, given from Python: difrun.run(dataset=x)",
            ArrayOptions,
            provides={"real"},
        ),
    ]


@hookimpl
def difrun_formats() -> list[Component]:
    return [
        Component(
            "safetensors",
            "difrun.runs.plain_format:write",
            "The weights as model.safetensors, and all else that a denoiser needs as model.json",
        )
    ]


@hookimpl
def difrun_metrics() -> list[Component]:
    def metric(name: str, summary: str, options: type) -> Component:
        target = f"difrun.metric.distances:{name.replace('-', '_')}"
        return Component(name, target, summary, options, requires={"real"})

    return [
        metric("sliced-w2", "Sliced Wasserstein-2 distance", SlicedW2Options),
        metric("w2", "Wasserstein-2 distance", W2Options),
        metric("energy", "Energy distance", EnergyOptions),
        metric(
            "density-coverage",
            "Density and coverage, precision and recall, by nearest neighbours",
            DensityCoverageOptions,
        ),
        Component(
            "per-class",
            "difrun.metric.distances:per_class",
            "Sliced Wasserstein-2 distance of every class from the real examples of that class",
            SlicedW2Options,
            provides={"labels"},
            requires={"real"},
        ),
        Component(
            "joint-w2",
            "difrun.metric.distances:joint_w2",
            "Sliced Wasserstein-2 distance of pairs of sample and condition from real pairs",
            SlicedW2Options,
            provides={"conditions"},
            requires={"real"},
        ),
    ]
