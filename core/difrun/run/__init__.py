"""Runs: compose, train, sample, evaluate, draw, save, resume. The same from Python as from the command line."""

from difrun.run.run import Listener, Run, reopen, start

__all__ = ["Listener", "Run", "reopen", "start"]
