"""The command line. Only it and the conformance kit print; only it parses arguments and handles signals."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(args: "Sequence[str] | None" = None) -> None:
    """Run the command `difrun` with `args` (default: those of the process), then exit."""
    try:
        # Imported here, as Ctrl-C may come while that takes its tenth of a second.
        from difrun.cli.entry_point import main as run
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("Stopped before anything was done.", file=sys.stderr)
        sys.exit(130)
    run(args)
