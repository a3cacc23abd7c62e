"""Options classes as text, TOML, help and record."""

import math
import shlex
from pathlib import Path
from typing import Literal

import attrs
import pytest
from attrs.validators import ge, gt, in_, le, lt, optional

from difrun.api import Component, option
from difrun.builtin.options import FileOptions, RhoOptions
from difrun.errors import ConfigError
from difrun.options import Section, build, fields, record, variable
from difrun.options.attrs_fields import GivenValue, build_all
from difrun.text import quoted


@attrs.frozen
class Options:
    rate: float = option(1.0, "Rate.", gt(0), le(2))
    mu: float | tuple[float, ...] = option(0.0, "Centre.")
    form: Literal["x0", "noise"] = option("x0", "Form.", in_(("x0", "noise")))
    depth: int | None = option(None, "Depth.", optional(ge(1)))
    deep: bool = option(False, "Whether.")
    path: Path | None = option(None, "File.")
    corner: str = option("left", "Corner.", in_(("left", "right")))
    stop: float = option(math.inf, "Stop.")
    words: tuple[str, ...] = option((), "Words.")
    t_min: float = option(0.1, "Start.", ge(0), lt(1))

    def __attrs_post_init__(self):
        if self.t_min > self.rate:
            raise ValueError(f"t_min must not exceed rate; got {self.t_min} > {self.rate}")


PART = Section("process", "process.")


def from_flag(name, text):
    return build(Options, {name: GivenValue(text, PART.flag(name), "flag")}, "process 'o'", PART)


def from_file(name, value):
    return build(
        Options, {name: GivenValue(value, f"{PART.key(name)} in run.toml", "file")}, "process 'o'", PART
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "0.5", 0.5),
        ("rate", " 2 ", 2.0),
        ("mu", "-1", -1.0),
        ("mu", "0.5,-1", (0.5, -1.0)),
        ("mu", "3,", (3.0,)),
        ("form", "noise", "noise"),
        ("depth", "7", 7),
        ("depth", "none", None),
        ("deep", "yes", True),
        ("deep", "off", False),
        ("path", "/tmp/x.npy", Path("/tmp/x.npy")),
        ("path", "none", None),
        ("stop", "inf", math.inf),
        ("words", "a,b c", ("a", "b c")),
    ],
)
def test_text_becomes_the_value_of_its_type(name, text, value):
    got = getattr(from_flag(name, text), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rate", "fast", "Invalid value for --process.rate: expected a number, > 0, <= 2; got fast."),
        ("rate", "-1", "Invalid value for --process.rate: must be > 0, <= 2; got -1.0."),
        ("rate", "nan", "Invalid value for --process.rate: expected a finite number; got nan."),
        ("rate", "inf", "Invalid value for --process.rate: expected a finite number; got inf."),
        (
            "mu",
            "1,b",
            "Invalid value for --process.mu: expected a number or numbers joined by commas; got 1,b.",
        ),
        ("mu", "1,nan", "Invalid value for --process.mu: expected a finite number; got 1.0,nan."),
        ("form", "x1", "Invalid value for --process.form: expected one of x0, noise; got x1."),
        (
            "depth",
            "1.5",
            "Invalid value for --process.depth: expected a whole number or 'none', >= 1; got 1.5.",
        ),
        ("depth", "0", "Invalid value for --process.depth: must be >= 1; got 0."),
        ("corner", "up", "Invalid value for --process.corner: must be one of left, right; got up."),
        ("t_min", "1", "Invalid value for --process.t-min: must be >= 0, < 1; got 1.0."),
    ],
)
def test_wrong_text_names_the_flag_and_what_was_expected(name, text, message):
    with pytest.raises(ConfigError) as error:
        from_flag(name, text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rate", "0.5", "process.rate in run.toml: expected a number"),
        ("rate", True, "process.rate in run.toml: expected a number"),
        ("deep", 1, "process.deep in run.toml: expected yes or no; got 1"),
        ("depth", 2.0, "process.depth in run.toml: expected a whole number"),
        ("mu", [1, "2"], "process.mu in run.toml: expected a number or numbers"),
        ("rate", {"x": 1}, "process.rate in run.toml: expected a number"),
        ("form", 0, "process.form in run.toml: expected one of x0, noise"),
    ],
)
def test_file_values_are_not_parsed_and_errors_name_the_key(name, value, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        from_file(name, value)


def test_file_values_keep_their_type_and_ints_serve_as_floats():
    assert type(from_file("rate", 2).rate) is float
    assert from_file("mu", [1, 2]).mu == (1.0, 2.0)
    assert from_file("depth", "none").depth is None


def test_a_relative_path_is_made_absolute(in_folder):
    assert from_flag("path", "x.npy").path == Path.cwd() / "x.npy"


def test_unknown_options_get_a_suggestion_and_the_list():
    with pytest.raises(ConfigError) as error:
        build(Options, {"t-min": GivenValue(1, "process.t-min in run.toml", "file")}, "process 'o'", PART)
    assert (
        "Unknown option process.t-min in run.toml: process 'o' has no 't-min'. Did you mean 't_min'?"
        in str(error.value)
    )
    assert "rate, mu, form" in str(error.value)


def test_a_rule_across_options_is_a_user_error_that_names_them():
    given = {
        "rate": GivenValue("0.05", "--process.rate", "flag"),
        "t_min": GivenValue(0.5, "process.t_min in a.toml", "file"),
    }
    with pytest.raises(ConfigError) as error:
        build(Options, given, "process 'o'")
    assert str(error.value) == (
        "Invalid options of process 'o': t_min must not exceed rate; got 0.5 > 0.05. "
        "Given: --process.rate, process.t_min in a.toml."
    )


def test_the_help_tells_default_and_range():
    notes = {field.name: field.note for field in fields(Options)}
    assert notes["rate"] == "default: 1.0; > 0, <= 2"
    assert notes["depth"] == "default: none; >= 1"
    assert notes["corner"] == "default: left; one of left, right"
    assert notes["deep"] == "default: no"


def test_the_record_can_be_read_back():
    made = Options(rate=0.5, mu=(1.0, 2.0), path=Path("/data/x.npy"), words=("a",))
    plain = record(made)
    assert plain["path"] == "/data/x.npy"
    assert plain["depth"] == "none"
    assert plain["mu"] == [1.0, 2.0]
    assert build(Options, plain, "process 'o'") == made


def test_flags_variables_and_keys_of_a_section():
    assert PART.flag("t_min") == "--process.t-min"
    assert PART.negative("deep") == "--process.no-deep"
    assert PART.variable("theta") == "DIFRUN_PROCESS_THETA"
    assert Section("", "").variable("seed") == "DIFRUN_SEED"
    metric = Section("metric.sliced-w2", "metric.sliced-w2.")
    assert metric.variable("projections") == "DIFRUN_METRIC_SLICED_W2_PROJECTIONS"
    assert metric.key("projections") == "metrics.sliced-w2.projections"
    assert variable("metric") == "DIFRUN_METRIC"


def test_types_that_cannot_be_written_are_refused():
    @attrs.frozen
    class Wrong:
        table: dict = option({}, "A table.")

    @attrs.frozen
    class NoDefault:
        rate: float = attrs.field()

    with pytest.raises(TypeError, match="option 'table' of Wrong has a type that options cannot have"):
        fields(Wrong)
    with pytest.raises(TypeError, match="option 'rate' of NoDefault has no default"):
        fields(NoDefault)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (Path("runs/ou-rings-1"), "runs/ou-rings-1"),
        ("runs/a b", "'runs/a b'"),
        ("x; rm y", "'x; rm y'"),
        ("it's", "'it'\"'\"'s'"),
    ],
)
def test_paths_in_commands_are_quoted_for_the_shell(path, text):
    assert quoted(path) == text
    assert shlex.split(f"difrun resume {quoted(path)}") == ["difrun", "resume", str(path)]


