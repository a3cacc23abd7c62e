"""The README: its Python and its commands, run one after the other in an empty folder."""

import re

import numpy as np

from .documents import commands, read


def test_the_python_of_the_readme_runs(python, tmp_path):
    """The blocks of the five-minute tour, one after the other, as a reader would paste them."""
    section = read("README.md").split("\n## Five minutes: Python\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    checks = (
        "assert paths.shape == (50, 1000, 2) and isinstance(paths, np.ndarray)\n"
        "assert float(noise.error.max()) < 0.01\n"
        "assert tuple(samples.shape) == (5000, 2)\n"
        "right = (samples[:, 0] > 0).double().mean()\n"
        "assert abs(right - 0.7) < 5 * (0.7 * 0.3 / 5000) ** 0.5 + 0.01, right\n"
        'w2 = run.metrics["sliced-w2"]\n'
        'assert w2["value"] < 2 * w2["floor"], w2\n'
    )
    (tmp_path / "tour.py").write_text("\n".join([*blocks, checks]), encoding="utf-8")
    done = python("tour.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "moons" / "report.html").is_file()


def sample_file(run):
    with np.load(run / "samples.npz") as file:
        return file["x"]


def test_the_commands_of_the_readme_run(difrun, tmp_path):
    """In the order of the README; the environment makes them short, and so do fewer steps and iterations."""
    short = {
        "DIFRUN_TRAIN_STEPS": "20",
        "DIFRUN_DATASET_N": "300",
        "DIFRUN_SAMPLE_N": "200",
        "DIFRUN_SAMPLE_STEPS": "5",
        "DIFRUN_METRIC": "energy",
    }
    rows = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    for name, columns in (("points.csv", "a,b,c"), ("other.csv", "a,b")):
        lines = [",".join(map(str, row[: len(columns.split(","))])) for row in rows]
        (tmp_path / name).write_text("\n".join([columns, *lines]))
    ran = commands()
    assert len(ran) >= 13
    repeated = False
    for words in ran:
        extra = {
            name: value
            for name, value in short.items()
            if not ({"points.csv", "other.csv"} & set(words) and "DATASET" in name)
        }
        words = [word.replace("8000", "30") for word in words]
        words += ["--iterations", "1"] if words[0] == "tune" else []
        done = difrun(*words, cwd=tmp_path, **extra)
        assert "Warning" not in done.stderr, (words, done.stderr)
        if "--config" in words:
            # It repeats the second run from its run.toml: the same samples, bit for bit.
            again, first = (sample_file(tmp_path / name) for name in ("again", "cosine"))
            np.testing.assert_array_equal(again, first)
            assert first.shape == (200, 2)
            repeated = True
    assert repeated
    written = {path.name for path in (tmp_path / "cosine").iterdir()}
    table = set(re.findall(r"^\| `([\w.]+)` \|", read("README.md"), re.MULTILINE))
    assert table == {"run.toml", "model.safetensors", "samples.npz", "metrics.json", "report.html"}
    assert table <= written
