"""The blocks of the pages for plugin authors that are no files of a package: each is run, or compared with the code."""

import ast
import inspect
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib

import pytest

from difrun import loss, model, process, sampler
from difrun.plugin import known, registry
from difrun.plugin.registry import Registry
from difrun.plugin.signatures import ON_OFFER
from difrun.testing import cases

from . import support
from .documents import PLUGIN_PAGES, read

BLOCK = re.compile(r"^(`[\w/.]+`[^`\n]*\n)?```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONTRACTS = {
    "Loss": loss.Loss,
    "ScoreModel": model.ScoreModel,
    "GaussianProcess": process.GaussianProcess,
    "Sampler": sampler.Sampler,
}


def blocks(page, language):
    """The blocks of a language that are no files of a package."""
    return [text for name, each, text in BLOCK.findall(read(page)) if each == language and not name]


def block(page, word, language="python"):
    """The one block of a page with a word."""
    (found,) = [text for text in blocks(page, language) if word in text]
    return found


def is_run(text):
    """Whether a block is run by one of the tests below, and not read as a signature."""
    return any(
        word in text for word in ("check(Hasty)", "difrun_formats", "test_conformance =", "difrun_settings")
    )


SIGNATURES = [(page, text) for page in PLUGIN_PAGES for text in blocks(page, "python") if not is_run(text)]


@pytest.fixture(autouse=True)
def forgotten():
    """The packages of these tests are not imported any more when they are over."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("difrun_tour", "difrun_csv_log")):
            del sys.modules[name]


def test_every_block_is_seen():
    assert len(SIGNATURES) == 8
    assert sum(is_run(text) for page in PLUGIN_PAGES for text in blocks(page, "python")) == 4
    assert {each for page in PLUGIN_PAGES for _, each, _ in BLOCK.findall(read(page))} == {
        *("python", "sh", "toml", "text")
    }


@pytest.mark.parametrize(("page", "text"), SIGNATURES, ids=lambda each: each.split("/")[-1][:20])
def test_what_a_page_says_of_a_contract_is_the_contract(page, text):
    """A function's values are on offer; the methods of a class have these parameters, and its attributes are there."""
    plain = re.sub(r" -> .*|  +#.*", "", text).strip()
    if plain.startswith("def "):
        (definition,) = ast.parse(f"{plain}: ...").body
        asked = [each.arg for each in (*definition.args.args, *definition.args.kwonlyargs)]
        assert set(asked) <= {argument.name for argument in ON_OFFER[definition.name]}
        return
    head, *lines = plain.splitlines()
    cls = CONTRACTS[re.match(r"class (\w+)", head)[1]]
    for line in map(str.strip, lines):
        if line.startswith("def "):
            (definition,) = ast.parse(f"{line}: ...").body
            found = inspect.signature(getattr(cls, definition.name)).parameters
            assert [each.arg for each in definition.args.args] == list(found), line
            continue
        for part in line.split(";"):
            name, _, value = part.strip().partition(" = ")
            name, _, _ = name.partition(":")
            inherited = {key for base in cls.__mro__ for key in getattr(base, "__annotations__", {})}
            assert hasattr(cls, name) or name in inherited, part
            if value:
                assert getattr(cls, name) == ast.literal_eval(value), part


def test_a_class_is_checked_as_the_page_says(monkeypatch):
    """To save time, by the rule of which the page speaks alone."""
    rule = "converges_at_its_declared_order"
    monkeypatch.setattr(cases, "CHECKS", [check for check in cases.CHECKS if check.name == rule])
    exec(block("docs/plugins.md", "check(Hasty)"), {"__name__": "notebook"})


def test_a_format_is_declared_as_the_page_says():
    scope = {}
    exec(block("docs/plugins.md", "difrun_formats"), scope)
    (component,) = scope["difrun_formats"]()
    assert (component.name, component.target) == ("onnx", "my_package.exporting:export")


TWICE = """
from difrun.api import Component, hookimpl


@hookimpl
def difrun_samplers():
    return [Component("twice", "difrun_tour_twice:Twice", "Euler, who says order 2", requires={"gaussian", "ode"})]
"""

SAMPLER = '''
from difrun.sampler import Euler


class Twice(Euler):
    """Euler's method."""

    order = 2
'''


