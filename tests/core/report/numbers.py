"""Numbers beside their floors, for tests of the verdict."""

LOWER, HIGHER = {"better": "lower", "ratio": True}, {"better": "higher", "ratio": True}
NOISE = {"better": "lower", "ratio": False}


def number(value, floor, sd=None, **how):
    return {"value": value, "floor": floor, **({} if sd is None else {"value_sd": sd, "floor_sd": sd}), **how}


# Two modes far apart, and a model that puts one hump into the gap: what a user was once praised for.
HUMP = {
    "sliced-w2": number(0.26, 0.2, 0.04, **LOWER),
    "energy": number(0.0071, 0.001, 0.0008, **NOISE),
    "density-coverage.density": number(0.33, 1.0, 0.015, **HIGHER),
    "density-coverage.precision": number(0.5, 0.98, 0.005, **HIGHER),
    "density-coverage.recall": number(0.985, 0.98, 0.005, **HIGHER),
}

SHARP = number(0.11, 0.1, 0.005, **LOWER)
WEAK = number(0.04, 0.036, 0.02, **LOWER)
