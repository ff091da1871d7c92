"""Hebbian plasticity."""

from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative, Real
from jsnn.core.trace import Trace


@node
class Hebbian(Node):
    """Hebbian rule: spikes that are close in time strengthen the synapse, whichever came first (BindsNET's Hebbian).

        at a presynaptic spike    dw = +eta_pre * post
        at a postsynaptic spike   dw = +eta_post * pre

    Only the bounds and the normalisation of the columns keep the weights finite.
    """

    eta_pre: NonNegative = 1e-4
    eta_post: NonNegative = 1e-2
    w_min: Real = 0.0
    w_max: Real = 1.0
    pre_trace: Trace = Trace()
    post_trace: Trace = Trace()
    slow_trace = None
    updates_silent_inputs = False

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a presynaptic spike; see `jsnn.core.protocols.Rule.on_pre`."""
        return self.eta_pre * post

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a postsynaptic spike; see `jsnn.core.protocols.Rule.on_post`."""
        return self.eta_post * pre
