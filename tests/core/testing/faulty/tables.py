"""All wrong components, and the rules that each breaks: those of samplers, models, guidances, losses and data."""

from .more_tables import DECLARATIONS, DISCRETE, PROCESSES, SCHEDULES
from .wrong import IDLE, Wrong

STRONG, OFF = "Strong", "requires={'gaussian'}, off={'scale': 1.0}"
PREDICTS = "predicts_finite_numbers_of_every_kind"
ORDER, UNEVEN = "converges_at_its_declared_order", "keeps_its_order_on_an_uneven_grid"
DRAWS, STARTS = "draws_from_the_distribution_of_the_data", "starts_where_nothing_of_the_data_is_left"
COUNTS, RANDOM = "evaluates_the_model_as_often_as_declared", "draws_random_numbers_only_if_stochastic"
STATE, REPEATS = "leaves_its_state_as_it_was", "repeats_itself"
CHUNK, IMAGES = "gives_samples_that_do_not_depend_on_their_chunk", "takes_images"
INVERTS, NORMAL = "inverts_the_flow_as_it_says", "draws_noise_of_the_normal_law"
LAW, PRECISION = "approaches_the_law_of_the_data", "computes_in_the_precision_of_its_samples"
ONE = "takes_one_step_and_one_example"


def guidance(target, *rules, more="", at_least=False):
    """One whose option has a second value only where that matters: each variant is tried by every rule."""
    scaled = more or target in ("Backwards", "stronger", "weaker", "one_class", "Idle")
    return Wrong("guidance", target, rules, STRONG if scaled else "Still", more, at_least)


GUIDANCES = [
    guidance("Fine", more=OFF),
    guidance("Opposite", "leads_towards_its_class"),
    guidance("Backwards", "leads_towards_its_class"),
    guidance("stronger", "has_the_exact_score_of_its_class"),
    guidance("weaker", "has_the_exact_score_of_its_class"),
    guidance("one_class", "has_the_exact_score_of_its_class", at_least=True),
    guidance("NeverOff", "is_off_where_it_says", more=OFF),
    guidance("HalfOff", "is_off_where_it_says", more=OFF),
    guidance("Divided", PREDICTS),
    guidance("NotFinite", PREDICTS, at_least=True),
    guidance("Single", PREDICTS, at_least=True),
    guidance("Averaging", "guides_each_row_by_itself"),
    guidance("FirstRow", "guides_each_row_by_itself"),
    guidance("Random", "changes_nothing_but_the_score"),
    guidance("Counting", "changes_nothing_but_the_score"),
    guidance("Spoiling", "changes_nothing_but_the_score"),
    guidance("Scribbling", "changes_nothing_but_the_score"),
    guidance("OtherProcess", "passes_on_what_a_model_has"),
    guidance("Constant", "passes_on_what_a_model_has"),
    guidance("NoInner", "passes_on_what_a_model_has"),
    guidance("Nowhere", "passes_on_what_a_model_has", at_least=True),
    guidance("OnCpu", "guides_where_its_tensors_are"),
    guidance("Liar", "predicts_what_it_says"),
    guidance("TwoFaced", "predicts_what_it_says"),
    guidance("Gradients", "can_be_sampled"),
    guidance("Halved", "guides_in_the_precision_of_x", at_least=True),
    guidance("Single64", "guides_in_the_precision_of_x"),
    guidance("FirstTime", "guides_each_row_by_itself"),
    guidance("Switching", "changes_nothing_but_the_score", at_least=True),
    guidance("Idle", IDLE),
    guidance("always_refuses", "passes_on_what_a_model_has", at_least=True),
]

