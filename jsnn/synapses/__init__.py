"""Synapses: one model a file; the registry below is what configs, contract tests and documentation read."""

from jsnn.core.protocols import Synapse
from jsnn.synapses.conductance import Conductance
from jsnn.synapses.delta import Delta

SYNAPSES: dict[str, Synapse] = {
    "delta": Delta(),
    "conductance": Conductance(),
}
