"""The conformance kit finds what is wrong: plugins with one known fault per component."""

import pytest

from difrun.testing.cases import attempt, collect
from difrun.testing.check import CHECKS

from .faulty.declaration import DISCRETE_PARTS, PARTS, PROCESS_PARTS, declare

SAMPLERS = """
@hookimpl
def difrun_samplers():
    names = ["Fine", "OverDeclared", "Hasty", "Rough", "Greedy", "SecretlyRandom", "Global", "Silent", "Remembering",
             "InPlace", "Quiet", "OnCpu", "OneFormat", "Secretive"]
    return [component(name.lower(), name, requires={"gaussian", "ode"}) for name in names] + [
        component("other-default", "OtherDefault", Scaled, requires={"gaussian"}),
        component("catch-all", "CatchAll", Scaled, requires={"gaussian"}),
        component("unexplained", "Unexplained", Unexplained, requires={"gaussian"}),
        component("for-spins", "Missing", requires={"discrete"}),
    ]


@hookimpl
def difrun_grids():
    return [component("upward", "upward"), component("short", "short")]


@hookimpl
def difrun_losses():
    return [component(name, name, requires={"gaussian", "network"}) for name in ("shrunk", "heavy", "deaf")]


@hookimpl
def difrun_models():
    return [component("bad-reverse", "bad_reverse", provides={"network"})]
"""

IDLE = "has_options_that_have_an_effect"

FAULTS = {
    "sampler:fine": set(),
    "sampler:overdeclared": {"converges_at_its_declared_order", "keeps_its_order_on_an_uneven_grid"},
    "sampler:hasty": {"converges_at_its_declared_order"},
    "sampler:rough": {"converges_at_its_declared_order"},
    "sampler:secretive": {
        "converges_at_its_declared_order",
        "draws_from_the_distribution_of_the_data",
        "evaluates_the_model_as_often_as_declared",
    },
    "sampler:greedy": {"evaluates_the_model_as_often_as_declared"},
    "sampler:secretlyrandom": {
        "draws_random_numbers_only_if_stochastic",
        "converges_at_its_declared_order",
        "keeps_its_order_on_an_uneven_grid",
    },
    "sampler:silent": {"draws_random_numbers_only_if_stochastic"},
    "sampler:global": {
        "repeats_itself",
        "gives_samples_that_do_not_depend_on_their_chunk",
        "takes_images",
        "leaves_its_state_as_it_was",
    },
    "sampler:quiet": {
        "draws_from_the_distribution_of_the_data",
        "converges_at_its_declared_order",
        "starts_where_nothing_of_the_data_is_left",
    },
    "sampler:oncpu": {"runs_where_its_tensors_are"},
    "sampler:other-default": {"has_the_same_defaults_in_both_places", IDLE},
    "sampler:catch-all": {"takes_exactly_its_options", IDLE},
    "sampler:unexplained": {"explains_every_option", "is_documented", IDLE},
    "grid:upward": {"runs_from_the_horizon_to_t_min"},
    "grid:short": {"runs_from_the_horizon_to_t_min"},
    "loss:shrunk": {"is_least_for_the_exact_model"},
    "loss:heavy": {"weighs_errors_as_declared"},
    "loss:deaf": {"trains_on_the_mean_of_its_values", "weighs_errors_as_declared"},
    "model:bad-reverse": {"reverses_as_autograd_does"},
}
"""Component -> the rules that it breaks, and no others."""

AT_LEAST = {
    "sampler:remembering": {"repeats_itself"},
    "sampler:inplace": {"repeats_itself"},
    "sampler:oneformat": {"takes_one_step_and_one_example"},
    "sampler:for-spins": {"can_be_made"},
}
"""Component -> rules that it breaks among others."""


def failures(dist):
    """Component or "distribution" -> names of the checks that fail."""
    found = {}
    for case in collect(dist)[0]:
        subject, _, name = case.id.rpartition("-")
        found.setdefault(subject, set())
        if attempt(case).status == "failed":
            found[subject].add(name)
    return found


def test_each_fault_breaks_its_rule_and_no_other(site):
    declare(site, "difrun-faulty", SAMPLERS, PARTS, imports="import numpy")
    seen = failures("difrun-faulty")
    assert {name: seen[name] for name in FAULTS} == FAULTS
    for name, rules in AT_LEAST.items():
        assert rules <= seen[name], name
    rules = {"declares_itself_without_torch", "depends_on_a_range_of_difrun", "imports_only_what_it_declares"}
    assert seen["distribution"] == rules  # it requires nothing, and imports difrun, attrs, numpy and torch
    only_general = [
        case.id for case in collect("difrun-faulty")[0] if case.id.startswith("sampler:for-spins-")
    ]
    assert "sampler:for-spins-converges_at_its_declared_order" not in only_general


PROCESSES = """
@hookimpl
def difrun_processes():
    names = ["Fine", "NoGradient", "WrongBridge", "Growing", "SharedNoise", "Late", "WideDensity",
             "LoudDiffuse", "Tardy", "Doubled", "Misread"]
    return [component(name.lower(), name, provides={"gaussian", "sde", "ode"}) for name in names]
"""


