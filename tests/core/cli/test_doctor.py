"""`difrun doctor`, and every other command beside broken plugins."""

import pytest


@pytest.fixture
def troubled(toy, monkeypatch):
    """Beside the toy: a plugin with a clashing name, one with a misspelt hook, one that fails to import."""
    toy.add("difrun-clash", CLASH)
    toy.add("difrun-typo", MISSPELT)
    toy.add("difrun-gone", "import nothing_like_it")
    monkeypatch.setenv("DIFRUN_PLUGINS", "toy,clash,typo,gone")
    return toy


@pytest.mark.parametrize(
    "arguments",
    [(), ("--help",), ("list",), ("plugins",), ("show", "toy"), ("run", "--process", "toy"), ("completion",)],
)
def test_every_command_works_beside_broken_plugins_and_says_what_is_wrong(troubled, call, work, arguments):
    code, _, err = call(*arguments)
    assert code == 0
    lines = [line for line in err.splitlines() if "Plugin" in line or "plugin" in line]
    assert lines == [
        "Plugin difrun-gone is broken: ModuleNotFoundError: No module named 'nothing_like_it' "
        "(see 'difrun doctor')",
        "Plugin difrun-typo is broken: NameError: there is no hook difrun_samplerz. "
        "Did you mean 'difrun_samplers'? (see 'difrun doctor')",
        "Several plugins offer sampler 'adams': write difrun-clash:adams or difrun:adams.",
    ]


def test_a_default_is_not_lost_to_a_plugin_that_takes_its_name(troubled, call, work):
    call("--process", "toy")
    assert work.plan.sampler.entry.qualified == "difrun:adams"
    code, _, err = call("--process", "toy", "--sampler", "adams")
    assert code == 2
    assert "write difrun-clash:adams or difrun:adams" in err
    assert call("--process", "toy", "--sampler", "difrun-clash:adams")[0] == 0
    assert work.plan.sampler.entry.plugin.dist == "difrun-clash"


def test_doctor_tells_each_problem_with_its_traceback_and_remedy(troubled, call):
    code, out, err = call("doctor")
    assert code == 1
    assert err == ""
    assert "Plugin difrun-gone 0.1.0 (difrun_gone) is broken" in out
    assert "Traceback" in out
    assert 'File "' in out
    assert "pip uninstall difrun-gone" in out
    assert "pip install" not in out  # whoever holds that name on an index need not be its author
    assert "there is no hook difrun_samplerz. Did you mean 'difrun_samplers'?" in out
    assert "Several plugins offer sampler 'adams'." in out
    assert out.rstrip().endswith("3 problems found.")


def test_doctor_is_content_with_a_sound_installation(toy, call):
    code, out, _ = call("doctor")
    assert code == 0
    assert "No problem found." in out


def test_doctor_finds_words_that_no_component_knows_and_options_without_help(toy, call, monkeypatch):
    code = """
        import attrs
        from difrun.api import Component, hookimpl, option

        @attrs.frozen
        class Options:
            a: float = option(1.0, "")

        @hookimpl
        def difrun_samplers():
            return [Component("odd", "x:X", "Odd.", Options, requires={"gausian"}, provides={"stochastik"})]

        @hookimpl
        def difrun_metrics():
            return [Component("needy", "x:X", "Needy.", requires={"stochastic"})]
    """
    toy.add("difrun-odd", code)
    toy.add("difrun-idle", "def difrun_samplers(): return []")
    monkeypatch.setenv("DIFRUN_PLUGINS", "toy,odd,idle")
    monkeypatch.setenv("DIFRUN_TRAIN_STEP", "5")
    status, out, _ = call("doctor")
    assert status == 1
    assert (
        "sampler 'odd' (difrun-odd) requires 'gausian', which nothing provides. Did you mean 'gaussian'?"
        in out
    )
    assert (
        "sampler 'odd' (difrun-odd) provides 'stochastik', which nothing requires. Did you mean 'stochastic'?"
        in out
    )
    assert "Options of sampler 'odd' (difrun-odd) have no help: a" in out
    assert "Plugin difrun-idle 0.1.0 (difrun_idle) offers nothing." in out
    assert (
        "DIFRUN_TRAIN_STEP is set, but nothing reads a variable of that name. Did you mean 'DIFRUN_TRAIN_STEPS'?"
        in out
    )


def test_strict_refuses_to_start_but_doctor_still_looks(troubled, call, monkeypatch):
    monkeypatch.setenv("DIFRUN_STRICT", "1")
    code, _, err = call("list")
    assert code == 1
    assert err.startswith("Error: Plugin gone (difrun-gone 0.1.0) is broken: ModuleNotFoundError")
    code, out, _ = call("doctor")
    assert code == 1
    assert "3 problems found." in out


CLASH = """
    from difrun.api import Component, hookimpl

    @hookimpl
    def difrun_samplers():
        return [Component("adams", "clash_parts:Heun", "Not the Heun you think of.")]
"""


MISSPELT = """
    from difrun.api import hookimpl

    @hookimpl
    def difrun_samplerz():
        return []
"""
