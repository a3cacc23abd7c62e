"""Rules for a distribution as a whole."""

import ast
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from difrun.plugin.packages import canonical
from difrun.plugin.registry import Registry
from difrun.testing.rules import check
from difrun.testing.verdict import ensure

HEAVY = ("torch", "numpy", "matplotlib", "scipy")


@check("distribution")
def declares_itself_without_torch(dist: Any) -> None:
    """Importing an entry module and calling its hooks imports neither torch, NumPy, SciPy nor Matplotlib."""
    modules = dist.modules
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    module = importlib.import_module(name.partition(':')[0])\n"
        "    for hook in [value for key, value in vars(module).items() if hasattr(value, 'difrun_impl')]:\n"
        "        hook() if not hook.__code__.co_argcount else None\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    ensure(result.returncode == 0, f"importing {modules} fails: {result.stderr[-2000:]}", "no error")
    imported = result.stdout.strip()
    ensure(
        imported == "[]", f"importing {modules} imports {imported}", "targets that are imported on use alone"
    )


@check("distribution")
def clashes_with_no_name_of_the_core(dist: Any) -> None:
    """No component has the name of one of the core's components, or of another component of the distribution."""
    own = {entry.qualified for entry in dist.entries}
    clashing = {pair: names for pair, names in dist.registry.clashes.items() if own & set(names)}
    ensure(not clashing, f"clashes: {clashing}", "names that nothing else has")


@check("distribution")
def depends_on_a_range_of_difrun(dist: Any) -> None:
    """The metadata require difrun with an upper bound, so that a later core cannot break the plugin unnoticed."""
    requirements = [Requirement(text) for text in importlib.metadata.requires(dist.name) or []]
    core = [
        requirement
        for requirement in requirements
        if requirement.name == "difrun" and requirement.marker is None
    ]
    ensure(core, f"{dist.name} does not require difrun", "'difrun>=X,<Y' among its dependencies")
    operators = {specifier.operator for requirement in core for specifier in requirement.specifier}
    ensure(operators & {"<", "<=", "==", "~="}, f"'{core[0]}' has no upper bound", "'difrun>=X,<Y'")
    version = importlib.metadata.version("difrun")
    ensure(
        core[0].specifier.contains(version, prereleases=True),
        f"'{core[0]}' excludes difrun {version}",
        "a range that contains it",
    )


@check("distribution")
def is_the_only_plugin_installed(dist: Any) -> None:
    """Under DIFRUN_ISOLATED=1 no other plugin is installed: the plugin is tested alone with the core."""
    installed = {plugin.dist for plugin in Registry.discover(only=dist.name).plugins} - {"difrun"}
    ensure(installed == {dist.name}, f"installed: {', '.join(sorted(installed))}", dist.name)


@check("distribution")
def imports_only_what_it_declares(dist: Any) -> None:
    """Its packages import only the standard library, themselves, and distributions that it requires."""
    own = {*dist.modules, *(entry.component.target for entry in dist.entries)}
    own = {name.split(":")[0].split(".")[0] for name in own}
    required = {canonical(Requirement(text).name) for text in importlib.metadata.requires(dist.name) or []}
    known = own | {name.replace("-", "_") for name in required} | set(sys.stdlib_module_names)
    # A distribution may bring modules of other names: attrs brings attr.
    for module, brought_by in importlib.metadata.packages_distributions().items():
        if required & set(map(canonical, brought_by)):
            known.add(module)
    undeclared = {
        f"{path.name} imports {name}" for path in _files(own) for name in _imported(path) if name not in known
    }
    ensure(
        not undeclared,
        ", ".join(sorted(undeclared)),
        f"that {dist.name} declares them: add to its dependencies",
    )


def _files(packages: set[str]) -> list[Path]:
    """The Python files of packages and of single modules."""
    files: list[Path] = []
    for name in sorted(packages):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            files += [
                file for folder in spec.submodule_search_locations for file in Path(folder).rglob("*.py")
            ]
        elif spec is not None and spec.origin:
            files.append(Path(spec.origin))
    return files


def _imported(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere; relative imports are left out."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            packages.add(str(node.module).partition(".")[0])
    return packages
