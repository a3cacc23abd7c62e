"""Docstring and place of an implementation, read from its file without importing it."""

import ast
import importlib.machinery
import importlib.util
from pathlib import Path

import attrs


@attrs.frozen
class Source:
    """Where an implementation is defined, and what its docstring says."""

    path: Path
    line: int
    docstring: str


def find_source(target: str, hops: int = 3) -> Source | None:
    """Find where ``package.module:Name`` is defined; None if only an import would tell.

    A name that the module imports from another is followed, at most `hops` times.
    """
    module, _, name = target.partition(":")
    path = module_file(module)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Source(path, node.lineno, ast.get_docstring(node) or "")
        if isinstance(node, ast.ImportFrom) and hops:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    origin = _absolute(module, node, path)
                    return find_source(f"{origin}:{alias.name}", hops - 1)
    return None


def module_file(module: str) -> Path | None:
    """Find the source file of a module. Its packages are not imported, as they may import torch."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        full = f"{spec.name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(full, list(spec.submodule_search_locations))
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _absolute(module: str, node: ast.ImportFrom, path: Path) -> str:
    """The full name of the module of a ``from ... import``."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    keep = len(parts) - node.level + (1 if path.name == "__init__.py" else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])
