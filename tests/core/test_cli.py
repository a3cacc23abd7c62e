"""`difrun run`, `sample`, `evaluate`, `resume`: what a command line asks of a run."""

import errno
import re
from pathlib import Path

import pytest

from difrun.config import Plan, resolve
from difrun.errors import DifrunError, Interrupted
from difrun.registry import Registry

TOY = ("--process", "toy")


def flags_in(text):
    """The flags that stand first on a line of a help page."""
    return set(re.findall(r"^  (--[\w.-]+)(?= |$)", text, re.MULTILINE))


def test_the_bare_command_prints_help(toy, call):
    code, out, err = call()
    assert code == 0
    assert out.startswith("Usage: difrun")
    assert err == ""
    for command in (
        "run",
        "sample",
        "evaluate",
        "resume",
        "report",
        "list",
        "show",
        "plugins",
        "doctor",
        "completion",
    ):
        assert re.search(rf"^  {command} ", out, re.MULTILINE), command


def test_options_without_a_command_are_those_of_run(toy, call, work):
    assert call(*TOY, "--seed", "4")[0] == 0
    first = work.plan
    assert call("run", *TOY, "--seed", "4")[0] == 0
    assert work.plan == first
    assert (first.process.name, first.seed, first.sampler.name) == ("toy", 4, "heun")


def test_help_shows_exactly_the_options_of_the_chosen_components(toy, call):
    code, out, _ = call(
        *TOY, "--sampler", "toy-step", "--model", "toy-net", "--grid", "even", "--metric", "gap", "--help"
    )
    assert code == 0
    toy_flags = {f"--process.{name}" for name in ("theta", "mu", "t-min", "shape", "exact", "table")}
    dotted = {
        flag for flag in flags_in(out) if "." in flag and not flag.startswith(("--train.", "--dataset."))
    }
    assert dotted == toy_flags | {
        *(
            "--sampler.scale",
            "--model.scale",
            "--model.predicts",
            "--grid.scale",
            "--metric.gap.low",
            "--metric.gap.high",
        )
    }
    plain = {flag for flag in flags_in(out) if "." not in flag}
    kinds = {
        f"--{kind}"
        for kind in ("process", "model", "loss", "sampler", "guidance", "grid", "dataset", "metric")
    }
    run = {f"--{name}" for name in ("seed", "device", "threads", "out", "config", "quiet", "force", "help")}
    assert plain == kinds | run | {"--n", "--steps", "--chunk", "--noise"}
    assert "Process 'toy' (difrun-toy):" in out
    assert "Rate.  [default: 1.0; > 0, <= 10]" in out
    assert "--process.exact / --process.no-exact" in out
    assert re.search(r"--sampler NAME .*\[chosen: toy-step\]", out)
    assert re.search(r"--dataset NAME .*\[default: rings\]", out)


def test_help_of_another_choice_shows_other_options(toy, call):
    _, out, _ = call("--process", "coin", "--model", "toy-net", "--sampler", "leap", "--help")
    assert {"--process.low", "--process.high", "--sampler.low"} <= flags_in(out)
    assert not {"--process.theta", "--model.predicts"} & flags_in(out)


def test_help_of_what_cannot_work_says_so_and_still_helps(toy, call):
    code, out, err = call("--process", "coin", "--sampler", "toy-step", "--help")
    assert code == 0
    assert "needs gaussian" in err
    assert {"--process.low", "--sampler.scale"} <= flags_in(out)


def test_precedence_is_flag_environment_file_default(toy, call, work, in_folder, monkeypatch):
    in_folder(
        "a.toml", 'seed = 1\n[process]\nname = "toy"\ntheta = 2.0\n[train]\nsteps = 10\n[sample]\nsteps = 11'
    )

    def theta(*arguments):
        assert call("run", *TOY, *arguments)[0] == 0
        plan = work.plan
        return plan.process.options.theta, plan.train.steps, plan.sample.steps, plan.seed

    assert theta() == (1.0, 4000, 30, 0)
    assert theta("--config", "a.toml") == (2.0, 10, 11, 1)
    for name, value in {"PROCESS_THETA": "3", "TRAIN_STEPS": "20", "SAMPLE_STEPS": "21", "SEED": "2"}.items():
        monkeypatch.setenv(f"DIFRUN_{name}", value)
    assert theta("--config", "a.toml") == (3.0, 20, 21, 2)
    flags = ("--process.theta", "4", "--train.steps", "30", "--steps", "31", "--seed", "3")
    assert theta("--config", "a.toml", *flags) == (4.0, 30, 31, 3)