def test_an_expected_failure_is_declared_as_the_page_says(tmp_path, monkeypatch):
    """It is an expected failure of pytest, strictly; the other rules are tests as they were."""
    (tmp_path / "difrun_tour_twice.py").write_text(SAMPLER, encoding="utf-8")
    support.plugin(tmp_path, "difrun-tour", TWICE)
    monkeypatch.syspath_prepend(tmp_path)
    scope = {}
    exec("from difrun.testing import conformance\n" + block("docs/plugins.md", "test_conformance ="), scope)
    (marked,) = scope["test_conformance"].pytestmark
    expected = {each.id: each.marks[0] for each in marked.args[1] if each.marks}
    (mark,) = expected.values()
    assert list(expected) == ["sampler:twice-converges_at_its_declared_order"]
    assert (mark.name, mark.kwargs["strict"]) == ("xfail", True)
    assert len(marked.args[1]) > 20


def test_the_options_of_a_logger_are_declared_as_the_page_says(tmp_path, monkeypatch):
    """The flag, the variable and the range are there."""
    support.plugin(tmp_path, "difrun-csv-log", block("docs/plugins/logger.md", "difrun_settings"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_cached", None)
    assert "--csv-log.every" in support.difrun("run", "--process", "ou", "--help")
    assert "Invalid value for --csv-log.every" in support.difrun("run", "--csv-log.every", 0, code=2)
    (settings,) = [cls for name, cls in Registry.discover().settings.items() if name == "csv-log"]
    monkeypatch.setenv("DIFRUN_CSV_LOG_EVERY", "0")
    assert settings().every == 1


def test_the_commands_of_the_pages_are_understood():
    """Each with --help: a command or a flag that does not exist is an error."""
    lines = [
        line.split("#")[0]
        for page in PLUGIN_PAGES
        for text in blocks(page, "sh")
        for line in text.splitlines()
    ]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("difrun ")]
    assert len(commands) >= 6
    for words in commands:
        own = words[:2] == ["--sampler", "leap"]  # the component that the command before has made
        support.difrun(*(["run"] if own else words), "--help")


def test_a_plugin_is_found_without_any_install_as_the_page_says(files_of, tmp_path):
    """The lines of the shell, beside the package of the page."""
    lines = block("docs/plugins.md", "dist-info", "sh")
    for name, text in files_of("docs/plugins.md").items():
        if name.startswith("difrun_tour/"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    before = {"PYTHONPATH=.": 'PYTHONPATH=".:$PYTHONPATH"'}
    for old, new in before.items():
        lines = lines.replace(old, new)
    function = (
        f'difrun() {{ {shlex.quote(sys.executable)} -c "from difrun.cli import main; main()" "$@"; }}\n'
    )
    done = subprocess.run(
        ["bash", "-e", "-c", function + lines],
        cwd=tmp_path,
        env=support.environ(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^difrun-tour +0\.0 +ok ", done.stdout, re.MULTILINE)


def test_a_table_of_the_directory_is_one_as_the_page_says(monkeypatch):
    class Folder:
        def joinpath(self, name):
            return self

        def read_text(self, encoding):
            return block("docs/plugins.md", "offers.sampler", "toml")

    monkeypatch.setattr(known.resources, "files", lambda package: Folder())
    (entry,) = known.known_plugins.__wrapped__()
    assert (entry.dist, entry.offers) == ("difrun-leap", {"sampler": ("leap",)})
    assert entry.place.startswith("https://")
    assert tomllib.loads(Folder().read_text("utf-8"))


def test_the_failure_on_the_page_is_what_the_kit_says(tmp_path, monkeypatch):
    """But for the numbers, which are those of a sampler of one's own."""
    (tmp_path / "difrun_tour_twice.py").write_text(SAMPLER, encoding="utf-8")
    support.plugin(tmp_path, "difrun-tour", TWICE)
    monkeypatch.syspath_prepend(tmp_path)
    (case,) = [
        each
        for each in cases.collect("difrun-tour")[0]
        if each.check.name == "converges_at_its_declared_order"
    ]

    def words(text):
        return [
            re.sub(r"[\d.]+", "0", line.split("(40")[0])
            for line in textwrap.dedent(text).strip().splitlines()
        ]

    assert words(cases.attempt(case).text) == words(block("docs/plugins.md", "breaks the rule", "text"))
