"""What an argument on offer is, and the arguments of the events. Nothing here imports torch."""

import attrs


@attrs.frozen
class Argument:
    """A value that a target may ask for by naming it in its signature.

    Attributes:
        name: The name of the parameter.
        type: What the value is, as an annotation would say it.
        meaning: One line for the documentation.
    """

    name: str
    type: str
    meaning: str


RUNS = ("run", "resume")
"""The work that is a whole run. A listener that does not ask for `work` hears of the beginning and end of these."""

WORK = (*RUNS, "train", "sample", "evaluate", "likelihood", "tune", "report", "compare")
"""What may begin and end: the values of `work`."""

_WORK = Argument(
    "work",
    "str",
    f"What begins or ends: {', '.join(WORK[:-1])} or {WORK[-1]}. An implementation that does not ask for it is called "
    f"for {' and '.join(RUNS)} alone.",
)
_FOLDER = Argument("folder", "pathlib.Path", "The folder of the run, or of the results of a comparison.")
_SETTINGS = Argument(
    "settings",
    "attrs class | None",
    "The options that the plugin declares by `difrun_settings`, with their values; None if it declares none.",
)
_TRAINED = Argument("step", "int", "Training steps done so far; 0 for an exact model.")
_METRICS = "Mapping[str, Mapping[str, Any]]"
_ANY = "Mapping[str, Any]"

EVENT_ARGUMENTS: dict[str, tuple[Argument, ...]] = {
    "difrun_run_started": (
        _WORK,
        _FOLDER,
        Argument(
            "plan",
            "difrun.config.Plan",
            "Every component and option; of a comparison, those of its first run.",
        ),
        Argument(
            "config",
            _ANY,
            "The plan as run.toml has it; of a comparison, what compare.json says of all rows.",
        ),
        Argument(
            "hyperparameters",
            "Mapping[str, int | float | bool | str]",
            "The same without versions and fingerprints, flat: train.lr, process.name; lists as text.",
        ),
        _TRAINED,
        Argument("steps", "int", "Training steps in total; 0 for an exact model."),
        _SETTINGS,
    ),
    "difrun_train_step": (
        Argument("step", "int", "Steps done so far."),
        Argument("steps", "int", "Steps in total."),
        Argument("loss", "float", "The mean loss of the last steps, at most 50."),
        Argument("rate", "float", "Training steps per second."),
        Argument("lr", "float", "The learning rate of the last step."),
        _FOLDER,
    ),
    "difrun_checkpoint": (
        _FOLDER,
        _TRAINED,
        Argument("file", "pathlib.Path", "The file that holds the state of training."),
    ),
    "difrun_sample_step": (
        Argument("step", "int", "Steps done so far, over all chunks of samples."),
        Argument("steps", "int", "Steps in total."),
        _FOLDER,
    ),
    "difrun_sampled": (
        _FOLDER,
        Argument("file", "pathlib.Path", "The .npz file of the samples."),
        Argument("n", "int", "How many samples it holds."),
        Argument("facts", _ANY, "How they were drawn: sampler, grid, steps, evaluations, seconds."),
        _TRAINED,
    ),
    "difrun_evaluated": (
        _FOLDER,
        Argument(
            "metrics", _METRICS, "The numbers of each metric that was measured, as metrics.json has them."
        ),
        Argument("file", "pathlib.Path", "The file that holds the numbers."),
        _TRAINED,
    ),
    "difrun_likelihood": (
        _FOLDER,
        Argument(
            "likelihood",
            _ANY,
            "What metrics.json says of the likelihood: nll, entropy, gap and their errors.",
        ),
        Argument("file", "pathlib.Path", "The file that holds the numbers."),
        _TRAINED,
    ),
    "difrun_tuned": (
        _FOLDER,
        Argument("steps", "int", "The number of sampling steps that the sampler was tuned for."),
        Argument("tuning", _ANY, "What tuning.json says of it: the grid, and its error before and after."),
        _TRAINED,
    ),
    "difrun_compared": (
        _FOLDER,
        Argument("row", _ANY, "The new row of a comparison, as compare.json has it."),
    ),
    "difrun_picture": (
        _FOLDER,
        Argument("file", "pathlib.Path", "The picture, a .png or .gif file."),
        Argument("title", "str", "Its title in the report."),
        Argument("caption", "str", "Its caption in the report."),
        _TRAINED,
    ),
    "difrun_run_finished": (
        _FOLDER,
        Argument("metrics", _METRICS, "What metrics.json says of each metric."),
        _WORK,
        _TRAINED,
    ),
    "difrun_run_failed": (
        _WORK,
        _FOLDER,
        Argument("error", "BaseException", "What ended the work."),
        Argument("stopped", "bool", "Whether the user asked to stop; then nothing was wrong."),
        _TRAINED,
    ),
}
"""Event -> its values on offer, in the order of its specification in `difrun.plugin.hooks`."""