def test_precedence_holds_for_names_too(toy, call, work, in_folder, monkeypatch):
    in_folder("a.toml", '[sampler]\nname = "euler"\n[[guidance]]\nname = "push"\nscale = 2.0')

    def chosen(*arguments):
        assert call("run", *TOY, "--config", "a.toml", *arguments)[0] == 0
        return work.plan.sampler.name, [(g.name, g.options.scale) for g in work.plan.guidance]

    assert chosen() == ("euler", [("push", 2.0)])
    monkeypatch.setenv("DIFRUN_SAMPLER", "toy-step")
    monkeypatch.setenv("DIFRUN_GUIDANCE", "pull, push")
    assert chosen() == ("toy-step", [("pull", 1.0), ("push", 2.0)])
    assert chosen("--sampler", "heun", "--guidance", "pull", "--guidance.pull.scale", "3") == (
        "heun",
        [("pull", 3.0)],
    )


def test_options_of_a_replaced_component_do_not_pass_to_the_new_one(toy, call, work, in_folder):
    in_folder("a.toml", '[grid]\nname = "even"\nscale = 2.0\n[sampler]\nname = "toy-step"\nscale = 5.0')
    code, _, err = call("run", *TOY, "--config", "a.toml", "--sampler", "heun")
    assert code == 0
    assert work.plan.grid.options.scale == 2.0
    assert "options of sampler 'toy-step' (sampler.name in a.toml) are not used: --sampler" in err


def test_an_exact_model_drops_the_loss_of_the_file(toy, call, work, in_folder):
    in_folder("a.toml", '[loss]\nname = "plain"')
    assert call("run", *TOY, "--config", "a.toml", "--model", "toy-exact")[0] == 0
    assert work.plan.loss is None


def test_a_recorded_run_gives_the_same_plan_again(toy, call, work, in_folder):
    arguments = (
        *TOY,
        "--process.mu",
        "0.5,-1",
        "--model.predicts",
        "v",
        "--metric",
        "gap",
        "--guidance",
        "push",
    )
    assert call(*arguments, "--process.exact", "--process.t-min", "0.01")[0] == 0
    plan = work.plan
    in_folder("run.toml", plan.to_toml(torch="2.13.0"))
    assert call("--config", "run.toml")[0] == 0
    assert work.plan == plan
    assert plan.process.options.exact is True
    assert plan.process.options.mu == (0.5, -1.0)
    assert call("--config", "run.toml", "--process.no-exact", "--process.t-min", "none")[0] == 0
    assert (work.plan.process.options.exact, work.plan.process.options.t_min) == (False, None)


def test_what_was_chosen_by_default_is_told(toy, call, work):
    _, _, err = call(*TOY, "--grid", "even")
    assert "chosen by default: dataset rings, model mlp, loss plain, sampler heun\n" in err
    assert call(*TOY, "--quiet")[2] == ""


def test_the_end_is_a_table_and_the_report(toy, call, work):
    work.metrics["sliced-w2"]["value_sd"] = 0.00234
    work.metrics["density-coverage.density"] = {"value": 0.9, "floor": 1.0}
    _, out, _ = call(*TOY, "--quiet")
    note = [
        "floor: the same metric between two sets of real data (± standard deviation). Best is a value equal "
        "to its floor:",
        "distances come down to it, density and coverage up to it.",
    ]
    assert out.splitlines() == [
        "metric                    value          floor        value / floor",
        "sliced-w2                 0.05 ± 0.0023  0.04 ± 0.01           1.25",
        "density-coverage.density  0.9            1                      0.9",
        *note,
        f"Report: {Path('runs/toy-1/report.html')}",
    ]
    work.metrics["sliced-w2"]["n"] = 512
    _, out, _ = call(*TOY, "--quiet")
    assert [line.split()[-1] for line in out.splitlines()[:3]] == ["n", "512", "-"]
    work.metrics = {}
    assert call(*TOY, "--quiet")[1].startswith("No metric was computed.\nReport: ")


