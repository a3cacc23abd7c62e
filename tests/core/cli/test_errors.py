"""What is wrong is said in one message, with an exit code and without a traceback."""

import errno

import pytest

from difrun.errors import DifrunError, Interrupted, StoppedByUser
from difrun.plugin import known

TOY = ("--process", "toy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--process", "toi"), "--process: no process is called 'toi'. Did you mean 'toy'?"),
        ((*TOY, "--sampler", "huen"), "--sampler: no sampler is called 'huen'. Did you mean 'heun'?"),
        ((*TOY, "--metric", "gpa"), "--metric: no metric is called 'gpa'. Did you mean 'gap'?"),
        (("--process", "coin", "--sampler", "heun"), "which process 'coin' (difrun-toy) does not offer"),
        (
            (*TOY, "--process.teta", "1"),
            "process 'toy' has no option 'teta' (--process.teta). Did you mean '--process.theta'? Its options: ",
        ),
        (
            (*TOY, "--process.hig", "1"),
            "process 'toy' has no option 'hig' (--process.hig). --process.high is an option of process 'coin'. ",
        ),
        ((*TOY, "--processes.theta", "1"), "No such option '--processes.theta'"),
        ((*TOY, "--sead", "1"), "--seed"),
        ((*TOY, "--steps", "3", "--steps", "4"), "--steps is given twice; give it once."),
        ((*TOY, "--process", "coin"), "--process is given twice"),
        (
            (*TOY, "--process.exact", "--process.no-exact"),
            "--process.exact / --process.no-exact is given twice",
        ),
        ((*TOY, "--out", "a", "--out=b"), "--out is given twice"),
        ((*TOY, "--threads", "0"), "--threads: expected 1 or more, auto or none; got 0"),
        (
            (*TOY, "--process.high", "3"),
            "--process.high is an option of process 'coin'; this run uses process 'toy'.",
        ),
        (
            ("--process", "coin", "--model", "toy-net", "--model.predicts", "x0"),
            "is an option of networks under a gaussian",
        ),
        ((*TOY, "--process.theta", "-1"), "--process.theta: must be > 0, <= 10; got -1.0"),
        ((*TOY, "--process.theta", "fast"), "--process.theta: expected a number, > 0, <= 10; got fast"),
        ((*TOY, "--process.shape", "fla"), "--process.shape: expected one of flat, steep; got fla"),
        ((*TOY, "--steps", "0"), "--steps: must be >= 1, <= 100000; got 0"),
        ((*TOY, "--seed", "1.5"), "--seed: expected a whole number; got 1.5"),
        ((*TOY, "--device", "gpu"), "--device: expected auto, cpu, cuda, cuda:N or mps; got gpu"),
        (
            (*TOY, "--metric", "gap", "--metric.gap.low", "9"),
            "low must be less than high; got 9 and 5. Given: --metric.gap.low",
        ),
        ((*TOY, "--config", "gone.toml"), "The file gone.toml does not exist"),
        ((*TOY, "--config", "."), "is a folder; expected a TOML file"),
        (("rnu",), "No such command 'rnu'. Did you mean 'run'?"),
        (("toy",), "No such command 'toy'. toy is the name of a process: difrun --process toy"),
        (("toy-stp",), "No such command 'toy-stp'. Did you mean 'difrun --sampler toy-step'?"),
        (("x.csv",), "No such command 'x.csv'. To read the examples from this file: difrun --dataset x.csv"),
        (("9" * 5000,), "No such command '9999"),
        (("help", "rnu"), "No such command 'rnu'. Did you mean 'run'?"),
        (("run", "toy"), "unexpected extra argument (toy). toy is the name of a process: --process toy"),
        ((*TOY, "pul"), "unexpected extra argument (pul). Did you mean '--guidance pull'?"),
        (("run", "moons.npy"), "To read the examples from this file: --dataset moons.npy"),
        (("run", "9" * 5000), "unexpected extra argument (9999"),
        (
            ("sample", "toy-step"),
            "toy-step/run.toml does not exist. toy-step is the name of a sampler: --sampler",
        ),
        (("compare", "toy-step"), "toy-step is the name of a sampler: --sampler toy-step"),
        (("list", "samler"), "Did you mean 'sampler'"),
        (("show", "hen"), "Did you mean 'heun'"),
        (("plugins", "difrun-toi"), "Did you mean 'difrun-toy'"),
        (("sample", "gone"), "There is no run in gone"),
        (("report", "gone"), "There is no run in gone"),
        (("sample",), "Missing argument 'RUN'"),
    ],
)
def test_usage_errors_name_what_was_wrong_and_what_to_write(toy, call, work, in_folder, arguments, message):
    code, out, err = call(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert work.calls == []
    assert out == ""


def test_a_plugin_that_is_not_installed_is_named_by_what_it_offers(toy, call, monkeypatch):
    nowhere = known.KnownPlugin(
        "difrun-nowhere", "Nowhere.", "https://nowhere.example", {"process": ("nowhere",)}
    )
    monkeypatch.setattr(known, "known_plugins", lambda: (nowhere,))
    line = "\nProcess 'nowhere' is in difrun-nowhere: pip install difrun-nowhere\n"
    code, _, err = call("--process", "nowhere")
    assert code == 2
    assert f"Installed: coin, toy.{line}" in err
    assert line in call("show", "nowhere")[2]
    assert (
        "\nWhat 'difrun-nowhere' offers is in difrun-nowhere: pip install"
        in call("plugins", "difrun-nowhere")[2]
    )
    assert line not in call("--sampler", "nowhere")[2]  # it has no sampler of this name
    monkeypatch.setenv("DIFRUN_PROCESS", "nowhere")
    assert line in call("run")[2]
    monkeypatch.setenv("DIFRUN_PLUGINS", "nowhere")
    monkeypatch.setattr("difrun.plugin.registry._cached", None)
    assert "To install it: pip install difrun-nowhere\n" in call("list")[2]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DifrunError("The loss is not finite."), 1, "Error: The loss is not finite.\n"),
        (Interrupted("runs/a b"), 130, "\nInterrupted.\nContinue with: difrun resume 'runs/a b'\n"),
        (
            Interrupted("r", "Stopped at training step 120 of 4000; the state is saved."),
            130,
            "\nStopped at training step 120 of 4000; the state is saved.\nContinue with: difrun resume r\n",
        ),
        (StoppedByUser(), 130, "Stopped at once."),
        (KeyboardInterrupt(), 1, "raised KeyboardInterrupt, although nobody asked to stop"),
        (
            OSError(errno.ENOSPC, "No space left", "r/x.npz"),
            1,
            "Error: r/x.npz: No space left. Free some space",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/r"),
            1,
            "Error: /r: Permission denied. Choose another folder, or change its permissions.",
        ),
        (OSError(errno.EIO, "Input/output error", "/r"), 1, "Error: /r: Input/output error.\n"),
        (MemoryError(), 1, "Error: there is not enough memory for this."),
        (
            RuntimeError("[enforce fail] CUBLAS_STATUS_ALLOC_FAILED"),
            1,
            "there is not enough memory for this.",
        ),
    ],
)
def test_errors_of_the_work_have_one_message_and_an_exit_code(toy, call, work, error, code, message):
    work.raises = error
    got, _, err = call(*TOY)
    assert got == code
    assert message in err
    assert "Traceback" not in err


def test_torch_s_own_ways_to_run_out_of_memory_are_known(toy, call, work):
    """The class that CUDA raises, and the RuntimeError of the CPU's allocator, from the allocator itself."""
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert type(caught.value) is RuntimeError
    for error in (caught.value, torch.OutOfMemoryError("CUDA says no\nand more")):
        work.raises = error
        code, _, err = call(*TOY)
        assert code == 1
        for flag in ("--chunk", "--n", "--train.batch"):
            assert flag in err
        assert err.splitlines()[-1] == f"The system said: {str(error).splitlines()[0]}"


def test_a_fault_of_the_program_is_not_called_lack_of_memory(toy, work):
    from difrun.cli import main

    work.raises = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        main(list(TOY))


def test_debug_shows_the_traceback(toy, work, monkeypatch):
    from difrun.cli import main

    monkeypatch.setenv("DIFRUN_DEBUG", "1")
    work.raises = DifrunError("The loss is not finite.")
    with pytest.raises(DifrunError):
        main(list(TOY))


def test_a_logger_that_fails_is_noted_on_the_commands_own_channel(toy, call, work):
    from difrun.plugin import get_registry

    call(*TOY)
    assert get_registry().report.__self__.__class__.__name__ == "Listener"
