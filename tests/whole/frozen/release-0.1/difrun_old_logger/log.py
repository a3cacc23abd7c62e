"""What the logger keeps, and where it writes it. It is imported with every command: the standard library alone."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class OldLogger:
    """Keeps the losses of a run, and writes them into its folder when it is finished."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, float]] = []

    def train_step(self, step: int, loss: float) -> None:
        """Keep the loss that was reported at a step."""
        self.losses.append((step, loss))

    def run_finished(self, folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        """Write old-logger.csv: a row for each report of the training, and one for each metric."""
        rows = [("loss", step, loss) for step, loss in self.losses]
        rows += [(name, "", numbers["value"]) for name, numbers in metrics.items()]
        with (folder / "old-logger.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("what", "step", "value"), *rows])
        self.losses = []
