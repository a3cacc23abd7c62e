"""What TAB offers, and the script that `difrun completion` prints."""

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

import difrun


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


def offered(*arguments, incomplete=""):
    """What TAB completes, through Click's own completion."""
    from difrun.cli.app import app

    complete = ShellComplete(app, {}, "difrun", "_DIFRUN_COMPLETE")
    return [item.value for item in complete.get_completions(list(arguments), incomplete)]


def test_tab_offers_the_runs_that_there_are(tab, tmp_path, monkeypatch):
    for name in ("runs/a", "runs/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.toml").touch()
    monkeypatch.chdir(tmp_path)
    for command in ("sample", "resume", "compare"):
        assert tab(command, incomplete="runs/") == ["runs/a", "runs/b"]
    assert tab("run", "--from", incomplete="runs/b") == ["runs/b"]
    assert tab("sample", incomplete="nowhere") == ["nowhere"]  # any folder, which the shell completes


def test_the_module_is_the_command(site):
    for arguments in (["--version"], ["help", "rnu"]):
        asked = subprocess.run(
            [sys.executable, "-m", "difrun", *arguments], env=site.environ(), capture_output=True, text=True
        )
        assert asked.returncode == (2 if "rnu" in arguments else 0)
        assert ("Did you mean 'run'?" in asked.stderr) == ("rnu" in arguments)
        assert asked.stdout == ("" if "rnu" in arguments else f"difrun {difrun.__version__}\n")


def test_help_is_a_command_too(toy, call):
    assert call("help") == call("--help")
    assert call("help", "sample") == call("sample", "--help")
    assert "Usage: difrun run" in call("help", "run", "--process", "toy")[1]
