"""What the kit says of a target that asks for what it does not get."""

import pytest

from difrun.testing.cases import collect

from .faulty.declaration import declare

METRICS = """
@hookimpl
def difrun_metrics():
    names = ("gap", "misspelt", "unlabelled")
    return [component(name, name, requires={"real"}) for name in names]


@hookimpl
def difrun_models():
    return [component("unclassed", "Unclassed", provides={"network"})]
"""

METRIC_PARTS = """
import math

from torch import nn


def gap(samples, reference, *, generator):
    \"\"\"Distance of the means.\"\"\"
    return {"gap": float((samples.mean(0) - reference.mean(0)).norm())}


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
