"""What the documents show is what works: README's Python, and the package that docs/plugins.md builds."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^`([\w/.]+)`[^`]*?```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tour(tmp_path_factory, python):
    """The package of docs/plugins.md in a folder, installed by pip into another."""
    project, site = tmp_path_factory.mktemp("difrun-tour"), tmp_path_factory.mktemp("site")
    for name, text in BLOCK.findall(read("docs/plugins.md")):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text, encoding="utf-8")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site))
    done = python(*pip, str(project), cwd=project)
    assert done.returncode == 0, done.stderr
    return project, site


def test_every_component_of_the_tour_works_in_one_run(tour, python, tmp_path):
    _, site = tour
    named = {
        "process": "sub-vp",
        "model": "tiny",
        "loss": "noise-min-snr",
        "sampler": "ddim-eta",
        "guidance": "clip",
        "grid": "square-root",
        "dataset": "triangle",
        "metric": "mean-gap",
    }
    flags = [part for kind, name in named.items() for part in (f"--{kind}", name)]
    sizes = ["--train.steps", "1500", "--steps", "40", "--n", "3000", "--out", "tour"]
    options = ["--process.beta", "12", "--sampler.eta", "1", "--guidance.clip.bound", "2"]
    command = ["-c", "from difrun.cli import main; main()", "run", *flags, *options, *sizes, "--quiet"]
    done = python(*command, cwd=tmp_path, path=site)
    assert done.returncode == 0, done.stderr
    # Coordinates have mean (0, −1/3) and variance near 0.7 and 0.9. An untrained model, or one sampled from wrongly,
    # misses the mean by far more than the distance allowed here, a tenth of the triangle's side.
    found = json.loads((tmp_path / "tour" / "metrics.json").read_text(encoding="utf-8"))["metrics"]["mean-gap"]
    assert found["value"] < 0.2
    assert 0 < found["floor"] < 0.1
    assert (tmp_path / "finished.txt").read_text(encoding="utf-8") == "tour ['mean-gap']\n"


def test_the_tour_passes_the_conformance_kit(tour, python):
    project, site = tour
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_tour.py", cwd=project, path=site)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_python_of_the_readme_runs(python, tmp_path):
    """The blocks of the five-minute tour, one after the other, as a reader would paste them."""
    section = read("README.md").split("\n## Five minutes: Python\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    checks = (
        "assert exact.shape == simulated.shape == (50, 1000, 2) and isinstance(exact, np.ndarray)\n"
        "assert tuple(samples.shape) == (5000, 2)\n"
        "right = (samples[:, 0] > 0).double().mean()\n"
        "assert abs(right - 0.7) < 5 * (0.7 * 0.3 / 5000) ** 0.5 + 0.01, right\n"
    )
    (tmp_path / "tour.py").write_text("\n".join([*blocks, checks]), encoding="utf-8")
    done = python("tour.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "moons" / "report.html").is_file()


def test_every_hook_is_in_the_documents():
    """Each kind's hook and each event, by the name that a plugin author must write."""
    from difrun import hooks
    from difrun.api import KINDS

    for name in ("docs/plugins.md", "docs/architecture.md"):
        text = read(name)
        missing = [hook for hook in (*KINDS.values(), *hooks.EVENTS) if f"{hook}" not in text]
        assert not missing, (name, missing)


def test_links_between_the_documents_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/plugins.md", "plugins/ou/README.md"):
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name))
        missing = [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]
        assert not missing, (name, missing)


def test_the_commands_of_the_readme_exist():
    """Every `difrun` command line of README parses: its options belong to the components that it names."""
    import click

    from difrun.cli.app import app

    text = "\n".join(re.findall(r"```sh\n(.*?)```", read("README.md"), re.DOTALL))
    lines = [line.split("#")[0].split("&&")[-1].split() for line in text.splitlines() if "difrun " in line]
    commands = [words[1:] for words in lines if words[0] == "difrun" and "ab2" not in words]
    assert len(commands) >= 12
    for words in commands:
        with app.make_context("difrun", [w for w in words if w != "--help"], resilient_parsing=False) as context:
            assert isinstance(context, click.Context)
