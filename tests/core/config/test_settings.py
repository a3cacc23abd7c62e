"""Flags, environment and file: which of them wins, and that a recorded run gives the same plan again."""

from difrun.config import Plan
from difrun.plugin import Registry

TOY = ("--process", "toy")


def test_precedence_is_flag_environment_file_default(toy, call, work, in_folder, monkeypatch):
    in_folder(
        "a.toml", 'seed = 1\n[process]\nname = "toy"\ntheta = 2.0\n[train]\nsteps = 10\n[sample]\nsteps = 11'
    )

    def theta(*arguments):
        assert call("run", *TOY, *arguments)[0] == 0
        plan = work.plan
        return plan.process.options.theta, plan.train.steps, plan.sample.steps, plan.seed

    assert theta() == (1.0, 4000, 30, 0)
    assert theta("--config", "a.toml") == (2.0, 10, 11, 1)
    for name, value in {"PROCESS_THETA": "3", "TRAIN_STEPS": "20", "SAMPLE_STEPS": "21", "SEED": "2"}.items():
        monkeypatch.setenv(f"DIFRUN_{name}", value)
    assert theta("--config", "a.toml") == (3.0, 20, 21, 2)
    flags = ("--process.theta", "4", "--train.steps", "30", "--steps", "31", "--seed", "3")
    assert theta("--config", "a.toml", *flags) == (4.0, 30, 31, 3)


def test_precedence_holds_for_names_too(toy, call, work, in_folder, monkeypatch):
    in_folder("a.toml", '[sampler]\nname = "euler"\n[[guidance]]\nname = "push"\nscale = 2.0')

    def chosen(*arguments):
        assert call("run", *TOY, "--config", "a.toml", *arguments)[0] == 0
        return work.plan.sampler.name, [(g.name, g.options.scale) for g in work.plan.guidance]

    assert chosen() == ("euler", [("push", 2.0)])
    monkeypatch.setenv("DIFRUN_SAMPLER", "toy-step")
    monkeypatch.setenv("DIFRUN_GUIDANCE", "pull, push")
    assert chosen() == ("toy-step", [("pull", 1.0), ("push", 2.0)])
    assert chosen("--sampler", "heun", "--guidance", "pull", "--guidance.pull.scale", "3") == (
        "heun",
        [("pull", 3.0)],
    )


def test_options_of_a_guidance_need_its_name_where_two_have_them(toy, call, work):
    """--guidance.scale is that of the only guidance with a scale; of two it is refused, with what to write."""

    def scales(*arguments):
        code, _, err = call("run", *TOY, *arguments)
        return err if code else [(g.name, g.options.scale) for g in work.plan.guidance]

    assert scales("--guidance", "push", "--guidance.scale", "3") == [("push", 3.0)]
    assert scales("--guidance", "push", "--guidance.push.scale", "4") == [("push", 4.0)]
    both = ("--guidance", "push", "--guidance", "pull")
    assert scales(*both, "--guidance.pull.scale", "2", "--guidance.push.scale", "5") == [
        ("push", 5.0),
        ("pull", 2.0),
    ]
    refused = scales(*both, "--guidance.scale", "2")
    assert (
        "--guidance.scale is an option of guidance 'push' and guidance 'pull'; write --guidance.push.scale or"
        in refused
    )
    twice = scales("--guidance", "push", "--guidance.scale", "3", "--guidance.push.scale", "4")
    assert "is given twice" in twice
    assert "--guidance.scale" in scales("--guidance.scale", "3")


def test_options_of_a_replaced_component_do_not_pass_to_the_new_one(toy, call, work, in_folder):
    in_folder("a.toml", '[grid]\nname = "even"\nscale = 2.0\n[sampler]\nname = "toy-step"\nscale = 5.0')
    code, _, err = call("run", *TOY, "--config", "a.toml", "--sampler", "heun")
    assert code == 0
    assert work.plan.grid.options.scale == 2.0
    assert "options of sampler 'toy-step' (sampler.name in a.toml) are not used: --sampler" in err


def test_an_exact_model_drops_the_loss_of_the_file(toy, call, work, in_folder):
    in_folder("a.toml", '[loss]\nname = "plain"')
    assert call("run", *TOY, "--config", "a.toml", "--model", "toy-exact")[0] == 0
    assert work.plan.loss is None


def test_a_recorded_run_gives_the_same_plan_again(toy, call, work, in_folder):
    arguments = (
        *TOY,
        "--process.mu",
        "0.5,-1",
        "--model.predicts",
        "v",
        "--metric",
        "gap",
        "--guidance",
        "push",
    )
    assert call(*arguments, "--process.exact", "--process.t-min", "0.01")[0] == 0
    plan = work.plan
    in_folder("run.toml", plan.to_toml(torch="2.13.0"))
    assert call("--config", "run.toml")[0] == 0
    assert work.plan == plan
    assert plan.process.options.exact is True
    assert plan.process.options.mu == (0.5, -1.0)
    assert call("--config", "run.toml", "--process.no-exact", "--process.t-min", "none")[0] == 0
    assert (work.plan.process.options.exact, work.plan.process.options.t_min) == (False, None)


