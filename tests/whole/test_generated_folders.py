"""Every file of a run folder with any content: the commands that read it work, or one sentence refuses it."""

import copy
import json
import os
import shutil
import struct
import tomllib

import click
import numpy as np
import pytest
import tomli_w
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from difrun.cli.commands import compare, evaluate, report, resume, sample, tune
from difrun.config.plan import Plan
from difrun.errors import DifrunError
from difrun.plugin.registry import get_registry
from difrun.report import html
from difrun.runs import reopen
from difrun.runs.folder import dataset, lock
from difrun.runs.stages import sample_file, training
from difrun.runs.stages import tuning as tunings

from .support import difrun, without_pictures

TINY = ("--train.steps", "4", "--train.batch", "16", "--model.width", "8", "--n", "24", "--steps", "2")
CLASSIFIER = ("--guidance", "classifier", "--label", "b", "--guidance.classifier.steps", "2")


def read_plan(run):
    run.folder.plan(get_registry())


def read_examples(run):
    """Whatever SHA-256 run.toml has: a stranger would write the right one."""
    dataset.load(run.folder)


def read_weights(run):
    training.load(run.folder, run.trainer)


def read_samples(run):
    """As `evaluate` reads them, with and without --samples."""
    run.drawn()
    sample_file.read_labels(run.parts.dataset, run.folder.samples, 24)
    sample_file.read_samples(run.folder.samples, run.parts.dataset, None)


def read_classifier(run):
    """As `sample` reads it."""
    guidance = {"name": "classifier", "steps": 2}
    plan = Plan.from_dict({**run.plan.to_dict("2"), "guidance": [guidance]}, get_registry())
    run.guided(plan.guidance)


def read_picture(run):
    picture = html.Picture("", "", run.path / "loss.png")
    html.render(html.ReportContext(title="", pictures=[picture]))


def hold(run):
    with lock.hold_lock(run.path):
        pass


READERS = {
    "run.toml": read_plan,
    "data.safetensors": read_examples,
    "model.safetensors": read_weights,
    "samples.npz": read_samples,
    "metrics.json": lambda run: run.report(),
    "tuning.json": lambda run: tunings.read(run.folder),
    "run.lock.json": hold,
    "run.lock": hold,
    "loss.png": read_picture,
    "guidance-classifier.safetensors": read_classifier,
}
"""The files of a run, and what reads them."""

SEVERAL = 12 if settings().max_examples < 100 else settings().max_examples
"""Inputs for each file."""

SCALARS = (
    *(None, True, "", "x", -1, 0, 3.5, 1e308, -1e308, float("nan"), float("inf"), 2**62, -(2**63), 10**30),
    *("\ud800", "x" * 10_000, "../../x", "/etc/passwd", "²", "nan"),
)
scalars = st.sampled_from(SCALARS) | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
DEEP = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"a = " + b"[" * 100_000,
    b"seed" + b".a" * 50_000 + b" = 1",
    b"9" * 5000,
)


TUNED = {
    "times": [3.0, 1.0, 0.01],
    "changes": None,
    "error": 0.1,
    "before": 0.2,
    "median": 0.1,
    "median_before": 0.2,
}
LOCK_NOTE = {"pid": 1, "host": "here", "since": 1e9}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a finished run of two classes, with every file that a run may have, and two copies of it."""
    place, here = tmp_path_factory.mktemp("generated"), os.getcwd()
    x = np.random.default_rng(0).normal(size=(60, 2))
    np.savez(place / "points.npz", x=x, y=np.array(["a", "b"] * 30))
    os.chdir(place)
    try:
        with without_pictures():
            labelled = ("--train.label-dropout", "0.1", "--metric", "energy", "--threads", "1")
            difrun("run", "--dataset", "points.npz", *TINY, *labelled, "--out", "run")
            difrun("sample", "run", "--n", "4", "--sampler", "heun", *CLASSIFIER)
        run = place / "run"
        (run / "loss.png").write_bytes(b"\x89PNG")
        (run / "tuning.json").write_text(json.dumps({"2": {**TUNED, "trajectories": 9}}), encoding="utf-8")
        (run / "run.lock.json").write_text(json.dumps(LOCK_NOTE), encoding="utf-8")
        (run / "run.lock").touch()
        shutil.copytree(run, place / "tried")
        yield place
    finally:
        os.chdir(here)


@pytest.fixture(scope="module")
def opened(place):
    """The copy whose files are changed, opened while it was whole."""
    return reopen(place / "tried")


def places(value, place=()):
    """The keys that lead to every value inside a parsed file."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*place, key)
        yield from places(part, (*place, key))


