"""The command line: the only folder that prints, parses arguments and handles signals."""

from difrun.cli.main import main

__all__ = ["main"]
