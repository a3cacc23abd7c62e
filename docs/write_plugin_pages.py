"""Fill in what the pages docs/plugins/*.md show of the code: generated packages, and the rules of the conformance kit.

Run it as ``python docs/write_plugin_pages.py``. A page has a comment ``<!-- difrun plugin new NAME --kind KIND -->``,
after which the files of that package follow, and comments ``<!-- rules KIND TOKEN -->``, after which the rules follow.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from difrun.cli.scaffold.names import names_for
from difrun.cli.scaffold.package import files_of
from difrun.plugin.registry import Registry
from difrun.testing import collect  # noqa: F401 (it imports the rules)
from difrun.testing.rules import CHECKS

PAGES = Path(__file__).with_name("plugins")
MADE = re.compile(
    r"<!-- difrun plugin new (\S+) --kind (\S+) -->\n.*?<!-- end of the package -->\n", re.DOTALL
)
RULES = re.compile(r"<!-- rules ([\w-]+)(?: (\w+))? -->\n.*?<!-- end of the rules -->\n", re.DOTALL)


def pages() -> Iterator[tuple[Path, str]]:
    """Each page, and the text that it should have."""
    for path in sorted(PAGES.glob("*.md")):
        text = MADE.sub(lambda found: _package(*found.groups()), path.read_text(encoding="utf-8"))
        yield path, RULES.sub(lambda found: _rules(*found.groups()), text)


def _package(name: str, kind: str) -> str:
    """The Python files of a new package, without its tests."""
    names = names_for(name, kind, Registry())
    files = {path: text for path, text in files_of(names).items() if path.startswith(names.package) and text}
    blocks = [f"`{path}`\n```python\n{text}```\n" for path, text in files.items()]
    start = f"<!-- difrun plugin new {name} --kind {kind} -->\n"
    return start + "\n".join(blocks) + "<!-- end of the package -->\n"


def _rules(kind: str, token: str | None) -> str:
    """The rules for a kind; with a token, those for components that provide it; with "all", those for each of them."""
    of_kind = [check for check in CHECKS if check.kind == kind]
    if token == "all":
        rules = [check for check in of_kind if not check.provides]
    else:
        rules = [check for check in of_kind if token is None or token in check.provides]
    texts = [f"* `{check.run.__name__}`: {_sentence(check.run.__doc__ or '')}" for check in rules]
    lines = [
        f"{textwrap.fill(text, 120, subsequent_indent='  ', break_on_hyphens=False)}\n" for text in texts
    ]
    start = f"<!-- rules {kind}{f' {token}' if token else ''} -->\n"
    return start + "".join(lines) + "<!-- end of the rules -->\n"


def _sentence(docstring: str) -> str:
    return " ".join(docstring.strip().split("\n\n")[0].split())


if __name__ == "__main__":
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
