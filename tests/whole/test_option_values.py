"""Whatever is written for an option is taken, or refused with the name of its flag, variable or key."""

import datetime
import functools
import tomllib

import click
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from difrun.cli.commands.run import run
from difrun.config.plan import Plan, option_groups
from difrun.config.selection import MANY, Choice, choose
from difrun.config.settings import from_dict, from_environ, option_from_environ, read_file
from difrun.errors import ConfigError
from difrun.options.attrs_fields import GivenValue, build_all, fields, record
from difrun.plugin.registry import Registry

ODD_TEXTS = (
    *(
        "",
        " ",
        ",",
        "none",
        "nan",
        "-inf",
        "1e308",
        "-1e308",
        "5e-324",
        "1e999",
        "9" * 5000,
        "-" + "9" * 5000,
    ),
    *(
        "1" + "0" * 30,
        "²",
        "①",
        "٣",
        "\ud800",
        "a\0b",
        "~nobody-of-that-name/x",
        "1,2,,3",
        "," * 5000,
        "é" * 999,
    ),
    *(
        "cuda:99999999999999999999",
        "cuda:",
        "cuda:01",
        "x" * 20_000,
        "0x10",
        "true",
        "--seed",
        "\n",
        "../..",
    ),
)
texts = st.sampled_from(ODD_TEXTS) | st.text() | st.floats().map(repr) | st.integers().map(str)
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([10**30, -(10**30), 2**63, 2**63 - 1, 10**400, 1e308, 5e-324])
)
scalars = (
    numbers | texts | st.booleans() | st.sampled_from([datetime.date(2024, 1, 1), datetime.time(1), None])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@functools.cache
def registry():
    return Registry.discover()


def check_message(error, name=""):
    """It names what was written, and does not repeat thousands of digits."""
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    assert text
    assert name in text
    assert len(text) < 5000


@functools.cache
def options():
    """The options of all installed components and of a run, with their groups.

    A function, as hypothesis prints the fixtures of a test that fails, and these are long.
    """
    found = {}
    for entry in registry().entries():
        choice = Choice({"process": (), entry.kind: (entry,) if entry.kind in MANY else entry})
        for group in option_groups(choice):
            found[group.owner] = group
    every = [(group, field) for group in found.values() for cls in group.classes for field in fields(cls)]
    # Many components share a declaration: one of each that is alike is read by the same code as all.
    alike = {}
    for group, field in every:
        key = (field.name, repr(field.type), repr(field.attribute.validator), repr(field.default))
        alike.setdefault((key, group.entry.kind if group.entry else None), (group, field))
    return list(alike.values())


def take(group, field, given):
    """Build the options with one value, None if it is refused in words."""
    try:
        instances = build_all(group.classes, {field.name: given}, group.owner, group.section)
    except ConfigError as error:
        check_message(error, given.source)
        return None
    return instances


def in_a_file(group, field, value):
    """The tables of a file that set one option."""
    if group.entry is None:
        return {group.section.name: {field.name: value}} if group.section.name else {field.name: value}
    if group.entry.kind == "guidance":
        return {"guidance": [{"name": group.entry.label, field.name: value}]}
    if group.entry.kind == "metric":
        return {"metrics": {group.entry.label: {field.name: value}}}
    return {group.entry.kind: {"name": group.entry.label, field.name: value}}


def returns_from_a_file(instances):
    """Whether TOML holds what was taken, and gives it back."""
    for options in instances:
        if options == type(options)():
            continue
        written = record(options)
        read = tomllib.loads(tomli_w.dumps(written))
        again = build_all([type(options)], {k: GivenValue(v, k, "file") for k, v in read.items()}, "x")[0]
        assert again == options
    return True


@given(texts)
def test_a_flag_and_a_variable_are_taken_or_refused_by_name(text):
    for group, field in options():
        flag = take(group, field, GivenValue(text, group.section.flag(field.name), "flag"))
        assert flag is None or returns_from_a_file(flag)
        variable = option_from_environ(group.section, field, {group.section.variable(field.name): text})
        assert variable is None or (take(group, field, variable) is None) == (flag is None)


@given(values)
def test_a_key_of_a_file_is_taken_or_refused_by_name(value):
    for group, field in options():
        try:
            settings = from_dict(in_a_file(group, field, value), registry(), "a.toml")
        except ConfigError as error:
            check_message(error, "a.toml")
            continue
        for given_value in settings.options.get(group.section.name, {}).values():
            instances = take(group, field, given_value)
            assert instances is None or returns_from_a_file(instances)


@given(values)
def test_a_value_from_python_is_taken_or_refused_by_name(value):
    for group, field in options():
        take(group, field, GivenValue(value, f"the option {field.name}"))


KEYS = (
    "seed",
    "device",
    "threads",
    "process",
    "dataset",
    "model",
    "guidance",
    "metrics",
    "train",
    "versions",
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), values, max_size=4))
@example({"versions": {"": "9" * 5000}})
@example({"versions": {"9" * 5000: 10**4000}})
@example({"versions": {"difrun": "9" * 5000}})
def test_a_whole_file_becomes_a_plan_or_is_refused(data):
    try:
        Plan.from_dict(data, registry(), "a.toml")
    except ConfigError as error:
        check_message(error)


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"seed = " + b"9" * 5000)
@example(b"seed = " + b"[" * 100_000)
@example(b"seed = " + b"{a=" * 5_000)
@example(b"a." * 50_000 + b"b = 1")
@example("seed = 1".encode("utf-16"))
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("config") / "a.toml"
    path.write_bytes(content)
    try:
        read_file(path)
    except ConfigError as error:
        check_message(error, "a.toml")


@given(st.data(), texts)
def test_a_command_line_is_parsed_or_refused(monkeypatch, data, text):
    monkeypatch.setattr("os.environ", {})
    group, field = data.draw(st.sampled_from(options()))
    named = [f"--{group.entry.kind}", group.entry.label] if group.entry else []
    flag = group.section.flag(field.name)
    words = [*named, flag] if field.is_flag else [*named, f"{flag}={text}"]
    try:
        with run.make_context("run", words) as context:
            assert context.params["request"].plan
    except (click.UsageError, ConfigError) as error:
        check_message(error)


@given(st.dictionaries(st.sampled_from(["PROCESS", "DATASET", "METRIC", "GUIDANCE"]), texts))
def test_names_in_the_environment_are_found_or_refused(environ):
    try:
        choose(registry(), from_environ({f"DIFRUN_{name}": text for name, text in environ.items()}).named)
    except ConfigError as error:
        check_message(error)