SAMPLERS = [
    Wrong("sampler", "Fine"),
    Wrong("sampler", "OwnNormal"),
    Wrong("sampler", "TwoDraws"),
    Wrong("sampler", "Wide", (LAW,)),
    Wrong("sampler", "WideOfOrder", (LAW,)),
    Wrong("sampler", "Single", (PRECISION,)),
    Wrong("sampler", "SingleChange", (PRECISION,)),
    Wrong("sampler", "Spoiling", (REPEATS,)),
    Wrong("sampler", "OverDeclared", (ORDER, UNEVEN, DRAWS)),
    Wrong("sampler", "Hasty", (ORDER,)),
    Wrong("sampler", "Rough", (ORDER,)),
    Wrong("sampler", "Secretive", (ORDER, DRAWS, COUNTS)),
    Wrong("sampler", "Greedy", (COUNTS,)),
    Wrong("sampler", "SecretlyRandom", (RANDOM, ORDER, UNEVEN), at_least=True),
    Wrong("sampler", "Silent", (RANDOM,)),
    Wrong("sampler", "Global", (REPEATS, CHUNK, IMAGES, STATE, PRECISION)),
    Wrong("sampler", "Quiet", (DRAWS, ORDER, STARTS)),
    Wrong("sampler", "OnCpu", ("runs_where_its_tensors_are",)),
    Wrong("sampler", "Remembering", (REPEATS,), at_least=True),
    Wrong("sampler", "InPlace", (REPEATS,), at_least=True),
    Wrong("sampler", "OneFormat", (ONE,), at_least=True),
    Wrong("sampler", "absent", ("can_be_made",), more="requires={'discrete'}"),
    Wrong("sampler", "Fine", ("works_in_a_tiny_run",), more="requires={'guassian'}", called="misspelt"),
]

STEPS = [
    Wrong("sampler", "Fine"),
    Wrong("sampler", "BothWays"),
    Wrong("sampler", "Equal", (UNEVEN,)),
    Wrong("sampler", "Lopsided", (INVERTS,)),
    Wrong("sampler", "Stuck", (INVERTS,)),
    Wrong("sampler", "Downward", (INVERTS,)),
    Wrong("sampler", "NoisyInverse", (INVERTS,)),
    Wrong("sampler", "Appending", (STATE,)),
    Wrong("sampler", "Overwriting", (STATE,)),
    Wrong("sampler", "Remembering", (STATE,)),
    Wrong("sampler", "Uniform", (NORMAL,)),
    Wrong("sampler", "TwoValued", (NORMAL,)),
    Wrong("sampler", "Laplace", (NORMAL,)),
    Wrong("sampler", "Student", (NORMAL,)),
    Wrong("sampler", "Divides", (STARTS,)),
    Wrong("sampler", "Zeroed", (STARTS,)),
    Wrong("sampler", "OftenRight", (DRAWS,), "Scaled", at_least=True),
    Wrong("sampler", "Idle", (IDLE,), "Scaled"),
    Wrong("sampler", "Broken", (DRAWS,)),
    Wrong("sampler", "no_sampler", ("can_be_made",)),
    Wrong("sampler", "absent", ("can_be_made",)),
    Wrong("sampler", "Mirrored", (DRAWS,)),
    Wrong("sampler", "Tired", (REPEATS,)),
    Wrong("sampler", "Mixing", (CHUNK,)),
    Wrong("sampler", "Underflow", (ONE,)),
    Wrong("sampler", "Graphic", ("keeps_no_autograd_graph",)),
    Wrong("sampler", "Channels", (IMAGES,)),
    Wrong("sampler", "OneNoise", (CHUNK,), at_least=True),
]

TAKES_CLASSES = "declares_that_it_takes_classes"
CONDITIONAL = "provides={'network', 'conditional'}"
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
    Wrong("model", "Permuted", ("gives_what_it_gets",)),
    Wrong("model", "Unseeded", ("is_restored_by_its_state",)),
    Wrong("model", "Overflowing", ("gives_what_it_gets",)),
    Wrong("model", "Levelless", ("uses_its_noise_level",)),
    Wrong("model", "Rounding", ("uses_its_noise_level",), at_least=True),
    Wrong("model", "FirstLevel", ("keeps_examples_apart",)),
    Wrong("model", "Pooling", ("keeps_examples_apart",)),
    Wrong("model", "Spare", ("gives_every_parameter_a_gradient",)),
    Wrong("model", "bad_reverse", ("reverses_as_autograd_does",)),
    Wrong("model", "Unsaved", ("is_restored_by_its_state",)),
    Wrong("model", "Rolling", ("evaluates_without_randomness",)),
    Wrong("model", "Heedless", ("knows_its_condition",)),
    Wrong("model", "Labelless", ("knows_its_classes",), more=CONDITIONAL),
    Wrong("model", "Unclassed", (TAKES_CLASSES,)),
    Wrong("model", "Plain", (TAKES_CLASSES,), more=CONDITIONAL, called="unasked", at_least=True),
    Wrong("exact", "fine_exact"),
    Wrong("exact", "shifted_exact", ("is_exact",)),
    Wrong("exact", "wide_prior", ("is_exact",)),
    Wrong("exact", "mixing", ("predicts_each_row_by_itself",)),
    Wrong("exact", "on_cpu", ("predicts_where_its_tensors_are",)),
    Wrong("exact", "two_faced", ("predicts_one_answer_in_every_kind",)),
    Wrong("exact", "coarse", ("is_finite_in_float32_at_both_ends",)),
]

