"""Time from the shell to the answer of commands that need no torch, and a proof that they load none.

python benchmarks/startup.py [--repeats 9]
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "difrun --help": ["--help"],
    "difrun plugins": ["plugins"],
    "difrun list": ["list"],
    "difrun --process nonsense (a usage error)": ["--process", "nonsense"],
    "difrun --process ou --steps none (a usage error)": ["--process", "ou", "--steps", "none"],
}
HEAVY = ("torch", "numpy", "matplotlib")
AIM = 0.3

RUN = "from difrun.cli import main; main()"
WATCHED = f"""
import sys
try:
    {RUN}
finally:
    print("LOADED", *[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


def seconds(code: str, arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=False)
    return time.perf_counter() - start


def loaded(arguments: list[str]) -> str:
    """The heavy packages that a command loads."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], capture_output=True, text=True, check=False
    )
    return ", ".join(done.stderr.rpartition("LOADED")[2].split()) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    codes: dict[str, tuple[str, list[str]]] = {
        "python -c pass": ("pass", []),
        "python -c 'import torch'": ("import torch", []),
    }
    codes |= {name: (RUN, arguments) for name, arguments in COMMANDS.items()}
    took: dict[str, list[float]] = {name: [] for name in codes}
    for repeat in range(repeats):
        for name, (code, arguments) in codes.items():
            if "torch" not in name or repeat < 3:  # slow, and only there to compare with
                took[name].append(seconds(code, arguments))
    print("| command | seconds: median (range) | aim | torch, numpy, matplotlib in the process |")
    print("|---|---|---|---|")
    for name, times in took.items():
        aim, heavy = (f"< {AIM}", loaded(COMMANDS[name])) if name in COMMANDS else ("", "")
        median = statistics.median(times)
        print(f"| `{name}` | **{median:.2f}** ({min(times):.2f} to {max(times):.2f}) | {aim} | {heavy} |")


if __name__ == "__main__":
    main()
