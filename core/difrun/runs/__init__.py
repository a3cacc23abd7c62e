"""Runs: compose, train, sample, evaluate, draw, save, resume. The same from Python as from the command line."""

from difrun.plugin.listener import Listener
from difrun.runs.opening import reopen, start
from difrun.runs.run import Run

__all__ = ["Listener", "Run", "reopen", "start"]
