"""A small run, as Python asks for it and as the command does."""

import numpy as np

X = np.random.default_rng(0).normal(size=(200, 2)) * [1.0, 5.0] + [0.0, 3.0]
FLAGS = (
    *(
        "--process",
        "ou",
        "--process.theta",
        0.5,
        "--sampler",
        "heun",
        "--train.steps",
        20,
        "--train.batch",
        32,
    ),
    *("--model.width", 16, "--n", 120, "--steps", 4, "--metric", "sliced-w2", "--threads", 1),
)
OPTIONS = {
    "process.theta": 0.5,
    "train.steps": 20,
    "train.batch": 32,
    "model.width": 16,
    "threads": 1,
    "device": "cpu",
}
SMALL = {"n": 120, "steps": 4, "metric": "sliced-w2"}
TINY = {key: OPTIONS[key] for key in ("train.steps", "train.batch", "threads", "device")}
