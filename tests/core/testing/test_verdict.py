"""What the kit says: measured, expected, each fault once, and why a rule was not tried."""

import pytest
import torch

from difrun.errors import DifrunError
from difrun.testing.cases import attempt, collect
from difrun.testing.verdict import (
    NotTried,
    RuleBroken,
    ensure,
    ensure_close,
    ensure_equal,
    ensure_finite,
    ensure_refused,
)

from .faulty.declaration import declare
from .faulty.wrong import Wrong, install


def test_numbers_are_compared_within_their_error_bar():
    """Within it nothing happens; beyond, the worst number is shown with what is right and its error bar."""
    ensure_close(1.05, 1.0, "it", atol=0.1)
    ensure_close(torch.tensor([1.0, 101.0]), torch.tensor([1.0, 100.0]), "it", rtol=0.02)
    with pytest.raises(RuleBroken, match=r"measured: it = 1\.2; expected: 1 ± 0\.1") as caught:
        ensure_close(1.2, 1.0, "it", atol=0.1)
    assert (caught.value.measured, caught.value.expected) == ("it = 1.2", "1 ± 0.1")
    far = torch.tensor([1.0, 2.0, 9.0, 3.0], dtype=torch.float64)
    near = torch.tensor([1.0, 2.0, 4.0, 2.5], dtype=torch.float64)
    with pytest.raises(
        RuleBroken, match=r"it = 9, the worst of 4 numbers \(2 are wrong\); expected: 4 ± 0\.1"
    ):
        ensure_close(far, near, "it", atol=0.1)


@pytest.mark.parametrize(
    ("measured", "expected", "message"),
    [
        (torch.tensor([float("nan")]), torch.tensor([1.0]), "nan"),
        (torch.tensor([1.0]), torch.tensor([float("nan")]), "nan"),
        (torch.tensor([float("inf")]), torch.tensor([1.0]), "inf"),
        (torch.ones(2), torch.ones(2, 1), r"has shape \(2,\); expected: \(2, 1\)"),
        (torch.ones(2), torch.ones(2).double(), "is torch.float32; expected: torch.float64"),
    ],
)
def test_what_is_no_number_of_the_right_form_is_never_close(measured, expected, message):
    with pytest.raises(RuleBroken, match=message):
        ensure_close(measured, expected, "it", atol=1e9)
    ensure_close(torch.tensor([float("inf")]), torch.tensor([float("inf")]), "it")


def test_conditions_equality_and_refusals():
    ensure(torch.tensor([True, True]), "", "")
    for broken in (
        lambda: ensure(torch.tensor([True, False]), "one", "two"),
        lambda: ensure_equal(torch.ones(2), torch.ones(2) + 1e-6, "it"),
        lambda: ensure_equal((1, 2), (1, 3), "it"),
        lambda: ensure_finite(torch.tensor([1.0, float("nan")]), "it"),
        lambda: ensure_refused(lambda: None, what="it"),
        lambda: ensure_refused(lambda: 1 / 0, what="it"),
    ):
        with pytest.raises(RuleBroken):
            broken()

    def refuse():
        raise DifrunError("no such thing")

    ensure_refused(refuse, what="it", says="no such")
    with pytest.raises(RuleBroken, match="refused with the words"):
        ensure_refused(refuse, what="it", says="other words")


def outcomes(dist):
    return {case.id: attempt(case) for case in collect(dist)[0]}


def test_a_wrong_target_and_an_error_are_reported_once(site):
    """The other rules say which one reported it. The report has the rule, numbers, and where to read on."""
    table = [
        Wrong("sampler", "Broken"),
        Wrong("sampler", "absent"),
        Wrong("sampler", "no_sampler"),
    ]
    install(site, "difrun-once", "steps", table)
    seen = outcomes("difrun-once")
    for name, rule, words in (
        ("sampler:absent", "can_be_made", "AttributeError"),
        ("sampler:no-sampler", "can_be_made", "makes a Tensor, which is no Sampler"),
        ("sampler:broken", "converges_at_its_declared_order", "no_such_field"),
    ):
        own = {key.rpartition("-")[2]: each for key, each in seen.items() if key.startswith(name)}
        failed = [key for key, each in own.items() if each.status == "failed"]
        assert len(failed) == 1, own
        assert words in own[failed[0]].measured
        others = [each.text for each in own.values() if each.status == "not tried"]
        assert others
        assert any(failed[0] in text for text in others)
        if name != "sampler:broken":
            assert failed == [rule]
    text = next(each.text for key, each in seen.items() if key == "sampler:no-sampler-can_be_made")
    assert text.splitlines()[0] == "sampler 'no-sampler' (difrun-once) breaks the rule can_be_made:"
    for line in ("measured: ", "expected: ", "read on:  docs/plugins"):
        assert line in text


def test_a_target_of_wrong_syntax_is_reported_once_with_its_line(site):
    """By one rule, in all variants; no line of the standard library is named."""
    declare(
        site,
        "difrun-torn",
        "@hookimpl\ndef difrun_metrics():\n"
        "    return [component('torn', 'torn', Scaled, requires={'real'})]\n\n\n"
        "@hookimpl\ndef difrun_models():\n    return [component('torn', 'Torn', provides={'network'})]\n",
        "def torn(samples:\n    return {}\n",
    )
    failed = [each for each in outcomes("difrun-torn").values() if each.status == "failed"]
    failed = [each for each in failed if not each.case.id.startswith("distribution")]
    assert sorted(each.case.id for each in failed) == ["metric:torn-can_be_made", "model:torn-can_be_made"]
    for each in failed:
        assert "difrun_torn_parts.py, line 1" in each.measured
        assert "importlib" not in each.measured
        assert "__init__.py" not in each.measured


def test_a_refusal_is_reported_once(site):
    """A dataset that cannot be made breaks the first rule that tries it; the others say so."""
    install(site, "difrun-refused", "data", [Wrong("dataset", "refused")])
    seen = outcomes("difrun-refused")
    failed = [key for key, each in seen.items() if each.status == "failed" and key.startswith("dataset")]
    assert failed == ["dataset:refused-is_decided_by_its_seed"]
    assert seen["dataset:refused-has_moments"].text.startswith(
        "as in dataset:refused-is_decided_by_its_seed: "
    )


def test_nothing_is_green_in_silence(site):
    """A misspelt capability is a failure with a guess; one that is not there is told, not passed."""
    table = [
        Wrong("sampler", "Fine", more="requires={'guassian'}"),
        Wrong("sampler", "Equal", more="requires={'chain'}"),
        Wrong("sampler", "Idle", options="Scaled", more="requires={'spins'}"),
    ]
    install(site, "difrun-silent", "steps", table)
    seen = outcomes("difrun-silent")
    misspelt = seen["sampler:fine-works_in_a_tiny_run"]
    assert misspelt.status == "failed"
    assert "requires 'guassian', which nothing provides. Did you mean 'gaussian'?" in misspelt.measured
    for name in ("equal", "idle"):
        told = seen[f"sampler:{name}-works_in_a_tiny_run"]
        assert told.status == "not tried"
        assert "no rule fits what it requires" in told.text


def test_not_tried_is_no_failure():
    assert not issubclass(NotTried, AssertionError)
