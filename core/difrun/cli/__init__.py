"""The command line. The only floor that prints, parses arguments and knows of signals."""

from difrun.cli.main import main

__all__ = ["main"]
