"""Wrong processes, wrong declarations and wrong packages, and the rules that each breaks."""

import attrs

from .wrong import IDLE, Wrong

MARGINALS, SDE = "samples_follow_the_marginals", "moments_obey_the_sde"
PROCESSES = [
    Wrong("process", "Fine"),
    Wrong("process", "NoGradient", (SDE,), at_least=True),
    Wrong("process", "WrongBridge", ("bridges_belong_to_the_marginals",)),
    Wrong("process", "Growing", ("log_snr_strictly_decreases", SDE), at_least=True),
    Wrong("process", "SharedNoise", ("paths_have_the_joint_distribution",)),
    Wrong("process", "Late", ("marginals_start_at_the_data",), at_least=True),
    Wrong("process", "WideDensity", ("density_is_that_of_the_noised_data",)),
    Wrong("process", "LoudDiffuse", ("bounds_the_likelihood_without_a_gap", MARGINALS), at_least=True),
    Wrong("process", "Tardy", ("time_at_inverts_the_log_snr",), at_least=True),
    Wrong("process", "Doubled", ("time_at_answers_in_kind",)),
    Wrong("process", "Misread", ("means_the_same_by_every_parameterisation",)),
]

SCHEDULES = [
    Wrong("process", "Slowing"),
    Wrong("process", "OneNoise", ("draws_another_number_for_each",)),
    Wrong("process", "OnePath", ("draws_another_number_for_each",)),
    Wrong("process", "Pooled", ("draws_another_number_for_each",)),
    Wrong("process", "ShortBridge", ("marginals_start_at_the_data",)),
    Wrong("process", "Fixed", ("is_random_only_through_its_generator",)),
    Wrong("process", "Tilted", ("takes_examples_of_any_shape",)),
    Wrong("process", "AtZero", ("marginals_start_at_the_data",)),
    Wrong("process", "Steep", (SDE,)),
    Wrong("process", "SingleLevel", ("fields_of_an_instant_agree",)),
    Wrong("process", "Blip", ("log_snr_strictly_decreases",)),
    Wrong("process", "Tardier", ("time_at_inverts_the_log_snr",)),
    Wrong("process", "Halfway", ("bridges_compose",)),
    Wrong("process", "Slow", ("euler_maruyama_converges_to_the_path",)),
    Wrong("process", "Bent", ("has_the_likelihood_of_the_distribution",)),
    Wrong("process", "Apart", ("bounds_the_likelihood_without_a_gap",)),
    Wrong("process", "LoudForAWhile", (MARGINALS,)),
    Wrong("process", "LoudPrior", ("prior_matches_the_noised_data",)),
    Wrong("process", "DataLess", ("prior_has_the_moments_of_the_data",)),
    Wrong("process", "Plain", ("prior_has_the_moments_of_the_data",), at_least=True),
    Wrong("process", "Detour", ("conversions_are_right_in_float32",)),
    Wrong("process", "Astray", ("conversions_round_trip",)),
    Wrong("process", "TensorsOnly", ("takes_and_gives_numpy_and_torch",)),
    Wrong("process", "Flat", ("takes_examples_of_any_shape",)),
    Wrong("process", "Clamping", ("leaves_its_inputs_alone",)),
    Wrong("process", "Rolling", ("is_random_only_through_its_generator",)),
    Wrong("process", "OnCpu", ("runs_where_its_tensors_are",)),
    Wrong("process", "Lenient", ("refuses_times_that_are_none",)),
]

DISCRETE = [
    Wrong("discrete", "Fine"),
    Wrong("discrete", "Bare", ("names_a_small_system",), at_least=True),
    Wrong("discrete", "Twice", ("names_a_small_system",), at_least=True),
    Wrong("discrete", "TwiceData", ("names_a_small_system",)),
    Wrong("discrete", "Leaky", ("kernels_are_distributions",), at_least=True),
    Wrong("discrete", "Restless", ("kernels_are_distributions",)),
    Wrong("discrete", "Aging", ("kernels_compose",), at_least=True),
    Wrong("discrete", "Leaping", ("kernels_compose",)),
    Wrong("discrete", "Blind", ("bridges_are_bayes", "bridges_average_over_the_data")),
    Wrong("discrete", "Torn", ("bridges_are_bayes",)),
    Wrong("discrete", "Averaged", ("bridges_average_over_the_data",)),
    Wrong("discrete", "Loud", ("draws_follow_the_kernel",)),
    Wrong("discrete", "Scattered", ("joint_paths_follow_the_kernels",)),
    Wrong("discrete", "Warm", ("prior_is_the_noised_data",)),
    Wrong("discrete", "Drifting", ("one_distribution_is_stationary",)),
    Wrong("discrete", "Hasty", ("rates_are_the_derivative_of_the_kernel",)),
    Wrong("discrete", "Global", ("draws_by_its_generator_alone",)),
    Wrong("discrete", "InPlace", ("draws_by_its_generator_alone",), at_least=True),
    Wrong("discrete", "TensorsOnly", ("gives_numpy_for_numpy",)),
]

