"""A run folder from a stranger: nothing outside it is read or written, nothing hangs, nothing fills the memory."""

import io
import itertools
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from .support import SMALL, attempt, difrun, environ, without_pictures

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and limits of POSIX systems")

FEW = ("--train.steps", "4", *SMALL[2:])
FILES = (
    "run.toml",
    "model.safetensors",
    "samples.npz",
    "metrics.json",
    "report.html",
    "tuning.json",
    "samples.png",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    with without_pictures():
        difrun("run", *FEW, "--out", folder)
    return folder


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with without_pictures():
        yield Path(shutil.copytree(finished, "run"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *itertools.product(["link", "pipe", "folder", "device"], FILES),
        ("circle", "run.toml"),
        ("circle", "metrics.json"),
    ],
)
def test_what_is_no_file_of_the_folder_is_refused(run, tmp_path, name, kind):
    """A link that leaves the folder, or leads to itself, a pipe, a folder, a device: an error that names it."""
    file, mine = run / name, tmp_path / "mine"
    mine.write_bytes((run / name).read_bytes() if file.exists() else b"mine")
    file.unlink(missing_ok=True)
    make = {
        "link": lambda: file.symlink_to(mine),
        "pipe": lambda: os.mkfifo(file),
        "folder": lambda: file.mkdir(),
        "device": lambda: file.symlink_to("/dev/zero"),
        "circle": lambda: file.symlink_to(name),
    }
    make[kind]()
    before = mine.read_bytes()
    for command in ("resume", "report"):
        code, said = attempt(command, run)
        assert code in (1, 2), said
        assert f"Error: {file} is a" in said
    assert mine.read_bytes() == before


def test_a_link_that_stays_in_the_folder_is_followed(run):
    (run / "metrics.json").rename(run / "kept.json")
    (run / "metrics.json").symlink_to("kept.json")
    difrun("report", run)


@pytest.mark.parametrize(
    "name", [".metrics.json.part", ".report.html.part", "run.lock.json", ".samples.npz.part"]
)
def test_links_in_the_place_of_temporary_files_are_not_followed(run, tmp_path, name):
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (run / name).symlink_to(tmp_path / "mine")
    difrun("evaluate", run)
    (run / "samples.npz").unlink()
    difrun("resume", run)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"
    assert not (run / name).is_symlink()


@pytest.mark.parametrize("kind", ["link", "pipe", "hard link"])
def test_a_lock_that_is_no_file_of_its_own_is_refused(run, tmp_path, kind):
    """Its holder would empty it."""
    mine, file = tmp_path / "mine", run / "run.lock"
    mine.write_text("mine", encoding="utf-8")
    {
        "link": lambda: file.symlink_to(mine),
        "pipe": lambda: os.mkfifo(file),
        "hard link": lambda: os.link(mine, file),
    }[kind]()
    code, said = attempt("evaluate", run)
    assert code == 1
    assert f"{file.resolve() if kind != 'link' else run.resolve() / 'run.lock'} is a link or a device" in said
    assert mine.read_text(encoding="utf-8") == "mine"


def claiming(shape: str) -> bytes:
    """An .npz archive of a few bytes whose array claims a shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    return out.getvalue()


def bomb() -> bytes:
    """An .npz archive of a megabyte that expands to one gigabyte of zeros."""
    out = io.BytesIO()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (67108864, 2), }\n"
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
        for _ in range(64):
            member.write(bytes(2**24))
    return out.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is of Linux")
@pytest.mark.parametrize(
    "made", [lambda: claiming("(1000000000000, 2)"), lambda: claiming("(2, " * 500), bomb]
)
def test_arrays_take_no_more_memory_than_their_file_deserves(run, little_memory, made):
    (run / "samples.npz").write_bytes(made())
    assert f"Error: {run / 'samples.npz'} is damaged: " in difrun("evaluate", run, code=1)
    Path("points.npz").write_bytes(made())
    assert "points.npz' is damaged: " in difrun("run", "--dataset", "points.npz", "--out", "x", code=1)


def test_a_pipe_as_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("points.csv", "points.npy", "points.npz"):
        os.mkfifo(name)
        assert f"/{name} is a pipe; expected a file." in difrun(
            "run", "--dataset", name, "--out", "x", code=1
        )


def test_a_file_larger_than_the_memory_is_refused(run):
    """The file takes no room on the disk: it is a hole."""
    with open(run / "metrics.json", "r+b") as file:
        file.truncate(10**11)
    assert "metrics.json is 100 GB; expected at most 67.1 MB." in difrun("report", run, code=1)


def test_a_cache_that_run_toml_names_elsewhere_is_not_written(tmp_path, monkeypatch):
    """The images are read again, and their pixels go into the folder of the run."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for k in range(40):
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(f"photos/{k}.png")
    options = ("--dataset", "image-folder", "--dataset.folder", "photos", "--dataset.memory", "0")
    options += ("--dataset.flat", "--model", "mlp", "--model.width", "8", "--metric", "energy")
    options += (
        "--dataset.cache",
        "cache",
        "--train.steps",
        "1",
        "--n",
        "4",
        "--steps",
        "2",
        "--threads",
        "1",
    )
    with without_pictures():
        difrun("run", *options, "--out", "run")
        before = {path.name: path.read_bytes() for path in Path("cache").iterdir()}
        shutil.rmtree("cache")
        difrun("report", "run")
    assert not Path("cache").exists()
    assert not list(Path("photos").glob(".*"))
    assert {path.name: path.read_bytes() for path in Path("run/cache").iterdir()} == before
    shutil.rmtree("run/cache")
    with without_pictures():
        for number, config in enumerate((("--config", "run/run.toml"), ("--from", "run"))):
            difrun("run", *config, "--out", f"again-{number}")
            assert not Path("cache").exists()
            assert not list(Path("photos").glob(".*"))
            assert {path.name: path.read_bytes() for path in Path("run/cache").iterdir()} == before
        difrun("run", "--config", "run/run.toml", "--dataset.cache", "mine", "--out", "mine-too")
        assert {path.name: path.read_bytes() for path in Path("mine").iterdir()} == before
        shutil.copy("run/run.toml", "my-own.toml")
        difrun("run", "--config", "my-own.toml", "--out", "own")  # a file of the user's
    assert {path.name: path.read_bytes() for path in Path("cache").iterdir()} == before


def test_stderr_that_is_full_or_closed_loses_no_run(tmp_path):
    """In processes of their own, as the streams are those of the system."""
    code = "import difrun.runs.report.standard_pictures as pictures; pictures.draw_all = lambda *_, **__: []"
    command = [sys.executable, "-c", f"{code}; from difrun.cli import main; main()", "run", *FEW]
    for name, end in {
        "full": "2> /dev/full",
        "closed": "2>&-",
        "both": "> /dev/full 2>&-",
        "pipe": "| true",
    }.items():
        shell = f'"$@" --out {name} {end}'
        subprocess.run(
            ["bash", "-c", shell, "bash", *command], cwd=tmp_path, env=environ(), timeout=300, check=False
        )
        assert (tmp_path / name / "report.html").is_file(), name
        assert (tmp_path / name / "metrics.json").read_bytes().startswith(b"{"), name
