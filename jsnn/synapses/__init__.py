"""Synapses: one model a file; the registry below is what configs, contract tests and documentation read."""

from jsnn.synapses.conductance import Conductance
from jsnn.synapses.delta import Delta
from jsnn.types import Synapse

SYNAPSES: dict[str, Synapse] = {
    "delta": Delta(),
    "conductance": Conductance(),
}
