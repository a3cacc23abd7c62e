"""The command line is read once, whatever components it names."""

import click
import pytest

from difrun.cli.commands.run import run

TWO_FORMS = """
    import attrs
    from difrun.api import Component, hookimpl, option

    @attrs.frozen
    class Switch:
        exact: bool = option(False, "Exact steps.")

    @attrs.frozen
    class Number:
        exact: float = option(1.0, "Share of exact steps.")

    @hookimpl
    def difrun_samplers():
        return [Component("switch", "x:X", "S.", Switch), Component("number", "x:X", "N.", Number)]
"""
TOY = ("--process", "toy")


@pytest.fixture
def two_forms(toy, monkeypatch):
    """Two samplers whose flags --sampler.exact differ: a switch, and an option with a value."""
    toy.add("difrun-forms", TWO_FORMS)
    monkeypatch.setenv("DIFRUN_PLUGINS", "toy,forms")
    return toy


def test_the_words_are_read_once(toy, call, work, monkeypatch):
    read = []
    make = click.Command.make_parser

    def counted(self, ctx):
        read.append(self.name)
        return make(self, ctx)

    monkeypatch.setattr(click.Command, "make_parser", counted)
    assert call("run", *TOY, "--process.theta", "2")[0] == 0
    assert read.count("run") == 1
    assert work.plan.process.options.theta == 2


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("--sampler", "switch", "--sampler.exact"), True),
        (("--sampler.exact", "--sampler", "switch"), True),
        (("--sampler.no-exact", "--sampler", "switch"), False),
        (("--sampler", "switch", "--sampler.exact=no"), False),
        (("--sampler.exact", "0.5", "--sampler", "number"), 0.5),
        (("--sampler", "number", "--sampler.exact=-2"), -2.0),
    ],
)
def test_a_flag_is_a_switch_or_takes_a_value_as_the_chosen_component_has_it(
    two_forms, call, work, arguments, value
):
    code, _, err = call("run", *TOY, *arguments)
    assert code == 0, err
    assert work.plan.sampler.options.exact == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sampler", "switch", "--sampler.exact", "word"), "write --sampler.exact=yes"),
        (("--sampler", "number", "--sampler.exact"), "'--sampler.exact' requires an argument"),
        (("--sampler", "number", "--sampler.no-exact"), "has no option 'no-exact'"),
    ],
)
def test_a_value_that_the_chosen_component_does_not_take_is_refused(
    two_forms, call, work, arguments, message
):
    code, _, err = call("run", *TOY, *arguments)
    assert code == 2
    assert message in err


def test_an_unknown_flag_before_the_folder_is_named_and_the_folder_is_not_mistaken(toy, call, work, tmp_path):
    (tmp_path / "run.toml").write_text("")
    code, _, err = call("sample", "--smapler", "heun", str(tmp_path))
    assert code == 2
    assert "No such option '--smapler'" in err
    assert "--sampler" in err


def test_completion_goes_on_after_a_flag_that_nothing_has(toy, monkeypatch):
    monkeypatch.setattr("difrun.plugin.registry._cached", None)
    with run.make_context("run", ["--proces=toy", "--process", "coin"], resilient_parsing=True) as ctx:
        assert {param.name for param in run.get_params(ctx)} >= {"difrun_process_high", "named_sampler"}
