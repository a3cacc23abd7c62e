"""The end of the command: what plugins leave running or broken is one line, and the command ends."""

from pathlib import Path

import pytest

from difrun.cli import entry_point

PLUGIN = """
    import atexit, threading, time, warnings
    from difrun.api import hookimpl

    class Odd:
        def __del__(self):
            raise ValueError("gone")

    {code}
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "threading.Thread(target=lambda: 1 / 0).start()",
            "Warning: a thread ended with an error in <lambda> (",
        ),
        (
            "atexit.register(lambda: 1 / 0)",
            "Warning: an error was ignored, <lambda> of difrun_odd: ZeroDivision",
        ),
        ("Odd()", "Warning: an error was ignored, Odd.__del__ of difrun_odd: ValueError: gone"),
        ("warnings.warn('odd weather')", "Warning: odd weather"),
    ],
)
def test_what_fails_beside_the_work_is_one_line(site, code, said):
    site.add("difrun-odd", PLUGIN.format(code=code))
    done = site.difrun("list", "grid", DIFRUN_PLUGINS="odd")
    assert done.returncode == 0
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "pilot" in done.stdout


def test_a_thread_that_never_ends_is_not_waited_for(site):
    site.add("difrun-odd", PLUGIN.format(code="threading.Thread(target=time.sleep, args=[100]).start()"))
    run = "from difrun.cli import entry_point as e; e.THREADS = 0.2; e.main()"
    done = site.python(run, "list", "grid", DIFRUN_PLUGINS="odd")
    assert done.returncode == 0
    assert "Warning: a thread does not end, and is not waited for: Thread-1" in done.stderr
    assert "pilot" in done.stdout


def test_stdout_that_code_closed_and_a_folder_that_is_gone_are_said(monkeypatch, tmp_path, capsys):
    class Closed:
        closed = True

    def fail(error):
        def invoke(args):
            raise error

        return invoke

    monkeypatch.setattr(entry_point, "_invoke", fail(ValueError("I/O operation on closed file.")))
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", Closed())
        assert entry_point._guarded([]) == 1
    assert (
        "Error: what the command prints cannot be written: its stdout was closed." in capsys.readouterr().err
    )
    with pytest.raises(ValueError, match="I/O operation"):
        entry_point._guarded([])
    monkeypatch.setattr(entry_point, "_invoke", fail(FileNotFoundError(2, "No such file or directory")))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert entry_point._guarded([]) == 1
    assert (
        "Error: the working folder does not exist any more. Change to another one" in capsys.readouterr().err
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_results_that_a_full_disk_does_not_take_are_said(site):
    """The advice is about what is printed, not about a folder of the run."""
    run = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); from difrun.cli import main; main()"
    done = site.python(run, "list", "grid", DIFRUN_PLUGINS="builtin")
    assert done.returncode == 1
    assert done.stderr == "Error: what the command prints cannot be written: No space left on device.\n"
