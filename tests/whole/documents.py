"""The documents of the repository, as text."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_PAGES = [
    "docs/plugins.md",
    *(f"docs/plugins/{path.name}" for path in sorted(ROOT.glob("docs/plugins/*.md"))),
]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def commands():
    """The `difrun` command lines of the README, without the install command before them and without comments."""
    text = "\n".join(re.findall(r"```sh\n(.*?)```", read("README.md"), re.DOTALL))
    lines = [line.split("#")[0].split("&&")[-1].split() for line in text.splitlines()]
    return [words[1:] for words in lines if words and words[0] == "difrun" and "ab2" not in words]
