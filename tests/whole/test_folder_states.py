"""A run folder through commands in any order, each of which may die at any write: a whole run, or none.

A death is an exception at one call that changes a folder, and at every such call after it: a dead process cleans up
nothing. Hypothesis chooses the commands and where they die.
"""

import contextlib
import os
import shutil
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from difrun.runs import reopen
from difrun.runs.folder import lock

from .kill_server import CALLS, Death
from .support import assert_same_result, attempt, difrun, saved_step, without_pictures

COMMON = (
    *("--train.steps", "4", "--train.batch", "16", "--train.checkpoint-steps", "2", "--metric", "energy"),
    *("--n", "20", "--sampler", "euler", "--steps", "2", "--threads", "1"),
)
RUNS = {
    "narrow": ("--dataset", "first.npz", "--model.width", "8"),
    "wide": ("--dataset", "second.npz", "--model.width", "12"),
}
"""Two runs of other data and another network: what of one lies beside the other would show."""

LATER = {
    "resume": (),
    "sample": ("--n", "8", "--seed", "5", "--force"),
    "evaluate": (),
    "report": (),
}
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
deaths = st.none() | st.integers(1, 40)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the data, and each run as it is when nothing disturbs it."""
    folder = tmp_path_factory.mktemp("states")
    with contextlib.chdir(folder):
        for seed, name in enumerate(("first.npz", "second.npz")):
            np.savez(name, x=np.random.default_rng(seed).normal(size=(60, 2)))
        for name, options in RUNS.items():
            difrun("run", *options, *COMMON, "--out", name)
    return folder


@contextlib.contextmanager
def dying(number):
    """Raise `Death` at call `number` of `CALLS` and at all after it."""
    seen = 0

    def wrap(original):
        def call(*args, **kwargs):
            nonlocal seen
            seen += 1
            if seen >= number:
                raise Death
            return original(*args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        for name in CALLS if number else ():
            stack.enter_context(mock.patch.object(os, name, wrap(getattr(os, name))))
        yield


class Folder(RuleBasedStateMachine):
    """Commands on one folder, and what must hold after each of them."""

    finished: Path

    def __init__(self):
        super().__init__()
        self.before = Path.cwd()
        self.run = self.finished / "run"
        shutil.rmtree(self.run, ignore_errors=True)
        os.chdir(self.finished)
        self.step, self.name = None, None

    def teardown(self):
        os.chdir(self.before)

    def kind(self):
        """Which of the two runs run.toml names; None where there is no run."""
        file = self.run / "run.toml"
        if not file.is_file():
            return None
        return "narrow" if "width = 8" in file.read_text(encoding="utf-8") else "wide"

    def command(self, death, *arguments):
        """Run a command; its exit code and words, (None, "") if it died."""
        try:
            with dying(death):
                return attempt(*arguments)
        except Death:
            return None, ""
        finally:
            FileLock(self.run.resolve() / lock.NAME, is_singleton=True).release(force=True)  # the system does

    @rule(name=st.sampled_from(sorted(RUNS)), force=st.booleans(), death=deaths)
    def start(self, name, force, death):
        taken = self.kind()
        code, said = self.command(
            death, "run", *RUNS[name], *COMMON, "--out", "run", *(["--force"] if force else [])
        )
        if taken and not force:
            assert code in (1, None), said
            assert self.kind() == taken
            return
        assert code in (0, None), said
        self.step = None if self.kind() != taken or saved_step(self.run) is None else self.step
        if force and code is None and self.kind() == taken:
            self.step = saved_step(self.run)  # the earlier run, or the new one at its start
        if code == 0:
            assert_same_result(self.run, self.finished / name)

    @precondition(lambda self: self.kind())
    @rule(command=st.sampled_from(sorted(LATER)), death=deaths)
    def work(self, command, death):
        whole = saved_step(self.run) == 4
        code, said = self.command(death, command, "run", *LATER[command])
        if command == "resume" or whole:
            assert code in (0, None), said
        elif code is not None:
            assert code == 1
            assert "has not been trained to the end. Run 'difrun resume run' first" in said
        if command == "resume" and code == 0:
            assert_same_result(self.run, self.finished / self.kind())

    @precondition(lambda self: not self.kind())
    @rule(command=st.sampled_from(sorted(LATER)))
    def work_on_no_run(self, command):
        code, said = self.command(None, command, "run", *LATER[command])
        assert code == 2
        assert "There is no run in run" in said

    @precondition(lambda self: self.kind())
    @rule(command=st.sampled_from(["resume", "evaluate", "run"]))
    def two_at_once(self, command):
        """While another process, here a thread, works on the folder, a command changes nothing."""
        held, done = threading.Event(), threading.Event()

        def work():
            with lock.hold_lock(self.run):
                held.set()
                done.wait(60)

        thread = threading.Thread(target=work)
        thread.start()
        held.wait(60)
        before = self.content()
        try:
            arguments = (*RUNS["wide"], *COMMON, "--out", "run", "--force") if command == "run" else ("run",)
            code, said = attempt(command, *arguments)
        finally:
            after = self.content()
            done.set()
            thread.join()
        assert code == 1
        assert "works on the run" in said or "has worked on the run" in said or "not been trained" in said
        assert after == before

    def content(self):
        return {
            path.name: path.read_bytes()
            for path in self.run.iterdir()
            if not path.name.startswith("run.lock")
        }

    @invariant()
    def is_a_whole_run_or_none(self):
        """It opens, its weights fit run.toml, its samples are those of the weights, and no training is lost."""
        name = self.kind()
        if name is None:
            self.name, self.step = None, None
            return
        reopen(self.run)
        step = saved_step(self.run)
        if name == self.name and self.step is not None:
            assert step is not None
            assert step >= self.step
        self.name, self.step = name, step
        if step == 4 and (self.run / "samples.npz").is_file():
            with (
                np.load(self.run / "samples.npz") as mine,
                np.load(self.finished / name / "samples.npz") as theirs,
            ):
                np.testing.assert_array_equal(mine["x"], theirs["x"])


def test_a_folder_is_a_whole_run_or_none(finished):
    Folder.finished = finished
    chosen = settings(
        max_examples=100 if LONG else 5,
        stateful_step_count=20 if LONG else 8,
        phases=[Phase.generate],
        derandomize=not LONG,
    )
    with without_pictures():
        run_state_machine_as_test(Folder, settings=chosen)
