"""What the documents list, link and show agrees with the code."""

import ast
import importlib
import re
import runpy

from difrun.api import KINDS as COMPONENTS
from difrun.cli.scaffold.kinds import KINDS
from difrun.testing import collect  # noqa: F401 (it imports the rules)
from difrun.testing.rules import CHECKS

from .documents import PLUGIN_PAGES, ROOT, read

# What a fresh virtual environment has, beside the shell's own.
FRESH = {"pip", "python", "git", "source", "cd"}


def test_every_command_of_the_readme_sets_up_what_it_runs():
    """A stranger has Python and pip: each line installs what it calls, or an earlier line has."""
    text = "\n".join(re.findall(r"```sh\n(.*?)```", read("README.md"), re.DOTALL))
    here = set(FRESH)
    for line in filter(None, (line.split("#")[0].strip() for line in text.splitlines())):
        for words in (part.split() for part in line.split("&&")):
            assert words[0] in here, f"{line}: nothing has installed {words[0]}"
            if words[:2] == ["pip", "install"]:
                here |= set(words[2:]) | ({"difrun"} if "requirements.txt" in words else set())
    ci = read(".ci/run").strip().splitlines()[-1]
    assert f"```sh\n{ci}\n```" in read("README.md"), (
        "continuous integration runs another command than the README"
    )


def test_every_hook_is_in_the_documents():
    """Each kind's hook and each event, by the name that a plugin author must write."""
    from difrun.api import KINDS
    from difrun.plugin import hooks

    for name in ("docs/plugins.md", "docs/architecture.md"):
        text = read(name)
        missing = [hook for hook in (*KINDS.values(), *hooks.EVENTS) if f"{hook}" not in text]
        assert not missing, (name, missing)


def test_the_readme_lists_every_component():
    from difrun.plugin import get_registry

    box = read("README.md").split("\n## What is in the box\n", 1)[1].split("\n## ", 1)[0]
    listed = set(re.findall(r"`([\w-]+)`", box)) | {"file"}
    plugins = {path.name for path in ROOT.glob("plugins/*") if path.is_dir()}
    # README has no room for the samplers of diffusers, one for each scheduler; its own page names them.
    dists = {"difrun", *(f"difrun-{name}" for name in plugins - {"diffusers"})}
    names = {entry.name for entry in get_registry().entries() if entry.plugin.dist in dists}
    assert listed == names | plugins


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def test_links_between_the_documents_lead_somewhere():
    folders = (ROOT, ROOT / "docs", ROOT / "docs" / "plugins", ROOT / "benchmarks", *ROOT.glob("plugins/*"))
    pages = [page for folder in folders for page in folder.glob("*.md")]
    assert len(pages) >= 27
    missing = [
        (page.relative_to(ROOT).as_posix(), link)
        for page in pages
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8"))
        if not leads_somewhere(page, link)
    ]
    assert not missing, missing


def test_the_page_of_arguments_is_the_table():
    page = runpy.run_path(str(ROOT / "docs" / "write_arguments.py"))["page"]()
    assert read("docs/arguments.md") == page, "the table has changed: run python docs/write_arguments.py"


def test_the_page_of_plugins_is_the_directory():
    page = runpy.run_path(str(ROOT / "docs" / "write_directory.py"))["page"]()
    assert read("docs/directory.md") == page, "known.toml has changed: run python docs/write_directory.py"


def test_the_pages_of_the_kinds_show_what_is_made_and_what_is_checked():
    """The packages of `difrun plugin new`, which tests/whole/test_scaffold.py runs, and the rules of the kit."""
    write = runpy.run_path(str(ROOT / "docs" / "write_plugin_pages.py"))
    pages = {path.stem: (path.read_text(encoding="utf-8"), text) for path, text in write["pages"]()}
    for name, (shown, made) in pages.items():
        assert shown == made, f"{name}.md has changed: run python docs/write_plugin_pages.py"
    kinds = {
        kind
        for shown, _ in pages.values()
        for kind in re.findall(r"difrun plugin new \S+ --kind (\S+) -->", shown)
    }
    assert kinds == KINDS.keys() == pages.keys() - {"stability"}
    listed = {
        rule for shown, _ in pages.values() for rule in re.findall(r"^\* `(\w+)`: ", shown, re.MULTILINE)
    }
    assert {check.run.__name__ for check in CHECKS if check.kind in (*COMPONENTS, "logger")} <= listed


def test_what_the_examples_import_is_stable_or_provisional(files_of):
    """Each stable name is there, and nothing that the pages or the templates import is private."""
    stable, provisional = (
        names_in_table(part) for part in read("docs/plugins/stability.md").split("\n## ")[2:4]
    )
    for module, names in stable.items():
        missing = [name for name in names if not hasattr(importlib.import_module(module), name)]
        assert not missing, (module, missing)
    imported = set()
    for page in PLUGIN_PAGES:
        for name, text in files_of(page).items():
            if name.endswith(".py"):
                imported |= imports_of_difrun(text)
    assert len(imported) > 25
    whole = {module for module, names in provisional.items() if not names}
    private = [
        (module, name)
        for module, name in sorted(imported)
        if module not in whole
        and name not in stable.get(module, ())
        and name not in provisional.get(module, ())
    ]
    assert not private, private


def names_in_table(section):
    """Module -> the names in the second column; none for a module that is there as a whole."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \|$", section, re.MULTILINE)
    assert len(rows) >= 5
    return {
        module: re.findall(r"`(\w+)`", names) if "all" not in names.split() else [] for module, names in rows
    }


def imports_of_difrun(text):
    """(Module, name) for every name that Python code imports from difrun."""
    return {
        (node.module, alias.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "difrun"
        for alias in node.names
    }


def test_the_curves_of_the_documents_are_drawn_from_their_tables():
    tables = runpy.run_path(str(ROOT / "docs" / "pictures" / "tables.py"))
    (axes,) = tables["tuning"]().axes
    assert [len(line.get_xdata()) for line in axes.lines] == [5, 5]
    assert list(axes.lines[1].get_ydata()) == [0.011, 0.0080, 0.0032, 0.0018, 0.00092]
    (axes,) = tables["likelihood"]().axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["ou", "vp", "ve", "edm", "flow", "ddpm"]
    panels = tables["quality"]().axes
    assert [panel.get_title() for panel in panels] == ["gmm8", "rings64", "gmm64d"]
    assert {len(line.get_xdata()) for panel in panels for line in panel.lines} == {7}
