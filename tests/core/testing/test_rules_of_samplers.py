"""Each rule for samplers and the processes under them has a wrong component that it alone catches."""

import pytest

from .faulty.trial import OF_SAMPLERS, assert_each_breaks_its_rule


@pytest.mark.parametrize("parts", OF_SAMPLERS)
def test_each_wrong_component_breaks_its_rule_and_no_other(site, monkeypatch, parts):
    assert_each_breaks_its_rule(site, monkeypatch, parts)