MEAN, LEAST = "trains_on_the_mean_of_its_values", "is_least_for_the_exact_model"
WEIGHS, TIMES = "weighs_errors_as_declared", "draws_times_from_the_whole_range"
GIVEN = "uses_the_noise_that_it_is_given"
LOSSES = [
    Wrong("loss", "fine"),
    Wrong("loss", "Huber"),
    Wrong("loss", "Undeclared", (LEAST,)),
    Wrong("loss", "shrunk", (LEAST,)),
    Wrong("loss", "heavy", (WEIGHS,)),
    Wrong("loss", "other", (MEAN, WEIGHS)),
    Wrong("loss", "Halved", (MEAN,)),
    Wrong("loss", "Negative", ("is_one_finite_number_per_example",)),
    Wrong("loss", "Cornered", ("reaches_every_parameter",)),
    Wrong("loss", "Rolling", ("is_random_only_through_its_generator",)),
    Wrong("loss", "Seeded", ("is_random_only_through_its_generator",)),
    Wrong("loss", "late", (TIMES,)),
    Wrong("loss", "early", (TIMES,)),
    Wrong("loss", "one_time", (TIMES,)),
    Wrong("loss", "SharedTime", (TIMES,)),
    Wrong("loss", "deaf", (GIVEN,)),
    Wrong("loss", "without", (GIVEN,)),
    Wrong("loss", "doubled", (GIVEN,)),
    Wrong("loss", "Clamped"),
    Wrong("loss", "FirstColumn", ("counts_every_coordinate",)),
    Wrong("loss", "Lines", ("counts_every_coordinate",)),
    Wrong("loss", "OddRows", ("is_one_finite_number_per_example",)),
    Wrong("loss", "Single", ("computes_in_the_precision_of_its_examples",)),
    Wrong("loss", "OnCpu", ("computes_where_its_examples_are",)),
    Wrong("loss", "UniformNoise", ("draws_noise_of_the_normal_law",)),
    Wrong("loss", "idle", (IDLE,), "Scaled"),
]

DATASETS = [
    Wrong("dataset", "fine"),
    Wrong("dataset", "few_points"),
    Wrong("dataset", "fine_square"),
    Wrong("dataset", "constant", ("has_moments",)),
    Wrong("dataset", "leaking", ("holds_out_what_it_does_not_train_on",)),
    Wrong("dataset", "half_leaking", ("holds_out_what_it_does_not_train_on",)),
    Wrong("dataset", "resampled", ("holds_out_what_it_does_not_train_on",), at_least=True),
    Wrong("dataset", "wide", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "smooth", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "turned", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "misdeclared", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "stale", ("draws_fresh_examples_by_its_generator",)),
    Wrong("dataset", "few_fresh", ("draws_fresh_examples_by_its_generator",), at_least=True),
    Wrong("dataset", "sorted_images"),
    Wrong("dataset", "refused", ("is_decided_by_its_seed",)),
    Wrong("dataset", "near_copies", ("holds_out_what_it_does_not_train_on",)),
    Wrong("dataset", "rounded", ("draws_every_part_from_one_distribution",)),
    Wrong("dataset", "clipped", ("draws_every_part_from_one_distribution",), at_least=True),
    Wrong("dataset", "doubled_fresh", ("draws_fresh_examples_by_its_generator",)),
    Wrong("dataset", "unsown", ("is_decided_by_its_seed",)),
    Wrong("dataset", "global_state", ("is_decided_by_its_seed",)),
    Wrong("dataset", "fixed_size", (IDLE,), "Sized"),
    Wrong("dataset", "swapped", ("labels_examples_and_held_out_ones_alike",)),
    Wrong("dataset", "shuffled", ("labels_examples_and_held_out_ones_alike",)),
    Wrong("dataset", "one_class_held_out", ("labels_examples_and_held_out_ones_alike",), at_least=True),
    Wrong("dataset", "wrong_entropy", ("knows_the_density_of_its_distribution",)),
    Wrong("dataset", "unnormalised", ("knows_the_density_of_its_distribution",)),
    Wrong("dataset", "everywhere", ("knows_the_density_of_its_distribution",)),
]

