"""Diehl & Cook's first rule: STDP with power-law weight dependence."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Finite, NonNegative, Positive, Real
from jsnn.core.trace import Trace


@node
class PowerLaw(Node):
    """STDP with power-law weight dependence, at postsynaptic spikes only (Diehl & Cook 2015, §2.3, eq. 3).

        at a postsynaptic spike   dw = eta_post * (pre - x_tar) * (w_max - w)^mu

    The rule is Querlioz et al.'s (2013). Synapses whose input has been active lately grow, all others shrink: those of
    silent inputs too, which takes the place of depression at presynaptic spikes. The paper does not print x_tar and mu;
    0.4 and 0.2 are what its released code still has, unused (STDP_offset, exp_ee_pre). A weight above w_max, where only
    the normalisation can have lifted it, is treated as w_max.
    """

    eta_post: NonNegative = 1e-2
    x_tar: NonNegative = 0.4  # the trace at which a synapse stays as it is
    mu: Positive = 0.2  # exponent of the weight dependence
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
        return self.eta_post * (pre - self.x_tar) * jnp.maximum(self.w_max - w, 0.0) ** self.mu
