"""The one training loop."""

from difrun.training.batches import Batches
from difrun.training.trainer import Report, Trainer

__all__ = ["Batches", "Report", "Trainer"]
