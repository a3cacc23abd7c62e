"""How listeners are called, and the options of a logger."""

import signal
import sys
import threading
import warnings

import pytest

from difrun.config.plan import assemble
from difrun.config.selection import choose
from difrun.errors import ConfigError
from difrun.plugin import Registry, events, registry
from difrun.plugin.signatures import Lazy

LOG = """
    import sys
    import attrs
    from attrs.validators import gt
    from difrun.api import hookimpl, option

    heard = []

    @attrs.frozen
    class Settings:
        every: int = option(1, "Steps between two lines.", gt(0))
        name: str | None = option(None, "Name of the log.")

    @hookimpl
    def difrun_settings():
        return {settings}

    @hookimpl
    def difrun_run_started(work, settings):
        {before}
        heard.append((work, settings))

    @hookimpl
    def difrun_run_failed(folder):
        heard.append(folder)
"""


def log(settings="Settings", before="pass"):
    return LOG.format(settings=settings, before=before)


@pytest.fixture
def loaded(toy, monkeypatch):
    """The registry of this process with the loggers log1 and log2; the code of the first is given."""

    def load(first=None, second=None):
        toy.add("difrun-log1", first or log())
        toy.add("difrun-log2", second or log())
        found = Registry.discover(only="log1,log2,toy")
        monkeypatch.setattr(registry, "_cached", found)
        return found

    return load


def test_each_logger_gets_its_own_options(loaded):
    found = loaded()
    found.emit("difrun_run_started", work="run", settings={"log1": "mine", "other": "theirs"})
    assert sys.modules["difrun_log1"].heard == [("run", "mine")]
    assert sys.modules["difrun_log2"].heard == [("run", None)]


def test_who_does_not_ask_which_work_it_is_hears_of_runs_alone(loaded):
    found = loaded()
    for work in ("run", "sample", "resume"):
        found.emit("difrun_run_failed", work=work, folder=f"of {work}")
    assert sys.modules["difrun_log1"].heard == ["of run", "of resume"]


def test_ctrl_c_waits_until_all_have_heard(loaded):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    found = loaded(log(before="import signal; signal.raise_signal(signal.SIGINT)"))
    with pytest.raises(KeyboardInterrupt):
        found.emit("difrun_run_started", work="run")
    assert sys.modules["difrun_log1"].heard == []
    assert sys.modules["difrun_log2"].heard == [("run", None)]
    with pytest.raises(KeyboardInterrupt):  # the user's wish is no fault of the logger, which is called again
        found.emit("difrun_run_started", work="run")


@pytest.mark.parametrize(
    "hanging",
    [
        "import queue; q = queue.Queue(); q.put(1); q.join()",
        "import threading; threading.Event().wait()",
        "import time; time.sleep(600)",
        """
        import threading
        while True:
            try:
                threading.Event().wait()
            except Exception:
                pass""",
    ],
)
def test_a_logger_that_hangs_is_stopped_and_left_out(loaded, monkeypatch, hanging):
    """A flush that waits for a thread that has died, for example. The others hear the event all the same."""
    monkeypatch.setattr(events, "MOST_SECONDS", 0.1)
    reported, found = [], loaded(log(before=hanging))
    found.report = reported.append
    for _ in range(2):
        found.emit("difrun_run_started", work="run")
        found.emit("difrun_run_failed", work="run", folder="here")
    assert sys.modules["difrun_log1"].heard == []
    assert sys.modules["difrun_log2"].heard == [("run", None), "here"] * 2
    words = "difrun_run_started of difrun-log1 was stopped after 0.1 s; the plugin hears no more events"
    assert reported == [words]
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_timer_of_the_process_is_left_alone(loaded, monkeypatch):
    """And outside the main thread there is none."""
    monkeypatch.setattr(events, "MOST_SECONDS", 0.05)
    found, rung = loaded(log(before="import time; time.sleep(0.1)")), []
    previous = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        found.emit("difrun_run_started", work="run")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    thread = threading.Thread(target=lambda: found.emit("difrun_run_started", work="run"))
    thread.start()
    thread.join()
    assert rung == [signal.SIGALRM]
    assert sys.modules["difrun_log1"].heard == [("run", None)] * 2


def test_what_a_logger_changes_of_the_process_is_put_back(loaded, capsys):
    import torch

    change = "import torch; torch.set_default_dtype(torch.float64); print('words'); sys.stdout = None"
    found, streams = loaded(log(before=change)), (sys.stdout, sys.stderr)
    found.emit("difrun_run_started", work="run")
    assert torch.get_default_dtype() is torch.float32
    assert (sys.stdout, sys.stderr) == streams
    assert capsys.readouterr() == ("", "words\n")


