"""Diehl & Cook's third rule: STDP at pre- and postsynaptic spikes."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Finite, NonNegative, Positive
from jsnn.core.trace import Trace


@node
class PreAndPost(Node):
    """Depression at presynaptic spikes, the power law at postsynaptic ones (Diehl & Cook 2015, §2.3, eq. 5 and 6).

        at a presynaptic spike    dw = -eta_pre * post * (w - w_min)^mu
        at a postsynaptic spike   dw = +eta_post * (pre - x_tar) * (w_max - w)^mu

    x_tar and mu as in the power law. Weights beyond the bounds are treated as the bounds.
    """

    eta_pre: NonNegative = 1e-4
    eta_post: NonNegative = 1e-2
    x_tar: NonNegative = 0.4  # the trace at which a postsynaptic spike leaves a synapse as it is
    mu: Positive = 0.2  # exponent of the weight dependence
    w_min: Finite = 0.0
    w_max: Finite = 1.0
    pre_trace: Trace = Trace(additive=True)
    post_trace: Trace = Trace(additive=True)
    slow_trace = None
    updates_silent_inputs = True

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a presynaptic spike; see `jsnn.core.protocols.Rule.on_pre`."""
        return -self.eta_pre * post * jnp.maximum(w - self.w_min, 0.0) ** self.mu

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a postsynaptic spike; see `jsnn.core.protocols.Rule.on_post`."""
        return self.eta_post * (pre - self.x_tar) * jnp.maximum(self.w_max - w, 0.0) ** self.mu
