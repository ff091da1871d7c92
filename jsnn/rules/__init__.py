"""Learning rules: one model a file; configs, contract tests and documentation read the registry below."""

from jsnn.core.protocols import Rule
from jsnn.rules.exponential import Exponential
from jsnn.rules.hebbian import Hebbian
from jsnn.rules.power_law import PowerLaw
from jsnn.rules.pre_and_post import PreAndPost
from jsnn.rules.stdp import STDP
from jsnn.rules.triplet import Triplet
from jsnn.rules.weight_dependent_stdp import WeightDependentSTDP

RULES: dict[str, Rule] = {
    "stdp": STDP(),
    "weight_dependent_stdp": WeightDependentSTDP(),
    "hebbian": Hebbian(),
    "power_law": PowerLaw(),
    "exponential": Exponential(),
    "pre_and_post": PreAndPost(),
    "triplet": Triplet(),
}