def test_the_options_of_a_logger_are_read_like_those_of_a_component(loaded, monkeypatch):
    found = loaded()
    named = {"process": "toy"}
    plan = assemble(choose(found, named), {"log1": {"every": 5}})
    assert (plan.loggers["log1"].every, plan.loggers["log2"].every) == (5, 1)
    assert "log1" not in plan.to_dict()
    monkeypatch.setenv("DIFRUN_LOG1_EVERY", "7")
    monkeypatch.setenv("DIFRUN_LOG2_EVERY", "8")
    plan = assemble(choose(found, named), {"log1": {"every": 5}})
    assert (plan.loggers["log1"].every, plan.loggers["log2"].every) == (5, 8)
    monkeypatch.setenv("DIFRUN_LOG2_EVERY", "0")
    with pytest.raises(ConfigError, match="DIFRUN_LOG2_EVERY"):
        assemble(choose(found, named), {})
    monkeypatch.delenv("DIFRUN_LOG2_EVERY")
    with pytest.raises(ConfigError, match=r"'every' of logger 'log1'.*> 0"):
        assemble(choose(found, named), {"log1": {"every": 0}})
    with pytest.raises(ConfigError, match=r"evry.*Did you mean"):
        assemble(choose(found, named), {"log1": {"evry": 1}})


@pytest.mark.parametrize(
    ("dist", "settings", "reason"),
    [
        ("difrun-log", "Settings()", "returns an attrs class of options"),
        ("difrun-log", "int", "returns an attrs class of options"),
        ("difrun-train", "Settings", "would be those of 'train', a part of every run"),
        ("difrun-log", "attrs.make_class('No', ['default'])", "has a type that options cannot have"),
    ],
)
def test_options_that_cannot_be_written_break_the_plugin(site, dist, settings, reason):
    site.add(dist, log(settings))
    found = Registry.discover(only=dist)
    (row,) = [plugin for plugin in found.plugins if plugin.dist == dist]
    assert row.status == "broken"
    assert reason in row.error


def test_flags_variables_and_help_of_a_logger(toy):
    toy.add("difrun-log1", log(before="print(settings.every, settings.name)"))
    environ = {"DIFRUN_PLUGINS": "log1,toy"}
    shown = toy.difrun("run", "--help", **environ).stdout
    assert "Logger 'log1'" in shown
    assert "--log1.every" in shown
    wrong = toy.difrun("run", "--log1.every", "0", **environ)
    assert wrong.returncode == 2
    assert "--log1.every" in wrong.stderr
    wrong = toy.difrun("run", **environ, DIFRUN_LOG1_EVERY="0")
    assert wrong.returncode == 2
    assert "DIFRUN_LOG1_EVERY" in wrong.stderr
    assert "nothing reads" not in wrong.stderr


def test_what_a_logger_offers_is_listed(toy):
    toy.add("difrun-log1", log())
    listed = toy.difrun("plugins", "log1", DIFRUN_PLUGINS="log1").stdout
    assert "logger log1  (listens to events)" in listed
    assert "--log1.every INT" in listed
    assert "listens to events" in toy.difrun("plugins", DIFRUN_PLUGINS="log1").stdout


STEPS = """
    from difrun.api import hookimpl

    seen = []

    @hookimpl
    def difrun_train_step(step, loss):
        {first}
        seen.append((step, loss))
"""


def test_events_reach_every_listener_and_one_that_raises_is_reported_once(site):
    site.add("difrun-log1", STEPS.format(first="raise OSError('disk is full')"))
    site.add("difrun-log2", STEPS.format(first="pass"))
    registry = Registry.discover(only="log1,log2")
    messages = []
    registry.report = messages.append
    for step in (1, 2):
        registry.emit("difrun_train_step", step=step, steps=2, loss=0.5, rate=9.0)
    assert sys.modules["difrun_log2"].seen == [(1, 0.5), (2, 0.5)]
    assert messages == [
        "difrun_train_step of difrun-log1 failed and is not called again: OSError: disk is full"
    ]


def test_a_listener_that_raises_warns_by_default(site):
    site.add("difrun-log1", STEPS.format(first="raise OSError('disk is full')"))
    registry = Registry.discover(only="log1")
    with pytest.warns(RuntimeWarning, match="disk is full"):
        registry.emit("difrun_train_step", step=1, steps=2, loss=0.5, rate=9.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.emit("difrun_train_step", step=2, steps=2, loss=0.5, rate=9.0)
    with pytest.raises(NameError, match="Did you mean 'difrun_train_step'"):
        registry.emit("difrun_trainstep")


@pytest.mark.parametrize("lazy", [False, True])
def test_what_a_listener_writes_into_its_values_reaches_nobody_else(loaded, lazy):
    spoil = "config['seed'] = 7; config['train'].clear()"
    first = log(before=spoil).replace("(work, settings):", "(work, settings, config):")
    second = log(before="heard.append(config)").replace("(work, settings):", "(work, settings, config):")
    config = {"seed": 1, "train": {"steps": 5}}
    loaded(first, second).emit(
        "difrun_run_started", work="run", config=Lazy(lambda: config) if lazy else config
    )
    assert sys.modules["difrun_log2"].heard[0] == {"seed": 1, "train": {"steps": 5}}
    assert config == {"seed": 1, "train": {"steps": 5}}
