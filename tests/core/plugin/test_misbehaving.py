"""Plugins that do what no plugin should: each is named, and nothing else is touched."""

import json
import signal
import sys

import attrs
import pytest

from difrun.api import Component, option
from difrun.errors import ConfigError, DifrunError
from difrun.options.attrs_fields import build
from difrun.plugin import Registry
from difrun.plugin.signatures import call

HOOK = """
    from difrun.api import Component, hookimpl

    {before}

    @hookimpl
    def difrun_samplers():
        {inside}
        return [Component("odd", "odd_parts:Odd", "Odd.")]
"""
GOOD = HOOK.format(before="", inside="pass").replace('"odd"', '"good"')


@pytest.fixture
def add(site):
    """Adds the plugin difrun-odd with code at import and in its hook, and a sound one; returns the registry."""

    def added(before="", inside="pass", **more):
        site.add("difrun-odd", HOOK.format(before=before, inside=inside), **more)
        site.add("difrun-good", GOOD)
        return Registry.discover(only="odd,good", strict=False)

    return added


def row(registry, dist="difrun-odd"):
    return next(plugin for plugin in registry.plugins if plugin.dist == dist)


@pytest.mark.parametrize("place", ["before", "inside"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit()", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('base')", "BaseException: base"),
        (
            "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})",
            "Odd: (its text cannot be shown)",
        ),
        (
            "raise type('Odd', (BaseException,), {'__str__': lambda self: None})",
            "Odd: (its text cannot be shown)",
        ),
    ],
)
def test_whatever_it_raises_it_is_a_broken_row(add, place, code, reason):
    registry = add(**{place: code})
    assert (row(registry).status, row(registry).error) == ("broken", reason)
    assert row(registry).trace
    assert "good" in registry.names("sampler")


def test_ctrl_c_of_the_user_is_no_fault_of_a_plugin(add):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        add("import signal; signal.raise_signal(signal.SIGINT)")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_listener_that_raises_anything_is_reported_and_not_called_again(site):
    site.add(
        "difrun-odd",
        """
        from difrun.api import hookimpl

        @hookimpl
        def difrun_sample_step(step):
            raise (SystemExit, KeyboardInterrupt, GeneratorExit)[0]
    """,
    )
    registry = Registry.discover(only="odd")
    told = []
    registry.report = told.append
    registry.emit("difrun_sample_step", step=1, steps=2)
    registry.emit("difrun_sample_step", step=2, steps=2)
    assert told == ["difrun_sample_step of difrun-odd failed and is not called again: SystemExit"]


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout = None",
        "import sys, io; sys.stdout = io.StringIO(); sys.stderr = None",
        "import sys; sys.stdin = sys.stdout",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    ],
)
def test_the_streams_and_ctrl_c_stay_what_they_were(add, code):
    before = sys.stdout, sys.stderr, sys.stdin, signal.getsignal(signal.SIGINT)
    registry = add(code)
    assert (sys.stdout, sys.stderr, sys.stdin, signal.getsignal(signal.SIGINT)) == before
    assert row(registry).status == "ok"


def test_what_it_prints_does_not_mix_with_results(site, add):
    add("print('hello')", "print('hello again')")
    done = site.difrun("plugins", "--json", DIFRUN_PLUGINS="odd")
    assert {plugin["dist"] for plugin in json.loads(done.stdout)} >= {"difrun-odd"}
    assert "hello" in done.stderr
    environ = {"_DIFRUN_COMPLETE": "bash_complete", "COMP_WORDS": "difrun ru", "COMP_CWORD": "1"}
    done = site.difrun(DIFRUN_PLUGINS="odd", **environ)
    assert done.stdout.split() == ["plain,run"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("torch.set_default_dtype(torch.float64)", "torch's default dtype to torch.float64"),
        ("torch.set_default_device('meta')", "torch's default device to meta"),
        ("torch.set_grad_enabled(False)", "torch's switch of gradients to False"),
    ],
)
def test_what_it_changes_of_torch_is_restored_and_told(site, add, code, what):
    import torch

    registry = add(f"import torch; {code}")
    assert row(registry).changes == [what]
    assert row(registry).status == "ok"
    assert torch.zeros(1).dtype == torch.float32
    assert torch.zeros(1).device.type == "cpu"
    assert torch.is_grad_enabled()
    done = site.difrun("list", DIFRUN_PLUGINS="odd")  # here torch is first imported by the plugin
    assert f"Plugin difrun-odd changed {what} when it was imported; that is restored." in done.stderr


