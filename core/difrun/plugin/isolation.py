"""Import each plugin in a process of its own, to find those that end it; `difrun doctor` alone pays for that."""

import signal
import subprocess
import sys
from collections.abc import Iterable

from difrun.plugin.packages import Plugin

DONE = "difrun: the plugin was imported"
SECONDS = 60.0

_IMPORT = """
import sys
sys.path[:] = sys.argv[3:]
from difrun.plugin.registry import Registry
Registry.discover(only=[sys.argv[1]], strict=False)
sys.__stdout__.write("\\n" + sys.argv[2] + "\\n")
sys.__stdout__.flush()
"""


def how_processes_end(plugins: Iterable[Plugin], seconds: float = SECONDS) -> dict[str, str]:
    """Import every plugin in a process of its own.

    Args:
        plugins: The installed plugins.
        seconds: How long an import may take.

    Returns:
        Distribution -> how the process ended, for each plugin that ends its process or does not finish.
    """
    started = [
        (
            plugin.dist,
            subprocess.Popen(
                [sys.executable, "-c", _IMPORT, plugin.dist, DONE, *sys.path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ),
        )
        for plugin in plugins
    ]
    ends = {}
    for dist, process in started:
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            ends[dist] = f"it is not imported within {seconds:g} seconds"
            continue
        if DONE.encode() not in out:
            ends[dist] = f"it ends the process that imports it ({_end(process.returncode)})"
    return ends


def _end(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