def test_wrong_values_name_the_source_that_they_came_from(toy, call, in_folder, monkeypatch):
    in_folder("a.toml", "[process]\ntheta = -1")
    assert "process.theta in a.toml: must be > 0" in call(*TOY, "--config", "a.toml")[2]
    in_folder("b.toml", "[process\n")
    assert "b.toml is not valid TOML" in call(*TOY, "--config", "b.toml")[2]
    monkeypatch.setenv("DIFRUN_PROCESS_THETA", "-2")
    assert "DIFRUN_PROCESS_THETA: must be > 0, <= 10; got -2.0" in call(*TOY, "--config", "a.toml")[2]
    monkeypatch.setenv("DIFRUN_SAMPLER", "huen")
    assert "DIFRUN_SAMPLER: no sampler is called 'huen'" in call(*TOY)[2]


def test_a_variable_that_nothing_reads_is_warned_of_by_every_command_with_options(
    toy, call, work, monkeypatch
):
    """Also where the run is to be quiet. One that another component reads is none."""
    monkeypatch.setenv("DIFRUN_PROCESS_TETA", "1")
    monkeypatch.setenv("DIFRUN_PROCES_THETA", "1")
    monkeypatch.setenv("DIFRUN_STEPS", "1")  # TRAIN_STEPS looks more alike; --steps is SAMPLE_STEPS
    monkeypatch.setenv("DIFRUN_N", "1")
    monkeypatch.setenv("DIFRUN_QWERTZ", "1")
    monkeypatch.setenv("DIFRUN_PROCESS_HIGH", "7")
    monkeypatch.setenv("DIFRUN_GUIDANCE_PULL_SCALE", "2")
    code, _, err = call(*TOY, "--quiet")
    assert code == 0
    assert work.plan.process.options.theta == 1.0
    end = "is set, but nothing reads a variable of that name."
    assert err.splitlines() == [
        f"Warning: DIFRUN_N {end} Did you mean 'DIFRUN_SAMPLE_N'?",
        f"Warning: DIFRUN_PROCESS_TETA {end} Did you mean 'DIFRUN_PROCESS_THETA'?",
        f"Warning: DIFRUN_PROCES_THETA {end} Did you mean 'DIFRUN_PROCESS_THETA'?",
        f"Warning: DIFRUN_QWERTZ {end}",
        f"Warning: DIFRUN_STEPS {end} Did you mean 'DIFRUN_SAMPLE_STEPS'?",
    ]
    code, out, _ = call("doctor")
    assert (code, out.count(end)) == (1, 5)


def test_an_option_at_the_top_of_a_file_is_told_its_table(toy, call, in_folder):
    for text, hint in (
        (
            "steps = 20",
            "Unknown key steps in a.toml. It belongs in a table: [sample] steps or [train] steps.",
        ),
        ("theta = 2", "[process] theta."),
        ("high = 2", "[process] high, [sampler] high or [metrics.gap] high."),
        ("sead = 2", "Unknown key sead in a.toml. Did you mean 'seed'?"),
    ):
        in_folder("a.toml", text)
        code, _, err = call(*TOY, "--config", "a.toml")
        assert code == 2
        assert hint in err


def test_the_plan_of_a_file_is_the_plan_of_its_flags(toy, call, work, in_folder):
    in_folder("a.toml", '[process]\nname = "coin"\nhigh = 7\n[model]\nname = "toy-net"')
    call("--config", "a.toml")
    from_file = work.plan
    call("--process", "coin", "--process.high", "7", "--model", "toy-net")
    assert work.plan == from_file
    assert Plan.from_dict(from_file.to_dict(), Registry.discover()) == from_file


def test_a_file_of_data_in_a_file_of_options_is_what_it_is_as_a_flag(toy, call, work, in_folder):
    path = in_folder("pts.csv", "1,2\n")
    in_folder("a.toml", '[dataset]\nname = "pts.csv"\nheld_out = 0.5')
    assert call(*TOY, "--config", "a.toml")[0] == 0
    from_file = work.plan
    assert (from_file.dataset.name, from_file.dataset.options.path) == ("file", path)
    assert call(*TOY, "--dataset", "pts.csv", "--dataset.held-out", "0.5")[0] == 0
    assert work.plan == from_file
    in_folder("other.csv", "1,2\n")
    assert call(*TOY, "--config", "a.toml", "--dataset", "other.csv")[0] == 0
    assert work.plan.dataset.options.path == path.with_name("other.csv")
    code, _, err = call(*TOY, "--config", "a.toml", "--dataset", "rings")
    assert (code, work.plan.dataset.name) == (0, "rings")
    assert "options of dataset 'file' (dataset.name in a.toml) are not used: --dataset" in err
