"""Diehl & Cook's fourth rule: triplet STDP."""

from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative, Real
from jsnn.core.trace import Trace


@node
class Triplet(Node):
    """Minimal triplet rule with nearest-spike traces (Pfister & Gerstner 2006, eq. 3 and 4 with A2+ = A3- = 0).

        at a presynaptic spike    dw = -eta_pre * post
        at a postsynaptic spike   dw = +eta_post * pre * slow

    It is the rule of Diehl & Cook's released code. `slow` is the slow trace of the postsynaptic neuron *before* this
    spike: its first spike in a presentation changes nothing. There is no weight dependence, so the columns have to be
    normalised.
    """

    eta_pre: NonNegative = 1e-4
    eta_post: NonNegative = 1e-2
    w_min: Real = 0.0
    w_max: Real = 1.0
    pre_trace: Trace = Trace()
    post_trace: Trace = Trace()
    slow_trace: Trace = Trace(tau=40.0)
    updates_silent_inputs = False

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a presynaptic spike; see `jsnn.core.protocols.Rule.on_pre`."""
        return -self.eta_pre * post

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a postsynaptic spike of size 1; see `jsnn.core.protocols.Rule.slow_trace` for the size."""
        return self.eta_post * pre
