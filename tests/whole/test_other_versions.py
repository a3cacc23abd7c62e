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
    "export": ("export", "run", "--out", "exported"),
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


LEFT = "Without it, what the run has written can be read: samples.npz, metrics.json, report.html and model.safetensors."


@pytest.mark.parametrize("command", COMMANDS)
def test_an_absent_plugin_is_named_with_what_can_be_read_without_it(run, command):
    edited(run, 'difrun-ou = "0.1.0"', 'difrun-ou = "0.1.0"\ndifrun-gone = "0.3"')
    said = " ".join(difrun(*COMMANDS[command], code=2).split())
    assert (
        "names plugin difrun-gone 0.3, which is not installed. To use the run: install difrun-gone 0.3"
        in said
    )
    assert LEFT in said


def test_an_absent_plugin_is_named_before_its_components_are_missed(run):
    """Those of a metric with options, and of a guidance, too; only files that there are can be read."""
    text = (run / "run.toml").read_text(encoding="utf-8")
    text = text.replace('difrun-ou = "0.1.0"', 'difrun-gone = "0.3"').replace('name = "ou"', 'name = "lost"')
    more = '[[guidance]]\nname = "gone"\n[metrics.gone]\nbins = 3\n[metrics]'
    (run / "run.toml").write_text(text.replace("[metrics]", more, 1), encoding="utf-8")
    (run / "report.html").unlink()
    said = difrun("export", "run", "--out", "exported", code=2)
    assert "names plugin difrun-gone 0.3, which is not installed." in said
    assert "can be read: samples.npz, metrics.json and model.safetensors." in said


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        (
            {"DIFRUN_PLUGINS": "edm"},
            "disabled by DIFRUN_PLUGINS. To use the run, name difrun-ou in DIFRUN_PLUGINS as well, or unset that",
        ),
        ({}, "broken. 'difrun doctor' says what is wrong with it."),
    ],
)
def test_a_plugin_that_is_not_loaded_is_told_as_an_absent_one_is(run, python, tmp_path, environment, why):
    if not environment:
        (tmp_path / "difrun_ou.py").write_text("raise ImportError", encoding="utf-8")
    place = tmp_path if not environment else None
    done = python(
        "-c",
        "from difrun.cli import main; main()",
        "export",
        "run",
        "--out",
        "x",
        cwd=run.parent,
        path=place,
        **environment,
    )
    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert f"run.toml names plugin difrun-ou 0.1.0, which is {why}" in said
    assert LEFT in said
