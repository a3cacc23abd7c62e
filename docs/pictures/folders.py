"""Draw the folders of the core and the arrows between them into docs/architecture.md.

Usage: python docs/pictures/folders.py

An arrow from A to B says that a module of A imports from B. Imports for type checkers alone do not count. An arrow
that follows from others (A → B beside A → C → B) is left out. The folders are those of the import-linter contract
"Layers of the core" in pyproject.toml; the single modules of its last layer share a box.
"""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "difrun"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- drawn by docs/pictures/folders.py -->\n"
END = "<!-- end of the drawing -->\n"
CONTRACT = "Layers of the core"
GROUND = "ground"
KINDS = ("process", "model", "loss", "sampler", "guidance", "grid", "data", "metric")

Graph = dict[str, set[str]]


def layers() -> list[list[str]]:
    """The folders of each layer, from the top one down."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["name"] == CONTRACT]
    return [re.split(r" [|:] ", layer) for layer in contract["layers"]]


def imports(tree: ast.AST) -> set[str]:
    """The dotted names of all modules that some code imports when it runs."""
    names: set[str] = set()
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "difrun":
            names |= {f"difrun.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)
    return names


def arrows(folders: list[str]) -> Graph:
    """Folder -> the other folders that its modules import from."""
    graph: Graph = {}
    for folder in folders:
        files = sorted((CORE / folder).rglob("*.py")) if (CORE / folder).is_dir() else [CORE / f"{folder}.py"]
        names = set().union(*(imports(ast.parse(file.read_text(encoding="utf-8"))) for file in files))
        targets = {name.split(".")[1] for name in names if name.startswith("difrun.")}
        graph[folder] = targets & set(folders) - {folder}
    return graph


def without_shortcuts(graph: Graph) -> Graph:
    """The arrows that do not follow from others. Raises graphlib.CycleError where folders import each other."""
    reachable: Graph = {}
    for folder in TopologicalSorter(graph).static_order():
        reachable[folder] = graph[folder].union(*(reachable[below] for below in graph[folder]))
    return {
        folder: targets - set().union(*(reachable[below] for below in targets))
        for folder, targets in graph.items()
    }


def mermaid() -> str:
    """The picture as a Mermaid block."""
    *rows, ground = layers()
    folders = [folder for row in rows for folder in row]
    graph = arrows([*folders, *ground])
    boxed = {folder: {GROUND if to in ground else to for to in graph[folder]} for folder in folders}
    drawn = without_shortcuts({**boxed, GROUND: set()})
    order = [*folders, GROUND]
    lines = ["```mermaid", "flowchart TD"]
    lines += [f"    {folder} --> {' & '.join(sorted(drawn[folder], key=order.index))}" for folder in folders]
    lines += [
        f'    {GROUND}["{" · ".join(ground)}"]',
        "    classDef kind fill:#0072b2,color:#fff,stroke:#0072b2",
        f"    class {','.join(KINDS)} kind",
        "```",
    ]
    return "\n".join(lines) + "\n"


def redrawn(page: str) -> str:
    """The text of a page with the picture of today between its two markers."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{mermaid()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
