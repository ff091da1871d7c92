"""Synapses: one model a file; configs, contract tests and documentation read the registry below."""

from jsnn.core.protocols import Synapse
from jsnn.synapses.conductance import Conductance
from jsnn.synapses.delta import Delta

SYNAPSES: dict[str, Synapse] = {
    "delta": Delta(),
    "conductance": Conductance(),
}
