"""docs/inference.md: simulator, training and checks, as a reader would do them, with a short training."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from .support import difrun, without_pictures

SHORT = ("--train.batch", "128", "--train.ema", "0.98", "--train.lr", "0.005", "--n", "200", "--steps", "12")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "inference.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """What the page's Python has defined in the end, and what it has printed."""
    names, printed = {}, io.StringIO()
    folder = tmp_path_factory.mktemp("inference")
    blocks = re.findall(r"```(python|sh)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "sh", "python", "sh", "python"]
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), without_pictures():
        for kind, text in blocks:
            if kind == "python":
                exec(
                    text.replace("cases, draws = 300, 100", "cases, draws = 100, 40").replace(
                        "20000", "4000"
                    ),
                    names,
                )
                continue
            for line in text.splitlines():
                command = shlex.split(line)[1:]
                small = {"--train.steps": "500", "--model.width": "48", "--n": "400"}
                command = [
                    small.get(before, part) for before, part in zip(["", *command], command, strict=False)
                ]
                extra = [*SHORT, "--metric", "joint-w2"] if command[0] == "run" else []
                difrun(*command, *extra)
    return names, printed.getvalue()


def test_the_posterior_of_the_page_is_exact(page):
    """By its own checks: θ and exact draws given its c are exchangeable."""
    names, _ = page
    truth = names["truth"][:150]
    c = names["simulate"](truth)
    draws = np.stack([names["posterior"](each, 99) for each in c])
    assert (names["rank_p_values"](names["ranks"](draws, truth), 99) > 1e-3).all()
    for coverage in names["expected_coverage"](draws, truth):
        assert abs(coverage.found - coverage.level) < 4 * coverage.error


def test_the_checks_are_printed_and_a_short_training_is_near_the_posterior(page):
    """The exact posterior has two crescents of equal weight; even a short training finds what c determines."""
    names, printed = page
    assert "p-values of uniform ranks" in printed
    assert "0.90: " in printed
    assert "C2ST" in printed
    assert names["drawn"].shape == (100, 40, 2)
    exact = names["exact"]
    assert abs((exact.sum(1) > 0).mean() - 0.5) < 0.08
    # Parameters and draws agree in the direction that c determines, θ_2 − θ_1, much better than two draws of the prior,
    # which differ by 1.15 = √(4/3).
    gap = names["drawn"][:, :, 1] - names["drawn"][:, :, 0]
    of_truth = names["truth"][:, 1] - names["truth"][:, 0]
    assert np.sqrt(((gap - of_truth[:, None]) ** 2).mean()) < 0.4
