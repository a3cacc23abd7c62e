"""Wasserstein distance of single coordinates."""

from difrun.api import Component, hookimpl

from difrun_old_metric.options import OldMetricOptions


@hookimpl
def difrun_metrics() -> list[Component]:
    return [
        Component(
            "old-metric",
            "difrun_old_metric.metric:old_metric",
            "Wasserstein distance of single coordinates",
            OldMetricOptions,
            requires={"real"},
        )
    ]
