"""Packages that listen to events, and what is wrong with them."""

START = "from difrun.api import hookimpl\n\nFOLDERS = []\n\n\n"

HEARD = {
    "right": """
@hookimpl
def difrun_run_started(folder, work):
    FOLDERS.append(folder)


@hookimpl
def difrun_train_step(folder, loss, step):
    with open(folder / "log.txt", "a") as file:
        file.write(f"{step} {loss}\\n")
""",
    "of-another-event": """
@hookimpl
def difrun_sampled(loss=None, *, metrics):
    pass
""",
    "fails-with-runs-that-fail": """
@hookimpl
def difrun_run_failed(error):
    raise error
""",
    "begins-once": """
@hookimpl
def difrun_run_started(folder):
    open(folder / "log.txt", "x").close()
""",
    "knows-runs-alone": """
@hookimpl
def difrun_run_finished(metrics, work):
    if work == "compare":
        raise KeyboardInterrupt
""",
    "clings-to-the-first": """
@hookimpl
def difrun_run_started(folder):
    FOLDERS.append(folder)


@hookimpl
def difrun_train_step(loss):
    with open(FOLDERS[0] / "log.txt", "a") as file:
        file.write(f"{loss}\\n")
""",
    "writes-late": """
@hookimpl
def difrun_run_started(folder):
    for earlier in FOLDERS:
        if earlier.is_dir():
            (earlier / "done.txt").write_text("done")
    FOLDERS.append(folder)
""",
}
"""Name -> the implementations of a package."""

RULES = {
    "of-another-event": "asks_for_what_its_events_offer",
    "fails-with-runs-that-fail": "hears_every_event_without_an_error",
    "begins-once": "hears_every_event_without_an_error",
    "knows-runs-alone": "hears_every_event_without_an_error",
    "clings-to-the-first": "writes_only_about_the_run_under_way",
    "writes-late": "writes_only_about_the_run_under_way",
}
"""Name -> the rule that such a package breaks, and no other."""
