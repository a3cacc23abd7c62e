"""Pictures of data, samples, processes and training, as Matplotlib figures and animations.

Every function takes NumPy arrays or tensors and plain callables, and returns a `matplotlib.figure.Figure` or a `Film`
(an animation); `save` writes either to a file. The functions know nothing of runs and plugins. They do not use pyplot,
so that figures are not registered anywhere and are freed like any object. In every picture time runs from 0 (data) to
T (noise).
"""

from difrun.draw.animate import forward_animation, reverse_animation
from difrun.draw.compared import Panel, quality
from difrun.draw.fields import density_map, probability_flow_lines, score_field
from difrun.draw.files import save
from difrun.draw.film import Film
from difrun.draw.given import Given, images_given, samples_given
from difrun.draw.lines import loss_curve, paths_1d
from difrun.draw.scatter import data_and_samples

__all__ = [
    "Film",
    "Given",
    "Panel",
    "data_and_samples",
    "density_map",
    "forward_animation",
    "images_given",
    "loss_curve",
    "paths_1d",
    "probability_flow_lines",
    "quality",
    "reverse_animation",
    "samples_given",
    "save",
    "score_field",
]