def test_wrong_processes_are_found(site):
    declare(site, "difrun-skewed", PROCESSES, PROCESS_PARTS)
    seen = failures("difrun-skewed")
    assert seen["process:fine"] == set()
    assert {"moments_obey_the_sde", "fields_of_an_instant_agree"} & seen["process:nogradient"]
    assert seen["process:wrongbridge"] == {"bridges_belong_to_the_marginals"}
    assert {"log_snr_strictly_decreases", "moments_obey_the_sde"} <= seen["process:growing"]
    assert "paths_have_the_joint_distribution" in seen["process:sharednoise"]
    assert "samples_follow_the_marginals" not in seen["process:sharednoise"]
    assert "marginals_start_at_the_data" in seen["process:late"]
    assert seen["process:widedensity"] == {"density_is_that_of_the_noised_data"}
    assert {"bounds_the_likelihood_without_a_gap", "samples_follow_the_marginals"} <= seen[
        "process:louddiffuse"
    ]
    assert {"has_the_likelihood_of_the_distribution", "time_at_inverts_the_log_snr"} <= seen["process:tardy"]
    assert seen["process:doubled"] == {"time_at_answers_in_kind"}
    assert seen["process:misread"] == {"means_the_same_by_every_parameterisation"}


DISCRETE_FAULTS = {
    "fine": set(),
    "averaged": {"bridges_average_over_the_data"},
    "blind": {"bridges_are_bayes", "bridges_average_over_the_data"},
    "loud": {"draws_follow_the_kernel"},
    "scattered": {"joint_paths_follow_the_kernels"},
    "warm": {"prior_is_the_noised_data"},
    "drifting": {"one_distribution_is_stationary"},
    "hasty": {"rates_are_the_derivative_of_the_kernel"},
    "global": {"draws_by_its_generator_alone"},
    "tensorsonly": {"gives_numpy_for_numpy"},
}
"""Discrete process -> the rules that it breaks, and no others."""

DISCRETE_AT_LEAST = {
    "bare": "names_a_small_system",
    "twice": "names_a_small_system",
    "leaky": "kernels_are_distributions",
    "aging": "kernels_compose",
    "inplace": "draws_by_its_generator_alone",
}
"""Discrete process -> the rule that it breaks among others, as it cannot but."""

DISCRETE = f"""
@hookimpl
def difrun_processes():
    names = {[*DISCRETE_FAULTS, *DISCRETE_AT_LEAST]}
    classes = dict(inplace="InPlace", tensorsonly="TensorsOnly")
    return [component(name, classes.get(name, name.title()), provides={{"discrete"}}) for name in names]
"""


def test_wrong_discrete_processes_are_found(site):
    declare(site, "difrun-flipped", DISCRETE, DISCRETE_PARTS)
    seen = failures("difrun-flipped")
    assert {name: seen[f"process:{name}"] for name in DISCRETE_FAULTS} == DISCRETE_FAULTS
    for name, rule in DISCRETE_AT_LEAST.items():
        assert rule in seen[f"process:{name}"], name
    assert set().union(*DISCRETE_FAULTS.values(), DISCRETE_AT_LEAST.values()) == {
        check.name for check in CHECKS if check.provides == {"discrete"}
    }


METRICS = """
@hookimpl
def difrun_metrics():
    names = ("gap", "upside", "absent", "misspelt", "unlabelled")
    return [component(name, name, requires={"real"}) for name in names]


@hookimpl
def difrun_models():
    return [component("unclassed", "Unclassed", provides={"network"})]
"""

METRIC_PARTS = """
import math

from torch import nn

from difrun.metric import Reading, reads


@reads({"gap": Reading("lower")})
def gap(samples, reference, *, generator):
    \"\"\"Distance of the means.\"\"\"
    return {"gap": float((samples.mean(0) - reference.mean(0)).norm())}


@reads({"gap": Reading("higher")})
def upside(samples, reference, *, generator):
    \"\"\"Distance of the means, declared to be better the larger it is.\"\"\"
    return gap(samples, reference, generator=generator)


@reads({"width": Reading("lower")})
def absent(samples, reference, *, generator):
    \"\"\"Declares a number that it does not return.\"\"\"
    return gap(samples, reference, generator=generator)


def misspelt(samples, refrence):
    \"\"\"Distance of the means, of sets that it never gets.\"\"\"
    return {"gap": float((samples.mean(0) - refrence.mean(0)).norm())}


def unlabelled(samples, reference, labels):
    \"\"\"Distance of the means of the first class.\"\"\"
    return {"gap": float((samples[labels == 0].mean(0) - reference[labels == 0].mean(0)).norm())}


class Unclassed(nn.Module):
    \"\"\"One layer, which asks for classes and does not say so.\"\"\"

    def __init__(self, shape, classes):
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), math.prod(shape))
"""


def test_targets_that_ask_for_what_they_do_not_get_are_found(site):
    """A signature that asks for something else is one failure that says what there is; one of labels says so."""
    declare(site, "difrun-turned", METRICS, METRIC_PARTS)
    cases = {case.id: case for case in collect("difrun-turned")[0]}
    for case, message in (
        (
            "metric:misspelt-takes_exactly_its_options",
            "`misspelt` asks for `refrence`: did you mean `reference`",
        ),
        (
            "metric:unlabelled-declares_that_it_is_of_labels",
            "'labels' is not provided; `labels` are required",
        ),
        (
            "model:unclassed-declares_that_it_takes_classes",
            "'conditional' is not provided; `classes` are asked for",
        ),
    ):
        with pytest.raises(AssertionError, match=message):
            cases[case].check.run(cases[case].subject)
    for case in ("metric:gap-declares_that_it_is_of_labels", "metric:unlabelled-takes_exactly_its_options"):
        cases[case].check.run(cases[case].subject)


def test_metrics_with_wrong_declarations_are_found(site):
    declare(site, "difrun-turned", METRICS, METRIC_PARTS)
    seen = failures("difrun-turned")
    assert seen["metric:gap"] == set()
    assert seen["metric:upside"] == seen["metric:absent"] == {"declares_the_side_that_is_worse"}
