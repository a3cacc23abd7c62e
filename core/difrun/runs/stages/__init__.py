"""The stages of a run: train, sample, evaluate, likelihood, tune."""