TELLS, EFFECTS = "tells_equal_distributions_from_unequal", "measures_without_side_effects"
SIDE = "declares_the_side_that_is_worse"
METRICS = [
    Wrong("metric", "fine"),
    Wrong("metric", "spread"),
    Wrong("metric", "robust"),
    Wrong("metric", "overlap"),
    Wrong("metric", "first_thousand", ("uses_every_row",)),
    Wrong("metric", "other_reference", ("uses_every_row",)),
    Wrong("metric", "subsample", ("counts_every_row_once",)),
    Wrong("metric", "once_each", ("counts_every_row_once",)),
    Wrong("metric", "trimmed", ("sees_examples_far_out",)),
    Wrong("metric", "winsorised", ("sees_examples_far_out",)),
    Wrong("metric", "nearest", (SIDE,)),
    Wrong("metric", "falling", ("does_not_grow_with_the_number_of_rows",)),
    Wrong("metric", "half", ("measures_in_single_precision",)),
    Wrong("metric", "overflowing", ("takes_sets_of_any_kind",), at_least=True),
    Wrong("metric", "paired", ("ignores_the_order_of_rows",)),
    Wrong("metric", "cumulative", ("ignores_the_order_of_rows",)),
    Wrong("metric", "blind", ("uses_every_row", "uses_every_column")),
    Wrong("metric", "middle", ("uses_every_row",), at_least=True),
    Wrong("metric", "first_half", ("uses_every_row",), at_least=True),
    Wrong("metric", "few_references", ("uses_every_row",), at_least=True),
    Wrong("metric", "first_column", ("uses_every_column",)),
    Wrong("metric", "total", ("does_not_grow_with_the_number_of_rows",)),
    Wrong("metric", "statistic", ("does_not_grow_with_the_number_of_rows",)),
    Wrong("metric", "logarithm", ("takes_sets_of_any_kind",)),
    Wrong("metric", "two_columns", ("takes_sets_of_any_kind",)),
    Wrong("metric", "constant", (TELLS, "uses_every_row"), at_least=True),
    Wrong("metric", "faint", (TELLS,)),
    Wrong("metric", "rolling", (EFFECTS,)),
    Wrong("metric", "sorting", (EFFECTS,), at_least=True),
    Wrong("metric", "whole", (EFFECTS,), at_least=True),
    Wrong("metric", "tensors", (EFFECTS,), at_least=True),
    Wrong("metric", "upside", (SIDE,)),
    Wrong("metric", "missing", (SIDE,)),
    Wrong("metric", "unlabelled", ("declares_that_it_is_of_labels",)),
    Wrong("metric", "unconditioned", ("declares_that_it_is_of_conditions",)),
    Wrong("metric", "always_refuses", (TELLS,), at_least=True),
    Wrong("metric", "idle", (IDLE,), "Scaled"),
]

TABLES = {
    "samplers": SAMPLERS,
    "steps": STEPS,
    "processes": PROCESSES,
    "schedules": SCHEDULES,
    "discrete": DISCRETE,
    "guidances": GUIDANCES,
    "networks": NETWORKS,
    "losses": LOSSES,
    "data": DATASETS,
    "metrics": METRICS,
    "grids": DECLARATIONS,
}
"""The module of parts -> the components that are made of it."""