def test_out_and_force_reach_the_run(toy, call, work):
    call(*TOY, "--out", "here", "--force")
    assert work.calls[-1][2:] == (Path("here"), True)
    call(*TOY)
    assert work.calls[-1][2:] == (None, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--process", "toi"), "--process: no process is called 'toi'. Did you mean 'toy'?"),
        ((*TOY, "--sampler", "huen"), "--sampler: no sampler is called 'huen'. Did you mean 'heun'?"),
        ((*TOY, "--metric", "gpa"), "--metric: no metric is called 'gpa'. Did you mean 'gap'?"),
        (
            ("--process", "ising"),
            "Installed: coin, toy.\nIt is offered by the plugin difrun-ising, which is not installed.\n",
        ),
        (("--process", "coin", "--sampler", "heun"), "which process 'coin' (difrun-toy) does not offer"),
        ((*TOY, "--process.teta", "1"), "'--process.theta'"),
        ((*TOY, "--sead", "1"), "--seed"),
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
        ((*TOY, "--steps", "0"), "--steps: must be >= 1; got 0"),
        ((*TOY, "--seed", "1.5"), "--seed: expected a whole number; got 1.5"),
        ((*TOY, "--device", "gpu"), "--device: expected auto, cpu, cuda, cuda:N or mps; got gpu"),
        (
            (*TOY, "--metric", "gap", "--metric.gap.low", "9"),
            "low must be less than high; got 9 and 5. Given: --metric.gap.low",
        ),
        ((*TOY, "--config", "gone.toml"), "The file gone.toml does not exist"),
        ((*TOY, "--config", "."), "is a folder; expected a TOML file"),
        (("rnu",), "No such command 'rnu'. Did you mean 'run'?"),
        (("toy",), "No such command 'toy'. To run this process: difrun --process toy"),
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


def test_wrong_values_name_the_source_that_they_came_from(toy, call, in_folder, monkeypatch):
    in_folder("a.toml", "[process]\ntheta = -1")
    assert "process.theta in a.toml: must be > 0" in call(*TOY, "--config", "a.toml")[2]
    in_folder("b.toml", "[process\n")
    assert "b.toml is not valid TOML" in call(*TOY, "--config", "b.toml")[2]
    monkeypatch.setenv("DIFRUN_PROCESS_THETA", "-2")
    assert "DIFRUN_PROCESS_THETA: must be > 0, <= 10; got -2.0" in call(*TOY, "--config", "a.toml")[2]
    monkeypatch.setenv("DIFRUN_SAMPLER", "huen")
    assert "DIFRUN_SAMPLER: no sampler is called 'huen'" in call(*TOY)[2]


def test_a_misspelt_variable_is_told_and_one_of_another_component_is_not(toy, call, work, monkeypatch):
    monkeypatch.setenv("DIFRUN_PROCESS_TETA", "1")
    monkeypatch.setenv("DIFRUN_PROCESS_HIGH", "7")
    code, _, err = call(*TOY)
    assert code == 0
    assert (
        "DIFRUN_PROCESS_TETA is set, but no component has that option. Did you mean 'DIFRUN_PROCESS_THETA'"
        in err
    )
    assert "DIFRUN_PROCESS_HIGH" not in err


@pytest.fixture
def made(toy, in_folder):
    """A run folder with the plan of a toy run."""
    Path("r").mkdir()
    options = {"sampler": {"scale": 2.0}, "sample": {"n": 50, "steps": 9, "chunk": 10}, "": {"seed": 5}}
    plan = resolve(
        {"process": "toy", "sampler": "toy-step", "grid": "even", "metric": ["gap"]},
        options,
        registry=Registry.discover(),
    )
    in_folder("r/run.toml", plan.to_toml())
    return plan


def test_sample_is_as_in_the_run_where_nothing_is_named(made, call, work):
    assert call("sample", "r")[0] == 0
    assert work.calls[0] == ("reopen", Path("r"), None, None)
    assert work.calls[1] == ("draw_samples", 50, made.sampler, made.grid, 9, 5, 10, None, False, "fresh")


def test_sample_takes_what_is_named(made, call, work):
    arguments = (
        "--n",
        "7",
        "--sampler",
        "euler",
        "--grid.scale",
        "3",
        "--steps",
        "4",
        "--seed",
        "6",
        "--chunk",
        "8",
    )
    code, out, _ = call(
        "sample", *arguments, "r", "--out", "x.npz", "--force", "--device", "cpu", "--threads", "1"
    )
    assert (code, out) == (0, "Samples: samples.npz\n")
    assert work.calls[0] == ("reopen", Path("r"), "cpu", 1)
    _, n, sampler, grid, steps, seed, chunk, out, force, noise = work.calls[1]
    assert (n, sampler.name, grid.options.scale, steps, seed, chunk) == (7, "euler", 3.0, 4, 6, 8)
    assert (out, force, noise) == (Path("x.npz"), True, "fresh")


def test_sample_refuses_what_does_not_fit_the_run(made, call, work):
    code, _, err = call("sample", "r", "--sampler", "leap")
    assert code == 2
    assert (
        "sampler 'leap' (difrun-toy) needs discrete, which process 'toy' (difrun-toy) does not offer" in err
    )
    assert call("sample", "r", "--process", "coin")[0] == 2
    assert work.calls == []


def test_evaluate_asks_for_the_runs_own_metrics_unless_some_are_named(made, call, work):
    assert call("evaluate", "r")[0] == 0
    assert work.calls[-1] == ("evaluate", None, None)
    assert call("evaluate", "r", "--metric", "sliced-w2", "--metric", "w2", "--n", "9")[0] == 0
    _, metrics, n = work.calls[-1]
    assert ([metric.name for metric in metrics], n) == (["sliced-w2", "w2"], 9)
    assert call("evaluate", "r", "--metric.gap.high", "9")[0] == 0
    assert [(metric.name, metric.options.high) for metric in work.calls[-1][1]] == [("gap", 9)]


def test_resume_and_report(made, call, work):
    code, out, _ = call("resume", "r", "--threads", "2")
    assert code == 0
    assert work.calls == [("reopen", Path("r"), None, 2)]
    assert "sliced-w2" in out
    assert call("report", "r")[1] == f"Report: {Path('runs/toy-1/report.html')}\n"
    assert work.calls[-1] == ("reopen", Path("r"), None, None)


def test_a_report_is_drawn_on_the_device_that_is_named(made, call, work, monkeypatch):
    """A run made on a GPU can be reported where there is none."""
    assert call("report", "r", "--device", "cpu", "--threads", "1")[0] == 0
    assert work.calls[-1] == ("reopen", Path("r"), "cpu", 1)
    monkeypatch.setenv("DIFRUN_DEVICE", "cpu")
    assert call("report", "r")[0] == 0
    assert work.calls[-1] == ("reopen", Path("r"), "cpu", None)
    code, _, err = call("report", "r", "--device", "gpu")
    assert (code, len(work.calls)) == (2, 2)
    assert "--device: expected auto, cpu, cuda, cuda:N or mps; got gpu" in err


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
        (KeyboardInterrupt(), 130, "Stopped at once."),
        (
            OSError(errno.ENOSPC, "No space left", "r/x.npz"),
            1,
            "Error: r/x.npz: No space left. Free some space",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/r"),
            1,
            "Error: /r: Permission denied. Choose another folder with --out, or change its permissions.",
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


@pytest.mark.parametrize(
    ("command", "method", "outcome"),
    [
        ("sample", "draw_samples", "No samples were written."),
        ("evaluate", "evaluate", "No metrics were written."),
        ("report", "report", "No new report was written."),
    ],
)
def test_what_is_interrupted_on_a_finished_run_is_not_to_be_resumed(
    made, call, work, monkeypatch, command, method, outcome
):
    def stop(*_):
        raise Interrupted("r", "Stopped at sampling step 3 of 30.")

    monkeypatch.setattr(work, method, stop)
    code, out, err = call(command, "r")
    assert (code, out) == (130, "")
    assert err.endswith(f"Stopped at sampling step 3 of 30.\n{outcome}\n")
    assert "resume" not in err


def test_debug_shows_the_traceback(toy, work, monkeypatch):
    from difrun.cli import main

    monkeypatch.setenv("DIFRUN_DEBUG", "1")
    work.raises = DifrunError("The loss is not finite.")
    with pytest.raises(DifrunError):
        main(list(TOY))


def test_a_logger_that_fails_is_noted_on_the_commands_own_channel(toy, call, work):
    from difrun.registry import get_registry

    call(*TOY)
    assert get_registry().report.__self__.__class__.__name__ == "Listener"


def test_the_plan_of_a_file_is_the_plan_of_its_flags(toy, call, work, in_folder):
    in_folder("a.toml", '[process]\nname = "coin"\nhigh = 7\n[model]\nname = "toy-net"')
    call("--config", "a.toml")
    from_file = work.plan
    call("--process", "coin", "--process.high", "7", "--model", "toy-net")
    assert work.plan == from_file
    assert Plan.from_dict(from_file.to_dict(), Registry.discover()) == from_file


def test_the_help_of_run_tells_the_variables_of_the_environment(toy, call):
    _, out, _ = call("run", "--help")
    said = " ".join(out.split())
    assert "DIFRUN_SAMPLER for --sampler, DIFRUN_PROCESS_THETA for --process.theta" in said
    assert "DIFRUN_PLUGINS=a,b loads no plugins but a and b" in said
    assert "DIFRUN_STRICT=1 stops where a plugin is broken" in said
    assert "DIFRUN_DEBUG=1 shows the traceback" in said


def test_a_file_of_data_in_a_file_of_options_is_what_it_is_as_a_flag(toy, call, work, in_folder):
    path = in_folder("pts.csv", "1,2\n")
    in_folder("a.toml", '[dataset]\nname = "pts.csv"\nheld_out = 0.5')
    assert call(*TOY, "--config", "a.toml")[0] == 0
    from_file = work.plan
    assert (from_file.dataset.name, from_file.dataset.options.path) == ("file", path)
    assert call(*TOY, "--dataset", "pts.csv", "--dataset.held-out", "0.5")[0] == 0
    assert work.plan == from_file
    in_folder("other.csv", "1,2\n")
    assert call(*TOY, "--config", "a.toml", "--dataset", "other.csv")[0] == 0
    assert work.plan.dataset.options.path == path.with_name("other.csv")
    code, _, err = call(*TOY, "--config", "a.toml", "--dataset", "rings")
    assert (code, work.plan.dataset.name) == (0, "rings")
    assert "options of dataset 'file' (dataset.name in a.toml) are not used: --dataset" in err
