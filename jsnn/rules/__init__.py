"""Rules: one model a file; the registry below is what configs, contract tests and documentation read."""

from jsnn.rules.hebbian import Hebbian
from jsnn.rules.stdp import STDP
from jsnn.rules.weight_dependent_stdp import WeightDependentSTDP
from jsnn.types import Rule

RULES: dict[str, Rule] = {
    "stdp": STDP(),
    "weight_dependent_stdp": WeightDependentSTDP(),
    "hebbian": Hebbian(),
}
