"""Runs: compose, train, sample, evaluate, draw, save, resume. The same from Python as from the command line."""

from difrun.listener import Listener
from difrun.runs.run import Run
from difrun.runs.start import reopen, start

__all__ = ["Listener", "Run", "reopen", "start"]