def test_a_number_in_quotes_is_told_as_a_text():
    with pytest.raises(
        ConfigError, match=r"expected a number, >= 0.1, <= 1e\+06; got the text '2'\. Write it without quotes"
    ):
        build(RhoOptions, {"rho": "2"}, "grid 'rho'")


def test_capabilities_are_sets_of_words():
    """A text would be taken letter by letter."""
    with pytest.raises(ValueError, match=r"sets of words: write \{'gaussian'\}, not 'gaussian'"):
        Component("leap", "x:X", "Leaps.", requires="gaussian")


def test_numbers_that_no_machine_holds_are_refused_in_few_words():
    for value, layer in ((10**5000, "python"), ("9" * 5000, "flag"), (10**400, "file")):
        with pytest.raises(ConfigError) as refused:
            build(Options, {"rate": GivenValue(value, "x", layer)}, "process 'ou'")
        assert len(str(refused.value)) < 300
        assert str(refused.value).startswith("Invalid value for x: ")


def test_an_option_of_earlier_versions_says_what_to_write_instead():
    given = GivenValue(False, "dataset.standardise in run.toml", "file")
    with pytest.raises(ConfigError) as caught:
        build_all([FileOptions], {"standardise": given}, "dataset 'file'")
    assert str(caught.value) == (
        "Unknown option dataset.standardise in run.toml: dataset 'file' has no 'standardise' any more: write "
        'scale = "std" for standardise = true, and scale = "none" for false.'
    )


def test_a_name_of_thousands_of_letters_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        build_all([FileOptions], {"x" * 20_000: GivenValue(1, "a key", "file")}, "dataset 'file'")
    assert len(str(caught.value)) < 500
