"""From `difrun plugin new` to a passing `difrun check` with a sampler of one's own, in few lines typed by a person."""

import shlex

from . import support

COMMANDS = """
difrun plugin new leap --kind sampler --summary "DPM-Solver++(2M), a multistep method of order 2"
cd difrun-leap
difrun check .
"""

SAMPLER = '''
"""The step of the sampler."""
import math
from difrun.sampler import Sampler

class Leap(Sampler):
    """DPM-Solver++(2M): x̂_0 is extrapolated in λ through the last two evaluations."""
    order = 2

    def step(self, model, x, at, to, state, generator):
        x0 = model.predict(x, at, "x0")
        h = to.lam - at.lam
        slope = x0 if state is None else x0 + h / (2 * state[1]) * (x0 - state[0])
        x = to.sigma / at.sigma * x - to.alpha * math.expm1(-h) * slope
        return x, (x0, h)
'''
"""What replaces all of difrun_leap/sampler.py."""

MOST = 25
"""Lines that a person types at most."""


def test_a_sampler_of_ones_own_passes_the_kit(tmp_path, monkeypatch):
    """Two lines and two files of the package are deleted, one file is written anew."""
    monkeypatch.chdir(tmp_path)
    made, entered, checked = COMMANDS.strip().splitlines()
    support.difrun(*shlex.split(made)[1:])
    folder = tmp_path / entered.split()[1]
    monkeypatch.chdir(folder)
    declaration = folder / "difrun_leap" / "__init__.py"
    lines = declaration.read_text("utf-8").splitlines()
    kept = [line for line in lines if "LeapOptions" not in line]
    assert len(lines) - len(kept) == 2
    declaration.write_text("\n".join(kept) + "\n", "utf-8")
    (folder / "difrun_leap" / "options.py").unlink()
    (folder / "tests" / "test_sampler.py").unlink()
    (folder / "difrun_leap" / "sampler.py").write_text(SAMPLER.lstrip(), "utf-8")
    typed = [line for text in (COMMANDS, SAMPLER) for line in text.splitlines() if line.strip()]
    assert len(typed) <= MOST
    said = support.difrun(*checked.split()[1:])
    assert said.splitlines()[-1].startswith("It passes. ")
    assert "sampler 'leap' (difrun-leap): " in said