def test_what_the_module_of_a_component_changes_of_torch_is_restored_too(site, add):
    import torch

    entry = add().get("sampler", "odd")
    site.module("odd_parts", "import torch; torch.set_default_dtype(torch.float64)\nclass Odd: pass")
    with pytest.warns(RuntimeWarning, match="difrun-odd changed torch's default dtype to torch.float64"):
        entry.load()
    assert torch.zeros(1).dtype == torch.float32


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("METADATA", "Metadata-Version: 2.1\nVersion: 1\n", "have no name or no version"),
        ("METADATA", "", "have no name or no version"),
        ("METADATA", "Metadata-Version: 2.1\nName: difrun-odd\n", "have no name or no version"),
        ("entry_points.txt", "[difrun]\nodd\n", "entry_points.txt cannot be read"),
        ("entry_points.txt", "[difrun]\n", "has no entry in the group difrun"),
    ],
)
def test_a_distribution_with_damaged_metadata_is_a_broken_row(site, add, file, text, reason):
    add()
    (site.folder / "difrun_odd-0.1.0.dist-info" / file).write_text(text)
    registry = Registry.discover(strict=False)
    broken = [plugin for plugin in registry.broken if "odd" in (plugin.name + plugin.dist)]
    assert len(broken) == 1
    assert reason in broken[0].error
    assert "good" in registry.names("sampler")


def test_entry_points_that_are_no_text_are_left_alone(site, add):
    add()
    (site.folder / "difrun_odd-0.1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe[difrun]")
    assert "good" in Registry.discover(strict=False).names("sampler")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"summary": 3}, "component summary must be text, not 3"),
        ({"provides": {1, 2}}, "sets of words"),
        ({"provides": {"two words"}}, "sets of words such as 'x0-distribution', and 'two words' is none"),
        ({"requires": {""}}, "sets of words such as 'x0-distribution', and '' is none"),
        ({"provides": (str(k) for k in range(10**6))}, "sets of at most 50 words"),
        ({"summary": "one\ntwo"}, "one printable line of at most 200 characters"),
        ({"summary": "s" * 10**6}, "one printable line of at most 200 characters"),
        ({"name": "a" * 1000}, "is not of the form 'my-sampler'"),
        ({"requires": "gaussian"}, "sets of words"),
        ({"prefers": {"sampler": 3}}, "prefers maps a kind of component to a name"),
        ({"prefers": {"samplr": "heun"}}, "prefers maps a kind of component to a name"),
        ({"suits": {"steps": 3}}, "suits maps a setting"),
        ({"suits": {"sample.steps": [3]}}, "suits maps a setting"),
        ({"suits": {3: 3}}, "suits maps a setting"),
    ],
)
def test_declarations_of_the_wrong_type_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        Component(**{"name": "odd", "target": "x:X", "summary": "Odd.", **arguments})


def test_texts_of_a_class_of_the_plugins_own_become_texts():
    class Odd(str):
        __hash__ = None

        def __eq__(self, other):
            raise KeyboardInterrupt

        def __len__(self):
            return -3

    odd = Component(Odd("odd"), Odd("x:X"), Odd("Odd."))
    assert [type(text) for text in (odd.name, odd.target, odd.summary)] == [str, str, str]
    assert (odd.name, odd.target, odd.summary) == ("odd", "x:X", "Odd.")


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        (
            "return [type('Long', (), {'__repr__': lambda self: 'x' * 10**7})()]",
            "difrun_samplers returned xxx",
        ),
        ("raise ValueError('x' * 10**7)", "ValueError: xxx"),
    ],
)
def test_what_goes_on_for_pages_is_cut(add, inside, reason):
    found = row(add(inside=inside))
    assert reason in found.error
    assert len(found.error) < 1200


def test_an_async_function_is_named(recwarn):
    async def walk(k=1): ...

    with pytest.raises(DifrunError, match="`walk` is an async function, and a sampler is none"):
        call("sampler", walk, {}, {})
    assert not recwarn.list


@pytest.mark.parametrize("place", ["validator", "rule"])
def test_options_whose_check_raises_systemexit_are_refused_in_words(place):
    def leave(*_):
        raise SystemExit(3)

    @attrs.frozen
    class Options:
        k: int = option(3, "Any.", *((leave,) if place == "validator" else ()))

        def __attrs_post_init__(self):
            if place == "rule":
                leave()

    with pytest.raises(ConfigError, match="SystemExit: 3"):
        build(Options, {"k": 4}, "sampler 'odd'")


def test_a_hook_that_never_ends_is_cut_off(add):
    registry = add(
        inside="import itertools; return (Component(f'a{i}', 'x:X', '') for i in itertools.count())"
    )
    assert row(registry).status == "ok"
    assert len(registry.entries()) < 2000


def test_doctor_names_the_plugin_that_ends_the_process(site, add, monkeypatch, call):
    site.add("difrun-gone", "import os; os._exit(0)")
    site.add("difrun-crash", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    add()
    monkeypatch.setenv("DIFRUN_PLUGINS", "odd,good,gone,crash")
    code, out, _ = call("doctor")
    assert code == 1
    assert (
        "Plugin difrun-gone 0.1.0 (difrun_gone) is broken: it ends the process that imports it (exit code 0)"
        in out
    )
    assert "(difrun_crash) is broken: it ends the process that imports it (killed by SIGKILL)" in out
    assert "difrun-good 0.1.0: ok" in out
