"""Each rule of the kit has a wrong component that it alone catches; right components pass all rules."""

import pytest

from difrun.testing.cases import attempt, collect

from .faulty.wrong import Wrong, install

PREDICTS = "predicts_finite_numbers_of_every_kind"
IDLE = "has_options_that_have_an_effect"
OFF = "requires={'gaussian'}, off={'scale': 1.0}"


def guidance(target, *rules, more="", at_least=False):
    """One whose option has a second value only where that matters: each variant is tried by every rule."""
    scaled = more or target in ("Backwards", "stronger", "weaker", "Idle")
    return Wrong("guidance", target, rules, "Strong" if scaled else "Still", more, at_least)


GUIDANCES = [
    guidance("Fine", more=OFF),
    guidance("Opposite", "leads_towards_its_class"),
    guidance("Backwards", "leads_towards_its_class"),
    guidance("stronger", "has_the_exact_score_of_its_class"),
    guidance("weaker", "has_the_exact_score_of_its_class"),
    guidance("NeverOff", "is_off_where_it_says", more=OFF),
    guidance("HalfOff", "is_off_where_it_says", more=OFF),
    guidance("Divided", PREDICTS),
    guidance("NotFinite", PREDICTS, at_least=True),
    guidance("Averaging", "guides_each_row_by_itself"),
    guidance("FirstRow", "guides_each_row_by_itself"),
    guidance("Random", "changes_nothing_but_the_score"),
    guidance("Counting", "changes_nothing_but_the_score"),
    guidance("Spoiling", "changes_nothing_but_the_score"),
    guidance("OtherProcess", "passes_on_what_a_model_has"),
    guidance("Constant", "passes_on_what_a_model_has"),
    guidance("NoInner", "passes_on_what_a_model_has"),
    guidance("OnCpu", "guides_where_its_tensors_are"),
    guidance("Liar", "predicts_what_it_says"),
    guidance("TwoFaced", "predicts_what_it_says"),
    guidance("Gradients", "can_be_sampled"),
    guidance("Idle", IDLE),
]

SCALED = "requires={'gaussian', 'ode'}"
STEPS = [
    Wrong("sampler", "Fine"),
    Wrong("sampler", "Equal", ("keeps_its_order_on_an_uneven_grid",)),
    Wrong("sampler", "Appending", ("leaves_its_state_as_it_was",)),
    Wrong("sampler", "Overwriting", ("leaves_its_state_as_it_was",)),
    Wrong("sampler", "Remembering", ("leaves_its_state_as_it_was",)),
    Wrong("sampler", "Uniform", ("draws_noise_of_the_normal_law",)),
    Wrong("sampler", "TwoValued", ("draws_noise_of_the_normal_law",)),
    Wrong("sampler", "Laplace", ("draws_noise_of_the_normal_law",)),
    Wrong("sampler", "Divides", ("starts_where_nothing_of_the_data_is_left",)),
    Wrong("sampler", "Zeroed", ("starts_where_nothing_of_the_data_is_left",)),
    Wrong("sampler", "OftenRight", ("draws_from_the_distribution_of_the_data",), "Scaled", at_least=True),
    Wrong("sampler", "Idle", (IDLE,), "Scaled"),
    Wrong("sampler", "Broken", ("draws_from_the_distribution_of_the_data",)),
    Wrong("sampler", "no_sampler", ("can_be_made",)),
    Wrong("sampler", "absent", ("can_be_made",)),
]

NETWORKS = [
    Wrong("model", "Fine"),
    Wrong("model", "Plain"),
    Wrong("model", "Frozen"),
    Wrong("model", "Wide", (), "Scaled"),
    Wrong("model", "Stray", ("computes_where_its_parameters_are",)),
    Wrong("model", "MadeOnCpu", ("computes_where_its_parameters_are",)),
    Wrong("model", "Normalised", ("keeps_examples_apart_in_training",)),
    Wrong("model", "Centred", ("keeps_examples_apart_in_training",)),
    Wrong("model", "CastLevel", ("computes_in_the_precision_of_its_parameters",)),
    Wrong("model", "CastHidden", ("computes_in_the_precision_of_its_parameters",), at_least=True),
    Wrong("model", "Idle", (IDLE,), "Scaled"),
    Wrong("exact", "fine_exact"),
    Wrong("exact", "mixing", ("predicts_each_row_by_itself",)),
    Wrong("exact", "on_cpu", ("predicts_where_its_tensors_are",)),
]

