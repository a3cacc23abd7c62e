"""What is to go warns for a minor version, says until when and what to use, and is listed until it is gone."""

import ast
import re

import pytest
from packaging.version import Version

import difrun

from .documents import ROOT, read

FORM = re.compile(r"(\S+) is deprecated since difrun (\d+\.\d+) and goes in (\d+\.\d+); use .+\.$")
"""What a DeprecationWarning of the core says."""


def warnings_in(source):
    """The texts of the DeprecationWarnings that a module gives: a string, or an f-string with … for its values."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and any(
            isinstance(part, ast.Name) and part.id == "DeprecationWarning"
            for part in [*node.args, *(keyword.value for keyword in node.keywords)]
        ):
            text = node.args[0]
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)


def rows(page):
    """Name -> the versions in which it was deprecated and goes, from the table of docs/plugins/stability.md."""
    part = page.split("\n## Deprecations\n", 1)[1].split("\n## ", 1)[0]
    cells = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in part.splitlines() if "|" in line
    ]
    return {name: (since, gone) for name, since, gone, _ in cells[2:] if name != "none"}


def faults(source, page, version):
    """What is wrong with the deprecations of a module and the table, a sentence for each."""
    table, texts = rows(page), list(warnings_in(source))
    found = {match[1]: match.groups()[1:] for match in map(FORM.match, texts) if match}
    wrong = [
        f"{text!r} does not say since when, until when and what to use"
        for text in texts
        if not FORM.match(text)
    ]
    wrong += [
        f"{name} warns, and is not in the table as {told}"
        for name, told in found.items()
        if table.get(name) != told
    ]
    wrong += [f"{name} is in the table, and does not warn" for name in table if name not in found]
    for name, (since, gone) in table.items():
        if Version(gone).release[:2] <= Version(since).release[:2]:
            wrong.append(f"{name} goes without a minor version of warnings")
        if Version(gone) <= Version(version):
            wrong.append(f"{name} should be gone")
    return wrong


def test_every_deprecation_of_the_core_is_listed_and_in_time():
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "core").rglob("*.py"))]
    page, told = read("docs/plugins/stability.md"), []
    for text in texts:
        told += warnings_in(text)
    source = "\n".join(f"warn({text!r}, DeprecationWarning)" for text in told)
    assert faults(source, page, difrun.__version__) == []


GOOD = 'warnings.warn("difrun.grid.old is deprecated since difrun 0.2 and goes in 0.4; use new.", DeprecationWarning)'
TABLE = "\n## Deprecations\n\n| name | deprecated in | goes in | instead |\n|---|---|---|---|\n{}\n"
ROW = "| `difrun.grid.old` | 0.2 | 0.4 | `new` |"


@pytest.mark.parametrize(
    ("source", "row", "version", "fault"),
    [
        (GOOD, ROW, "0.3.1", None),
        ("", "| none | | | |", "0.3.1", None),
        (GOOD, "| none | | | |", "0.3.1", "is not in the table"),
        (GOOD, ROW.replace("0.2", "0.3"), "0.3.1", "is not in the table as"),
        ("", ROW, "0.3.1", "does not warn"),
        (GOOD.replace("since difrun 0.2 ", ""), "| none | | | |", "0.3.1", "does not say since when"),
        (GOOD.replace("0.4", "0.2"), ROW.replace("0.4", "0.2"), "0.1.0", "without a minor version"),
        (GOOD, ROW, "0.4.0", "should be gone"),
    ],
)
def test_a_wrong_deprecation_is_found(source, row, version, fault):
    found = faults(source, TABLE.format(row), version)
    assert len(found) == (0 if fault is None else 1), found
    assert fault is None or fault in found[0]
