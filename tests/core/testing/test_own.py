"""`difrun.testing.check`: the kit on a class, a function or an object, as in a notebook."""

import pytest

from difrun.errors import ConfigError
from difrun.grid import linear
from difrun.sampler import Euler
from difrun.testing import check

from .faulty import grids


class Hasty(Euler):
    order = 2


def bent(process, steps, *, scale=1.0):
    return grids.bent(process, steps, scale=scale)


def short(process, steps):
    return linear(process, steps)[:-1]


def test_the_verdict_says_what_is_broken():
    """The class tells its kind, and needs neither a docstring nor a package."""
    verdict = check(Hasty)
    assert not verdict.passed
    assert set(verdict.broken) == {
        "draws_from_the_distribution_of_the_data",
        "converges_at_its_declared_order",
        "keeps_its_order_on_an_uneven_grid",
        "inverts_the_flow_as_it_says",
    }
    said = repr(verdict).splitlines()
    assert said[0].startswith("sampler 'hasty' (yours) breaks the rule ")
    assert said[-1].startswith("It does not pass. ")


def test_functions_and_objects_are_taken():
    """A function needs its kind; its options are tried at a second value, those of an object stay as they are."""
    verdict = check(bent, "grid")
    assert verdict.passed, verdict
    assert any(each.case.subject.variant == "(second values)" for each in verdict.outcomes)
    assert check(short, "grid").broken == ("runs_from_the_horizon_to_t_min",)


def test_what_it_cannot_be_is_said():
    for arguments, words in (
        ((bent,), "its class does not say: give kind="),
        ((bent, "gird"), "There is no kind of component called 'gird'"),
        ((3, "sampler"), "Invalid value for sampler"),
    ):
        with pytest.raises(ConfigError, match=words):
            check(*arguments)
