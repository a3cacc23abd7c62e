"""The command line. Only it and the conformance kit print; only it parses arguments and handles signals."""

from difrun.cli.entry_point import main

__all__ = ["main"]
