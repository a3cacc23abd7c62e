"""Samplers: one step each, and the one loop that drives them."""

from difrun.sampler.adams import Adams
from difrun.sampler.adaptive import Adaptive
from difrun.sampler.ancestral import Ancestral
from difrun.sampler.base import Sampler
from difrun.sampler.exponential import Exponential
from difrun.sampler.fixed_step import RK4, Euler, Heun, Kutta3, Midpoint
from difrun.sampler.integration import generate, integrate, to_data
from difrun.sampler.multistep import Frame, Multistep, StepWeights
from difrun.sampler.runge_kutta import RungeKutta, Table, instants_at

__all__ = [
    "RK4",
    "Adams",
    "Adaptive",
    "Ancestral",
    "Euler",
    "Exponential",
    "Frame",
    "Heun",
    "Kutta3",
    "Midpoint",
    "Multistep",
    "RungeKutta",
    "Sampler",
    "StepWeights",
    "Table",
    "generate",
    "instants_at",
    "integrate",
    "to_data",
]
