"""Karras et al. (EDM): process, loss and samplers, DPM-Solver++ among them, for difrun."""
