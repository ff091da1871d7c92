"""Learners: how the networks of a study learn. Local plasticity, gradients of spiking networks, and baselines without
spikes.
"""

from jsnn.learners.bptt import BPTT
from jsnn.learners.conversion import Conversion
from jsnn.learners.eprop import EProp
from jsnn.learners.gradient_learner import GradientLearner
from jsnn.learners.learner import Learner
from jsnn.learners.optimiser import Optimiser
from jsnn.learners.plasticity.learner import Plasticity

# Those that a config names on the axis "rule"; a rule of `jsnn.rules` there is learned by `Plasticity`.
LEARNERS: dict[str, Learner] = {"bptt": BPTT(), "eprop": EProp(), "conversion": Conversion()}

__all__ = [
    "BPTT",
    "LEARNERS",
    "Conversion",
    "EProp",
    "GradientLearner",
    "Learner",
    "Optimiser",
    "Plasticity",
]
