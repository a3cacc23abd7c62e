"""Nothing heavy is imported before there is work to do, and answers come fast."""

import sys

import pytest

HEAVY = ("torch", "numpy", "matplotlib", "scipy", "ot", "jinja2", "tqdm", "tomli_w", "safetensors")

PROBE = f"""
    import sys
    from difrun.cli import main
    try:
        main(sys.argv[1:])
    finally:
        loaded = [name for name in {HEAVY!r} if name in sys.modules]
        print("LOADED", *loaded, file=sys.stderr)
"""

COMPLETE = {
    "_DIFRUN_COMPLETE": "bash_complete",
    "COMP_WORDS": "difrun --process toy --process.",
    "COMP_CWORD": "3",
}


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (0, ""),
        (0, "--help"),
        (0, "--version"),
        (0, "run --process toy --help"),
        (0, "sample --help"),
        (0, "compare --help"),
        (0, "list"),
        (0, "show heun"),
        (0, "plugins"),
        (0, "plugins --json"),
        (0, "plugins --matrix"),
        (0, "doctor"),
        (0, "completion bash"),
        (2, "--process toi"),
        (2, "--process coin --sampler heun"),
        (2, "--process toy --process.theta -1"),
        (2, "--process toy --device gpu"),
        (2, "--config gone.toml"),
        (2, "sample gone"),
        (2, "evaluate gone"),
        (2, "resume gone"),
        (2, "report gone"),
        (2, "nonsense"),
    ],
)
def test_answers_without_work_import_nothing_heavy(toy, code, line):
    done = toy.python(PROBE, *line.split(), DIFRUN_PLUGINS="toy")
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == "LOADED"


def test_completion_imports_nothing_heavy(toy):
    done = toy.python(PROBE, DIFRUN_PLUGINS="toy", **COMPLETE)
    assert "plain,--process.theta" in done.stdout
    assert done.stderr.splitlines()[-1] == "LOADED"


def test_import_of_every_light_module_is_light(toy):
    modules = [
        "",
        ".api",
        ".builtin",
        ".builtin.options",
        ".cli.app",
        ".config.plan",
        ".config.settings",
        ".errors",
        ".options",
        ".plugin",
        ".plugin.listener",
        ".plugin.signatures",
        ".report.verdict",
        ".storage.atomic",
        ".text",
    ]
    imports = "; ".join(f"import difrun{module}" for module in modules)
    heavy = f"{imports}; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert toy.python(heavy).stdout == "[]\n"


def test_plans_are_resolved_without_click(toy):
    code = "import sys; sys.modules['click'] = None\n"
    code += "from difrun.config import resolve\nfrom difrun.plugin.registry import get_registry\n"
    done = toy.python(
        code + "print(resolve({'process': 'toy'}, registry=get_registry()).sampler.name)",
        DIFRUN_PLUGINS="toy",
    )
    assert done.stdout == "adams\n", done.stderr


def children_s():
    """Processor time of all subprocesses that have ended."""
    import resource  # not on Windows

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count the time of subprocesses")
@pytest.mark.parametrize("line", ["--help", "plugins", "--process coin --sampler heun", "TAB"])
def test_answers_come_within_half_a_second(toy, line):
    """The least of five, in processor time: other work on the machine only ever adds to it.

    On a slow machine, at most 0.4 s above what the interpreter alone takes there.
    """
    environ = {"DIFRUN_PLUGINS": "toy", **(COMPLETE if line == "TAB" else {})}
    arguments = [] if line == "TAB" else line.split()
    bare, whole = [], []
    for _ in range(5):
        start = children_s()
        toy.python("pass")
        middle = children_s()
        done = toy.difrun(*arguments, **environ)
        bare.append(middle - start)
        whole.append(children_s() - middle)
        assert done.stdout or done.stderr
    assert min(whole) > 0
    assert min(whole) < max(0.5, min(bare) + 0.4), (whole, bare)


def test_dir_of_the_package_has_the_names_that_are_imported_when_used(site):
    done = site.python(
        "import difrun, sys; print(set(difrun.__all__) <= set(dir(difrun)), 'torch' in sys.modules)"
    )
    assert done.stdout == "True False\n", done.stderr
