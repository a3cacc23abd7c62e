"""Keep the predicted data within bounds."""

from difrun.api import Component, hookimpl

from difrun_old_guidance.options import OldGuidanceOptions


@hookimpl
def difrun_guidances() -> list[Component]:
    return [
        Component(
            "old-guidance",
            "difrun_old_guidance.guidance:old_guidance",
            "Keep the predicted data within bounds",
            OldGuidanceOptions,
            requires={"gaussian"},
        )
    ]
