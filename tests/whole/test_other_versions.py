"""A run that was made with a plugin of another version, or with one that is absent: commands say what still works."""

import pytest

from .support import difrun, without_pictures

COMMANDS = {
    "sample": ("sample", "run", "--n", 16, "--steps", 2, "--out", "more.npz"),
    "evaluate": ("evaluate", "run"),
    "report": ("report", "run"),
    "resume": ("resume", "run"),
    "compare": ("compare", "run", "--n", 16, "--steps", 2, "--metric", "energy"),
    "tune": ("tune", "run", "--steps", 3, "--iterations", 1),
    "run --from": ("run", "--from", "run", "--train.steps", 1, "--n", 16, "--steps", 2, "--out", "next"),
}
"""Every command that takes the folder of a run."""


def edited(run, old, new):
    text = (run / "run.toml").read_text(encoding="utf-8")
    assert old in text
    (run / "run.toml").write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_another_version_is_told_and_used(run, command):
    """Its weights and samples can be used, and are; the exit code is 0."""
    edited(run, 'difrun-ou = "0.1.0"', 'difrun-ou = "0.0.9"')
    with without_pictures():
        said = difrun(*COMMANDS[command])
    told = (
        "run.toml was made with difrun-ou 0.0.9; 0.1.0 is installed. Weights and samples can be used; what is"
    )
    assert told in " ".join(said.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_an_absent_plugin_is_named_with_what_can_be_read_without_it(run, command):
    edited(run, 'difrun-ou = "0.1.0"', 'difrun-ou = "0.1.0"\ndifrun-gone = "0.3"')
    said = " ".join(difrun(*COMMANDS[command], code=2).split())
    assert "names plugin difrun-gone 0.3, which is not installed." in said
    assert (
        "Without it, what the run has written can be read: samples.npz, metrics.json and report.html." in said
    )
