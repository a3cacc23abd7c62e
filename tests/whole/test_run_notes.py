"""What a run says of its process before it starts: the signal left at T, the advice of the process, the prior."""

import math

import pytest

from .support import difrun, without_pictures

EXACT = (
    "--model",
    "exact",
    "--sampler",
    "heun",
    "--n",
    300,
    "--steps",
    10,
    "--threads",
    1,
    "--metric",
    "energy",
)
BLOBS = (*EXACT, "--dataset", "blobs", "--grid", "rho")


@pytest.mark.parametrize(("horizon", "told"), [(4, False), (2, True), (0.1, True)])
def test_signal_that_is_left_is_told_before_the_run(tmp_path, horizon, told):
    """Blobs have variance 4.1: the correlation αs/√(α²s² + σ²) is 0.037, 0.27 and 0.98."""
    with without_pictures():
        said = difrun("run", *BLOBS, "--process.horizon", horizon, "--out", tmp_path / "run")
    alpha = math.exp(-horizon)
    spread = alpha * math.sqrt(4.1)
    correlation = spread / math.hypot(spread, math.sqrt(1 - alpha**2))
    sentence = f"At T = {horizon:g} the correlation of x_T with the data is {correlation:.2g}"
    assert (f"Note: {sentence}" in said) is told
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert sentence in html
    assert ("Warnings" in html) is (correlation >= 0.3)


def test_advice_of_a_process_is_told_before_the_run_and_in_its_report(tmp_path, monkeypatch):
    from difrun_ou.process import OrnsteinUhlenbeck

    monkeypatch.setattr(OrnsteinUhlenbeck, "advice", lambda self: [f"Take θ = {self.theta:g} & smile."])
    with without_pictures():
        said = difrun("run", *BLOBS, "--process", "ou", "--process.theta", 1.5, "--out", tmp_path / "run")
    assert said.index("Note: Take θ = 1.5 & smile.") < said.index("Sampling ...")
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert html.index("Warnings</h2>") < html.index("Take θ = 1.5 &amp; smile.") < html.index("Metrics</h2>")


@pytest.mark.parametrize(("mu", "mean"), [(0, "N(α_T m, "), (1.5, "N(μ + α_T (m − μ), ")])
def test_the_prior_is_told_as_it_is(tmp_path, mu, mean):
    """Around a mean μ of the process, too."""
    with without_pictures():
        difrun("run", *EXACT, "--dataset", "gmm", "--process.mu", mu, "--out", tmp_path / "run")
    assert f"moment-matched prior {mean}α_T² v + σ_T²)" in (tmp_path / "run" / "report.html").read_text()
