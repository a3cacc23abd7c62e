"""Commands run by the process of kill_server.py, which forks one for each, and the runs that die."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from .support import environ

TINY = ("--train.batch", "16", "--train.checkpoint-steps", "2", "--n", "24", "--steps", "3", "--threads", "1")
RUNS = {
    "points": (
        "--dataset",
        "points.npz",
        "--train.steps",
        "6",
        "--model.width",
        "8",
        "--metric",
        "sliced-w2",
    ),
    "spins": (
        *("--process", "ising", "--dataset.size", "4,4", "--dataset.n", "100", "--dataset.held-out", "50"),
        *(
            "--train.steps",
            "4",
            "--model.width",
            "4",
            "--model.depth",
            "1",
            "--metric",
            "lattice",
            "--no-likelihood",
        ),
    ),
    "digits": (
        *(
            "--dataset",
            "image-folder",
            "--dataset.folder",
            "scans",
            "--dataset.size",
            "4,4",
            "--dataset.colour",
        ),
        *(
            "grey",
            "--dataset.flat",
            "--model",
            "mlp",
            "--train.steps",
            "4",
            "--model.width",
            "8",
            "--metric",
            "energy",
        ),
    ),
}
RUNS["strings"] = (
    *("--process", "categorical", "--dataset", "markov", "--dataset.length", "6", "--dataset.letters", "3"),
    *("--dataset.n", "100", "--dataset.held-out", "50", "--train.steps", "4"),
    *("--model.width", "8", "--no-likelihood"),
)


class Server:
    """The process that forks."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            env=environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert json.loads(self.process.stdout.readline())["ready"]

    def __call__(self, cwd, *arguments, **how):
        """Run a command; its exit code, what it said, its seconds and its calls."""
        request = {"cwd": str(cwd), "arguments": [str(argument) for argument in arguments], **how}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "Traceback" not in answer["said"], answer["said"]
        return answer

    def well(self, cwd, *arguments):
        """Run a command that must succeed."""
        answer = self(cwd, *arguments)
        assert answer["code"] == 0, answer["said"]
        return answer


def start(server, cwd, kind, *more, **how):
    return server(cwd, "run", *RUNS[kind], *TINY, "--out", "run", *more, **how)


def is_begun(cwd):
    return (cwd / "run" / "run.toml").is_file()


def go_on(server, cwd, kind):
    """Bring a run to its end after a death: resume it, or start it again if it is no run yet."""
    if is_begun(cwd):
        server.well(cwd, "resume", "run")
    else:
        answer = start(server, cwd, kind)
        assert answer["code"] == 0, answer["said"]


def place(folder, tmp_path):
    """A working folder with the data."""
    shutil.copytree(folder / "scans", tmp_path / "scans", dirs_exist_ok=True)
    shutil.copy(folder / "points.npz", tmp_path)
    return tmp_path


def assert_whole(run):
    """Nothing half-written is left, and every file can be read by another program."""
    left = [path.name for path in run.iterdir() if path.name.startswith(".") or "lock" in path.name]
    assert left == []
    for path in run.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            assert np.isfinite(file["x"]).all()
    for path in run.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