LOSSES = [
    Wrong("loss", "fine"),
    Wrong("loss", "Huber"),
    Wrong("loss", "Undeclared", ("is_least_for_the_exact_model",)),
    Wrong("loss", "late", ("draws_times_from_the_whole_range",)),
    Wrong("loss", "early", ("draws_times_from_the_whole_range",)),
    Wrong("loss", "one_time", ("draws_times_from_the_whole_range",)),
    Wrong("loss", "deaf", ("uses_the_noise_that_it_is_given",)),
    Wrong("loss", "without", ("uses_the_noise_that_it_is_given",)),
    Wrong("loss", "doubled", ("uses_the_noise_that_it_is_given",)),
    Wrong("loss", "idle", (IDLE,), "Scaled"),
    Wrong("grid", "idle_grid", (IDLE,), "Scaled"),
    Wrong("grid", "random_grid", ("is_the_same_every_time",)),
    Wrong("grid", "stuck", ("runs_from_the_horizon_to_t_min",)),
]

DATASETS = [
    Wrong("dataset", "fine"),
    Wrong("dataset", "few_points"),
    Wrong("dataset", "fine_square"),
    Wrong("dataset", "leaking", ("holds_out_what_it_does_not_train_on",)),
    Wrong("dataset", "half_leaking", ("holds_out_what_it_does_not_train_on",)),
    Wrong("dataset", "wide", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "smooth", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "turned", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "misdeclared", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "stale", ("draws_fresh_examples_by_its_generator",)),
    Wrong("dataset", "unsown", ("is_decided_by_its_seed",)),
    Wrong("dataset", "global_state", ("is_decided_by_its_seed",)),
    Wrong("dataset", "fixed_size", (IDLE,), "Sized"),
    Wrong("dataset", "swapped", ("labels_examples_and_held_out_ones_alike",)),
    Wrong("dataset", "shuffled", ("labels_examples_and_held_out_ones_alike",)),
    Wrong("dataset", "wrong_entropy", ("knows_the_density_of_its_distribution",)),
    Wrong("dataset", "unnormalised", ("knows_the_density_of_its_distribution",)),
    Wrong("dataset", "everywhere", ("knows_the_density_of_its_distribution",)),
]

METRICS = [
    Wrong("metric", "fine"),
    Wrong("metric", "spread"),
    Wrong("metric", "paired", ("ignores_the_order_of_rows",)),
    Wrong("metric", "cumulative", ("ignores_the_order_of_rows",)),
    Wrong("metric", "blind", ("uses_every_row",)),
    Wrong("metric", "first_half", ("uses_every_row",), at_least=True),
    Wrong("metric", "few_references", ("uses_every_row",), at_least=True),
    Wrong("metric", "total", ("does_not_grow_with_the_number_of_rows",)),
    Wrong("metric", "statistic", ("does_not_grow_with_the_number_of_rows",)),
    Wrong("metric", "logarithm", ("takes_sets_of_any_kind",)),
    Wrong("metric", "two_columns", ("takes_sets_of_any_kind",)),
    Wrong("metric", "constant", ("tells_equal_distributions_from_unequal", "uses_every_row")),
    Wrong("metric", "idle", (IDLE,), "Scaled"),
]

TABLES = {
    "guidances": GUIDANCES,
    "steps": STEPS,
    "networks": NETWORKS,
    "losses": LOSSES,
    "data": DATASETS,
    "metrics": METRICS,
}


def broken(dist):
    """Component -> rules that it breaks, in any of its variants."""
    found = {}
    for case in collect(dist)[0]:
        if case.id.startswith("distribution-"):
            continue
        kind, name = case.subject.entry.kind, case.subject.entry.name
        rules = found.setdefault(f"{kind}:{name}", set())
        outcome = attempt(case)
        if outcome.status == "failed":
            assert outcome.measured
            assert outcome.expected
            assert case.check.sentence in outcome.text
            rules.add(case.check.name)
    return found


@pytest.mark.parametrize("parts", TABLES)
def test_each_wrong_component_breaks_its_rule_and_no_other(site, parts, capsys):
    """And a right one breaks none. The table is printed."""
    table = TABLES[parts]
    install(site, f"difrun-wrong-{parts}", parts, table)
    seen = broken(f"difrun-wrong-{parts}")
    rows = [
        (wrong.rules[0], wrong.subject, ", ".join(sorted(seen[wrong.subject])))
        for wrong in table
        if wrong.rules
    ]
    with capsys.disabled():
        print(f"\n{'rule':45} {'wrong component':27} caught by")
        for rule, subject, caught in sorted(rows):
            print(f"{rule:45} {subject:27} {caught}")
    wrong_verdicts = {
        wrong.subject: (wrong.rules, seen[wrong.subject])
        for wrong in table
        if not (
            set(wrong.rules) <= seen[wrong.subject]
            if wrong.at_least
            else set(wrong.rules) == seen[wrong.subject]
        )
    }
    assert wrong_verdicts == {}
