"""`difrun list`, `show`, `plugins`, `doctor`, `completion`, and what TAB offers."""

import json
import re

import pytest
from click.shell_completion import ShellComplete

from difrun.cli.source import find_source

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


def offered(*arguments, incomplete=""):
    """What TAB completes, through Click's own completion."""
    from difrun.cli.app import app

    complete = ShellComplete(app, {}, "difrun", "_DIFRUN_COMPLETE")
    return [item.value for item in complete.get_completions(list(arguments), incomplete)]


def test_list_shows_names_summaries_and_distributions(toy, call):
    _, out, _ = call("list")
    assert re.search(r"^  toy +The toy\. +difrun-toy$", out, re.MULTILINE)
    # A run that names nothing takes the first process that is installed, coin, and what works with it.
    assert re.search(r"^\* ancestral .* difrun$", out, re.MULTILINE)
    assert re.search(r"^  heun .* difrun$", out, re.MULTILINE)
    for kind in ("process", "processes"):
        _, out, _ = call("list", kind)
        assert out == (
            "Processes\n* coin  The coin.  difrun-toy\n  toy   The toy.   difrun-toy\n\n"
            "*: taken by a run that names nothing; 'difrun --process NAME --help' shows those of another.\n"
        )


def test_show_reads_the_docstring_without_importing(toy, call):
    toy.module(
        "toy_parts",
        'import never_installed\n\nclass Toy:\n    """dX = −θX dt + dW.\n\n    A source.\n    """\n',
    )
    code, out, _ = call("show", "toy")
    assert code == 0
    assert "dX = −θX dt + dW.\n\nA source." in out
    assert "toy_parts.py:3" in out
    assert re.search(r"--process\.theta +NUMBER +Rate\. +\[default: 1\.0; > 0, <= 10\]", out)
    assert "provides  gaussian, ode, sde" in out
    assert re.search(r"samplers +.*heun.*toy-step", out)
    assert "leap" not in out
    assert call("show", "difrun-toy:toy")[1] == out


def test_the_source_of_a_name_imported_from_elsewhere_is_found(toy):
    package = toy.folder / "toy_pack"
    package.mkdir()
    toy.modules.append("toy_pack")
    (package / "__init__.py").write_text("import never_installed\nfrom .deep import Thing as Renamed\n")
    (package / "deep.py").write_text('\n\nclass Thing:\n    """Deep."""\n')
    source = find_source("toy_pack:Renamed")
    assert (source.path, source.line, source.docstring) == (package / "deep.py", 3, "Deep.")
    assert find_source("toy_pack.deep:Nothing") is None
    assert find_source("not_there.at_all:Nothing") is None


def test_plugins_as_table_json_and_matrix(toy, call):
    toy.add("difrun-gone", "import nothing_like_it")
    _, out, _ = call("plugins")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "ok" in rows["difrun-toy"]
    assert "disabled" in rows["difrun-gone"]
    assert "processes coin, toy" in rows["difrun-toy"]
    listed = {plugin["dist"]: plugin for plugin in json.loads(call("plugins", "--json")[1])}
    toy_json = next(item for item in listed["difrun-toy"]["components"] if item["name"] == "toy")
    assert toy_json["provides"] == ["gaussian", "ode", "sde"]
    assert toy_json["options"][0] == {
        "name": "theta",
        "type": "NUMBER",
        "default": 1.0,
        "help": "Rate.",
        "range": "> 0, <= 10",
    }
    _, out, _ = call("plugins", "--matrix")
    head, *body = [line.split() for line in out.splitlines()]
    cells = {(process, row[0]): cell for row in body for process, cell in zip(head[1:], row[1:], strict=True)}
    assert (cells["toy", "heun"], cells["toy", "leap"]) == ("yes", "-")
    assert (cells["coin", "heun"], cells["coin", "leap"]) == ("-", "yes")
    code, out, _ = call("plugins", "difrun-toy")
    assert code == 0
    assert "process coin" in out
    assert "difrun.builtin" not in out


def test_a_matrix_too_wide_for_the_terminal_becomes_several(toy, call, monkeypatch):
    _, wide, _ = call("plugins", "--matrix")
    rows = [line.split() for line in wide.splitlines()]
    monkeypatch.setenv("COLUMNS", "21")
    _, out, _ = call("plugins", "--matrix")
    blocks = [[line.split() for line in block.splitlines()] for block in out.split("\n\n")]
    assert [block[0] for block in blocks] == [["sampler", "coin"], ["sampler", "toy"]]
    for i, block in enumerate(blocks, start=1):
        assert block == [[row[0], row[i]] for row in rows]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_is_listed_keeps_to_the_width_of_the_terminal(toy, call, monkeypatch, columns):
    """Words are moved to other lines; none is lost."""
    toy.module(
        "toy_parts",
        f'class Toy:\n    """One {"word " * 50}\n    more.\n\n        x = {"y + " * 40}z\n    """\n',
    )
    commands = (("list",), ("plugins",), ("plugins", "--matrix"), ("show", "toy"), ("show", "adaptive"))
    monkeypatch.setenv("COLUMNS", "10000")
    whole = {command: call(*command)[1] for command in commands}
    assert max(len(line) for line in whole["show", "toy"].splitlines()) > 150
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in commands:
        out = call(*command)[1]
        lines = [line for line in out.splitlines() if not line.startswith("source ")]  # a path is one word
        assert max(map(len, lines)) <= columns, command
        assert sorted(out.split()) == sorted(whole[command].split()), command


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


@pytest.fixture
def tab(toy, call):
    """Completion in a world of the core and the toy."""
    return offered


def test_tab_offers_commands_flags_and_names(tab):
    assert "run" in tab(incomplete="")
    assert {"--process", "--seed", "--help"} <= set(tab(incomplete="--"))
    assert {"--process.theta", "--process.exact"} <= set(
        tab("run", "--process", "toy", incomplete="--process.")
    )
    assert tab("--process", "toy", incomplete="--process.th") == ["--process.theta"]
    assert set(tab("run", "--process")) == {"toy", "coin"}
    assert "--metric.gap.low" in tab("--metric", "gap", incomplete="--metric.")


def test_tab_offers_only_names_that_fit(tab):
    names = tab("--process", "coin", "--sampler")
    assert "leap" in names
    assert not {"heun", "toy-step"} & set(names)
    assert tab("--process", "toy", "--sampler", incomplete="toy") == ["toy-step"]


def test_tab_offers_values_files_kinds_and_components(tab):
    assert tab("--process", "toy", "--process.shape") == ["flat", "steep"]
    assert tab("--process", "toy", "--process.t-min", incomplete="n") == ["none"]
    assert tab("list", incomplete="sam") == ["sampler"]
    assert "toy" in tab("show", incomplete="to")
    assert tab("plugins", incomplete="difrun-t") == ["difrun-toy"]
    assert tab("completion", incomplete="z") == ["zsh"]


def test_tab_survives_nonsense_on_the_line(tab):
    for line in (
        ["--process", "nope"],
        ["--process", "coin", "--sampler", "heun"],
        ["--nope", "3"],
        ["--process"],
    ):
        assert isinstance(tab(*line, incomplete="--"), list)
    assert "--sampler" in tab("--process", "nope", incomplete="--")


def test_completion_prints_the_line_and_the_script(toy, call, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert call("completion")[1] == '# zsh: add this line to ~/.zshrc\neval "$(difrun completion zsh)"\n'
    for shell in ("bash", "zsh", "fish"):
        assert f"_DIFRUN_COMPLETE={shell}_complete" in call("completion", shell)[1]
    assert call("completion", "tcsh")[0] == 2