RANGE, GAUSSIAN = "runs_from_the_horizon_to_t_min", "requires={'gaussian'}, "
DECLARATIONS = [
    Wrong("grid", "fine"),
    Wrong("grid", "bent", (), "Scaled"),
    Wrong(
        "grid",
        "fine",
        ("has_a_summary_of_one_line",),
        more=GAUSSIAN + "summary='Short.'",
        called="short-summary",
    ),
    Wrong(
        "grid",
        "fine",
        ("has_a_summary_of_one_line",),
        more=GAUSSIAN + "summary=' Equal steps in time'",
        called="spaces-around",
    ),
    Wrong("grid", "undocumented", ("is_documented",)),
    Wrong("grid", "misspelt", ("takes_exactly_its_options",)),
    Wrong("grid", "catch_all", ("takes_exactly_its_options",)),
    Wrong("grid", "catch_all", ("takes_exactly_its_options", IDLE), "Scaled", called="hidden"),
    Wrong("grid", "bent", ("has_the_same_defaults_in_both_places",), "Doubled", called="other-default"),
    Wrong("grid", "bent", ("explains_every_option",), "Unexplained", called="unexplained"),
    Wrong("grid", "in_words", ("defaults_are_valid",), "InWords"),
    Wrong("grid", "bent", ("refuses_values_out_of_range",), "Unbounded", called="unbounded"),
    Wrong("grid", "absent", ("can_be_made",)),
    Wrong("grid", "upward", (RANGE,)),
    Wrong("grid", "short", (RANGE,)),
    Wrong("grid", "stuck", (RANGE,)),
    Wrong("grid", "rounded", (RANGE,)),
    Wrong("grid", "capped", (RANGE,)),
    Wrong("grid", "backwards", ("refuses_zero_steps",)),
    Wrong("grid", "tensor_grid", (RANGE,), at_least=True),
    Wrong("grid", "random_grid", ("is_the_same_every_time",)),
    Wrong("grid", "lenient", ("refuses_zero_steps",)),
    Wrong("grid", "idle_grid", (IDLE,), "Scaled"),
]

HOOK = """
from difrun.api import Component, hookimpl


@hookimpl
def difrun_grids():
    return [Component({name!r}, __name__ + ":even", "Equal steps in time")]


def even(process, steps):
    from difrun.grid import linear

    return linear(process, steps)
"""
NEEDS = ("difrun>=0.1,<0.2",)


@attrs.frozen
class WrongPackage:
    """A distribution of one grid, and the rule for distributions that it breaks.

    Attributes:
        name: What follows ``difrun-`` in its name.
        rule: The rule; empty for a right one.
        imports: What its module imports first.
        requires: The requirements in its metadata.
        grid: The name of its grid.
        beside: Whether another plugin is installed, in an environment that says it holds one alone.
    """

    name: str
    rule: str
    imports: str = ""
    requires: tuple[str, ...] = NEEDS
    grid: str = "even"
    beside: bool = False

    @property
    def code(self):
        return self.imports + HOOK.format(name=self.grid)


PACKAGES = [
    WrongPackage("right", ""),
    WrongPackage("heavy", "declares_itself_without_torch", "import torch\n", (*NEEDS, "torch")),
    WrongPackage("hidden", "declares_itself_without_torch", "import difrun.grid\n"),
    WrongPackage("clash", "clashes_with_no_name_of_the_core", grid="rho"),
    WrongPackage("boundless", "depends_on_a_range_of_difrun", requires=("difrun>=0.1",)),
    WrongPackage("past", "depends_on_a_range_of_difrun", requires=("difrun<0.0.1",)),
    WrongPackage("reaching", "imports_only_what_it_declares", "import click\n"),
    WrongPackage("crowded", "is_the_only_plugin_installed", beside=True),
]
