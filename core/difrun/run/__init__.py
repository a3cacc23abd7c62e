"""Runs: compose, train, sample, evaluate, draw, save, resume. The same from Python as from the command line."""

from difrun.listener import Listener
from difrun.run.begin import reopen, start
from difrun.run.run import Run

__all__ = ["Listener", "Run", "reopen", "start"]
