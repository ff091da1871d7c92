"""Neurons: one model a file; configs, contract tests and documentation read the registry below."""

from jsnn.core.protocols import Neuron
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.neurons.euler_lif import EulerLIF
from jsnn.neurons.integrate_and_fire import IF
from jsnn.neurons.lif import LIF
from jsnn.neurons.srm0 import SRM0

NEURONS: dict[str, Neuron] = {
    "if": IF(),
    "lif": LIF(),
    "srm0": SRM0(),
    "adaptive_lif": LIF(adaptation=AdaptiveThreshold()),
    "euler_lif": EulerLIF(),
    # Membranes in units of their thresholds, for networks that are trained by gradients.
    "unit_if": IF(v_threshold=1.0, v_reset=0.0, refractory=None),
    "unit_lif": LIF(tau_m=2.0, v_rest=0.0, v_threshold=1.0, v_reset=0.0, refractory=None),
}
