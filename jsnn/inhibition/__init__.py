"""Lateral inhibition: one model a file; configs, contract tests and documentation read the registry below."""

from jsnn.core.protocols import Inhibition
from jsnn.inhibition.direct import DirectInhibition
from jsnn.inhibition.layer import InhibitoryLayer
from jsnn.neurons import EulerLIF
from jsnn.synapses import Conductance

INHIBITIONS: dict[str, Inhibition] = {
    "direct": DirectInhibition(),
    "inhibitory_layer": InhibitoryLayer(),
    "conductance_layer": InhibitoryLayer(  # Diehl & Cook 2015, §2.1-2.2
        neuron=EulerLIF(tau_m=10.0, v_rest=-60.0, v_reset=-45.0, v_threshold=-40.0, refractory=2.0, adaptation=None),
        synapse=Conductance(),
        excitation=10.4,
        strength=17.0,
    ),
}
