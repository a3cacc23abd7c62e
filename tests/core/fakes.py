"""What stands for floor 5 in tests of the command line."""

from pathlib import Path

import attrs


@attrs.frozen
class FakePlan:
    """Stands for the plan of a run that was reopened."""

    loggers: object = ()


class FakeRun:
    """Stands for floor 5: keeps what the command asks of it."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.path = Path("runs/toy-1")
        self.metrics = {"sliced-w2": {"value": 0.05, "floor": 0.04, "floor_sd": 0.01}}
        self.facts = {"metrics": self.metrics}
        self.suggestion = ""
        self.reopened_plan = FakePlan()
        self.raises: BaseException | None = None

    def start(self, plan, folder=None, *, force=False, listener=None, examples_of=None):
        self.calls.append(("start", plan, folder, force))
        return self

    def reopen(self, folder, listener=None, *, device=None, threads=None):
        self.calls.append(("reopen", folder, device, threads))
        return self

    def execute(self):
        if self.raises:
            raise self.raises

    resume = execute

    def draw_samples(self, *arguments):
        self.calls.append(("draw_samples", *arguments))
        return Path("samples.npz")

    def evaluate(self, metrics, n):
        self.calls.append(("evaluate", metrics, n))
        return self.metrics

    def evaluate_file(self, path, metrics, n):
        self.calls.append(("evaluate_file", path, metrics, n))
        return self.metrics, path.with_suffix(".metrics.json")

    def report(self):
        return self.path / "report.html"

    @property
    def plan(self):
        """The plan with which the last run was started; of one that was reopened, what commands change of it."""
        return self.reopened_plan if self.calls[-1][0] == "reopen" else self.calls[-1][1]

    @plan.setter
    def plan(self, plan):
        self.reopened_plan = plan