def changed(data, parsed):
    """A parsed file with some values replaced, removed or added."""
    parsed = copy.deepcopy(parsed)
    for _ in range(data.draw(st.integers(1, 3))):
        ways = list(places(parsed))
        if not ways:
            break
        *way, last = data.draw(st.sampled_from(ways))
        owner = parsed
        for key in way:
            owner = owner[key]
        kind = data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if kind == "remove":
            del owner[last]
        elif kind == "add" and isinstance(owner, dict):
            owner[data.draw(st.text(max_size=5))] = data.draw(values)
        else:
            owner[last] = data.draw(values)
    return parsed


def written(parsed, is_toml):
    """The bytes of a file that holds this, as far as its format can."""
    try:
        text = tomli_w.dumps(parsed) if is_toml else json.dumps(parsed)
        return text.encode("utf-8", "surrogatepass")
    except (TypeError, ValueError):
        return None


def damaged(data, whole):
    """Bytes with some of them replaced, left out or put in."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        most = data.draw(st.sampled_from([16, 400, 10**7]))
        at = data.draw(st.integers(0, max(0, min(len(changed), most) - 1)))
        changed[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    return bytes(
        changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.integers(0, 3)) == 0 else changed
    )


def safetensors(data, whole):
    """A safetensors file whose header is another JSON text."""
    length = int.from_bytes(whole[:8], "little")
    header = written(changed(data, json.loads(whole[8 : 8 + length])), False)
    assume(header is not None)
    claimed = data.draw(st.sampled_from([len(header), len(header), len(header), 2**40, 2**63, 0]))
    return struct.pack("<Q", claimed) + header + whole[8 + length :]


def content(data, name, whole):
    """What a file may hold: damaged bytes, any bytes, or its own form with other values."""
    kind = data.draw(st.sampled_from(["form", "form", "form", "damaged", "bytes"]))
    if kind == "bytes":
        return data.draw(st.binary(max_size=100) | st.sampled_from(DEEP))
    if kind == "form" and name.endswith((".toml", ".json")):
        is_toml = name.endswith(".toml")
        found = written(
            changed(data, tomllib.loads(whole.decode()) if is_toml else json.loads(whole)), is_toml
        )
        assume(found is not None)
        return found
    if kind == "form" and name.endswith(".safetensors"):
        return safetensors(data, whole)
    return damaged(data, whole)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(phases=[Phase.generate], max_examples=SEVERAL)
def test_any_content_of_a_file(contained, place, opened, name, data):
    """Nothing is raised but a sentence that names the file, or the folder whose other files do not fit it."""
    whole, folder = (place / "run" / name).read_bytes(), opened.path
    changed = content(data, name, whole)
    (folder / name).write_bytes(changed)
    try:
        with without_pictures(), contained(folder):
            READERS[name](opened)
    except DifrunError as error:
        assert_named(error, name, folder)
        if not name.startswith("run.lock"):
            assert (folder / name).read_bytes() == changed  # left for the user to look at
    finally:
        restore(folder, place / "run")


def assert_named(error, name, folder):
    assert len(str(error)) < 3000
    assert name in str(error) or str(folder) in str(error) or name == "run.toml", error


def restore(folder, whole):
    """Every file as it was."""
    for path in {*folder.iterdir()} - {folder / file.name for file in whole.iterdir()}:
        path.unlink()
    for file in whole.iterdir():
        data = file.read_bytes()
        if not (folder / file.name).exists() or (folder / file.name).read_bytes() != data:
            (folder / file.name).write_bytes(data)


COMMANDS = {
    command.name: command
    for command in (
        sample.sample,
        evaluate.evaluate,
        compare.compare,
        tune.tune,
        resume.resume,
        report.report,
    )
}
texts = st.sampled_from([str(value) for value in SCALARS]) | st.floats().map(repr) | st.text(max_size=8)


@pytest.mark.parametrize("command", COMMANDS)
@given(data=st.data())
@settings(phases=[Phase.generate], max_examples=SEVERAL)
def test_any_option_of_a_command(monkeypatch, place, command, data):
    """Every flag of every command that works on a run takes any text, or refuses it by name."""
    monkeypatch.setattr("os.environ", {})
    with COMMANDS[command].make_context(command, ["run"]) as context:
        flags = [
            (param.opts[-1], param.is_flag)
            for param in COMMANDS[command].get_params(context)
            if isinstance(param, click.Option)
        ]
    chosen = data.draw(st.lists(st.sampled_from([*flags, ("--nothing", False)]), min_size=1, max_size=3))
    words = [name if is_switch else f"{name}={data.draw(texts)}" for name, is_switch in chosen]
    try:
        with COMMANDS[command].make_context(command, ["run", *words]):
            pass
    except click.exceptions.Exit:  # --help
        pass
    except (click.UsageError, DifrunError) as error:
        said = error.format_message() if isinstance(error, click.UsageError) else str(error)
        refused_by_name(said, [name for name, _ in chosen])


def refused_by_name(said, flags):
    assert len(said) < 5000
    assert any(flag.lstrip("-").rpartition(".")[2] in said for flag in flags), said
