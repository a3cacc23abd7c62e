"""Commands run by the process of kill_server.py, which forks one for each."""

import json
import subprocess
import sys
from pathlib import Path

from .support import environ


class Server:
    """The process that forks."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            env=environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert json.loads(self.process.stdout.readline())["ready"]

    def __call__(self, cwd, *arguments, **how):
        """Run a command; its exit code, what it said, its seconds and its calls."""
        request = {"cwd": str(cwd), "arguments": [str(argument) for argument in arguments], **how}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "Traceback" not in answer["said"], answer["said"]
        return answer

    def well(self, cwd, *arguments):
        """Run a command that must succeed."""
        answer = self(cwd, *arguments)
        assert answer["code"] == 0, answer["said"]
        return answer
