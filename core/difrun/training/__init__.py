"""The one training loop."""

from difrun.training.batches import Batches
from difrun.training.trainer import ReportProgress, Trainer

__all__ = ["Batches", "ReportProgress", "Trainer"]
