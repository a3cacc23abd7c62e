"""Guidance: samples of a class, and samples given a measurement."""

from difrun.api import Component, hookimpl
from difrun_guidance.labels.options import CfgOptions, ClassifierOptions
from difrun_guidance.measurements.options import (
    ExactOptions,
    LinearDPSOptions,
    LinearMMPSOptions,
    LinearPiGDMOptions,
)


@hookimpl
def difrun_guidances() -> list[Component]:
    def measurement(name: str, target: str, summary: str, options: type) -> Component:
        target = f"difrun_guidance.measurements.{target}"
        requires = {"gaussian", "real"}
        return Component(name, target, summary, options, requires=requires)

    return [
        Component(
            "cfg",
            "difrun_guidance.labels.cfg:cfg",
            "Classifier-free: strengthens the effect of the class in a model of classes; scale 1 is off",
            CfgOptions,
            off={"scale": 1.0},
        ),
        Component(
            "classifier",
            "difrun_guidance.labels.classifier:classifier",
            "A classifier of noised examples, trained on the run's own process and data",
            ClassifierOptions,
            off={"scale": 0.0},
        ),
        measurement(
            "mmps",
            "methods:LinearMMPS",
            "Given a measurement: moment matching, V[x_0 | x_t] from the model's Jacobian (Rozet et al.)",
            LinearMMPSOptions,
        ),
        measurement(
            "pigdm",
            "methods:LinearPiGDM",
            "Given a measurement: ΠGDM, V[x_0 | x_t] as for Gaussian data (Song et al.)",
            LinearPiGDMOptions,
        ),
        measurement(
            "dps",
            "methods:LinearDPS",
            "Given a measurement: diffusion posterior sampling (Chung et al.)",
            LinearDPSOptions,
        ),
        measurement(
            "exact",
            "exact_posterior:Exact",
            "Given a measurement: the exact score, for data from a Gaussian mixture",
            ExactOptions,
        ),
    ]
