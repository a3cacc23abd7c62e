"""What a plugin changes of the process is put back and told, whatever it is and whenever it does so."""

import json
import logging
import os
import signal
import sys
import warnings

import numpy as np
import pytest
import torch

from difrun.plugin import Registry
from difrun.plugin.containment import contained, restored

PLUGIN = """
    from difrun.api import Component, hookimpl

    {code}

    @hookimpl
    def difrun_samplers():
        return [Component("odd", "odd_parts:Odd", "Odd.")]
"""


@pytest.fixture
def changes(site):
    """Imports a plugin with some code; returns what it is said to have changed."""

    def imported(code):
        site.add("difrun-odd", PLUGIN.format(code=code.replace("\n", "\n    ")))
        registry = Registry.discover(only="odd", strict=False)
        row = next(plugin for plugin in registry.plugins if plugin.dist == "difrun-odd")
        assert row.status == "ok", row.error
        assert "odd" in registry.names("sampler")
        return row.changes

    return imported


def mask():
    now = os.umask(0o077)
    os.umask(now)
    return now


@pytest.mark.parametrize(
    ("code", "told", "state"),
    [
        ("import os; os.chdir('/')", "the working folder to /", os.getcwd),
        (
            "import os; os.environ['DIFRUN_STEPS'] = 'x'",
            "the environment (DIFRUN_STEPS)",
            lambda: os.environ.get("DIFRUN_STEPS"),
        ),
        (
            "import os; os.environ['PATH'] = '/nowhere'",
            "the environment (PATH)",
            lambda: os.environ["PATH"],
        ),
        (
            "import sys; sys.setrecursionlimit(150)",
            "Python's recursion limit to 150",
            sys.getrecursionlimit,
        ),
        (
            "import sys; sys.set_int_max_str_digits(900)",
            "Python's limit of digits to 900",
            sys.get_int_max_str_digits,
        ),
        (
            "import warnings; warnings.simplefilter('error', BytesWarning)",
            "the filters of warnings, which became errors",
            lambda: list(warnings.filters),
        ),
        ("import os; os.umask(0o777)", "the permissions of new files", mask),
        (
            "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "the handlers of signals",
            lambda: signal.getsignal(signal.SIGTERM),
        ),
        (
            "import signal; signal.alarm(100)",
            "the alarm clock of the process",
            lambda: signal.getitimer(signal.ITIMER_REAL)[0],
        ),
        ("import builtins; builtins.open = None", "Python's own open", lambda: open),
        ("import sys; sys.path.clear()", "the path of modules", lambda: list(sys.path)),
        (
            "import sys; sys.modules['difrun.text'] = None",
            "modules of difrun itself (difrun.text)",
            lambda: sys.modules["difrun.text"],
        ),
        (
            "import sys, types; sys.modules['difrun.none'] = types.ModuleType('x')",
            "modules of difrun itself (difrun.none)",
            lambda: sys.modules.get("difrun.none"),
        ),
        ("import numpy; numpy.seterr(all='raise')", "NumPy's handling of overflow and NaN", np.geterr),
        (
            "import torch; torch.set_num_threads(torch.get_num_threads() + 1)",
            "torch's number of threads",
            torch.get_num_threads,
        ),
        (
            "import torch; torch.set_float32_matmul_precision('medium')",
            "torch's precision of matrix products to medium",
            torch.get_float32_matmul_precision,
        ),
        (
            "import torch; torch.autocast('cpu').__enter__()",
            "torch's autocast",
            lambda: torch.is_autocast_enabled("cpu"),
        ),
        (
            "import torch; torch.backends.cudnn.benchmark = True",
            "torch's settings of cuDNN",
            lambda: torch.backends.cudnn.benchmark,
        ),
        (
            "import torch; torch.device('meta').__enter__()",
            "what torch's functions do",
            lambda: torch.zeros(1).device.type,
        ),
    ],
)
def test_what_an_import_changes_is_put_back_and_told(changes, code, told, state):
    before = state()
    (said,) = changes(code)
    assert told in said
    assert state() == before


def test_a_mode_of_torch_that_is_left_on_does_not_break_the_plugins_after_it(changes):
    code = (
        "from torch.overrides import TorchFunctionMode\n"
        "class Mode(TorchFunctionMode):\n"
        "    def __torch_function__(self, *arguments): raise ValueError('mode')\n"
        "mode = Mode()\n"
        "mode.__enter__()"
    )
    (said,) = changes(code)
    assert "TorchFunctionMode" in said
    assert float(torch.ones(2).sum()) == 2.0


def test_the_root_logger_and_random_numbers_go_on_in_silence(changes):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - what users' own code may still draw from
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - what users' own code may still draw from
    code = (
        "import logging, random, numpy, torch\n"
        "logging.basicConfig(level=logging.DEBUG, force=True)\n"
        "random.seed(0); numpy.random.seed(0); torch.manual_seed(0)"
    )
    assert changes(code) == []
    assert (list(root.handlers), root.level) == (handlers, level)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


def test_what_a_plugin_may_do_is_left_as_it_is(changes):
    code = (
        "import os, sys, warnings\n"
        "os.environ['ODD_OWN'] = '1'; sys.path.append('/odd'); warnings.filterwarnings('ignore', 'odd')"
    )
    assert changes(code) == []
    assert os.environ.pop("ODD_OWN") == "1"
    assert sys.path.pop() == "/odd"
    assert any(entry[0] == "ignore" and "odd" in str(entry[1]) for entry in warnings.filters)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.close()",
        "import sys; sys.__stdout__.close()",
        "import os; os.close(1)",
        "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    ],
)
def test_closed_streams_are_opened_again(site, code):
    site.add("difrun-odd", PLUGIN.format(code=code))
    done = site.difrun("plugins", "--json", DIFRUN_PLUGINS="odd")
    assert {plugin["dist"] for plugin in json.loads(done.stdout)} >= {"difrun-odd"}
    assert (done.returncode, done.stderr) == (0, "")


def test_a_call_may_handle_signals_and_draw_random_numbers_but_not_move_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    said = []
    torch.manual_seed(0)
    first = torch.rand(1)
    torch.manual_seed(0)
    try:
        with restored(said.append), contained():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            assert torch.equal(torch.rand(1), first)
            os.chdir("/")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert os.getcwd() == str(tmp_path)
    assert said == []  # the inner block has put it back
    assert not torch.equal(torch.rand(1), first)


def test_a_value_that_cannot_be_read_is_left_alone(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with contained():
        os.chdir(tmp_path)
    assert os.getcwd() == str(tmp_path)
