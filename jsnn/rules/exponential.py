"""Diehl & Cook's second rule: STDP with exponential weight dependence."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Finite, NonNegative, Real
from jsnn.core.trace import Trace


@node
class Exponential(Node):
    """STDP with exponential weight dependence, at postsynaptic spikes only (Diehl & Cook 2015, §2.3, eq. 4).

        at a postsynaptic spike   dw = eta_post * (pre * exp(-beta w) - x_tar * exp(-beta (w_max - w)))

    The paper does not print beta and x_tar. 3 is the beta of Querlioz et al. (2013), whose rule this is; x_tar as in
    the power law.
    """

    eta_post: NonNegative = 1e-2
    x_tar: NonNegative = 0.4  # of depression, in units of the trace
    beta: NonNegative = 3.0  # strength of the weight dependence, 1/mV
    w_min: Real = 0.0
    w_max: Finite = 1.0
    pre_trace: Trace = Trace(additive=True)
    post_trace = None
    slow_trace = None
    updates_silent_inputs = True

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Return zeros: presynaptic spikes change nothing; see `jsnn.core.protocols.Rule.on_pre`."""
        return jnp.zeros_like(w)

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Compute dw at a postsynaptic spike; see `jsnn.core.protocols.Rule.on_post`."""
        growth, decline = jnp.exp(-self.beta * w), jnp.exp(-self.beta * (self.w_max - w))
        return self.eta_post * (pre * growth - self.x_tar * decline)
