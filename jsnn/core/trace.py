"""The trace of a spike train: what a synapse remembers of a neuron's past spikes."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Positive


@node
class Trace(Node):
    """x <- x * exp(-dt / tau), then at a spike x <- 1 (nearest spike), or x <- x + 1 if `additive` (all spikes)."""

    tau: Positive = 20.0  # ms
    additive: bool = static(default=False)

    def decay(self, trace: Array, dt: Array | float) -> Array:
        """The trace one step later, without this step's spikes."""
        return trace * jnp.exp(-dt / self.tau)

    def step(self, trace: Array, spikes: Array, dt: Array | float) -> Array:
        """The trace one step later, with this step's spikes in it."""
        trace = self.decay(trace, dt)
        return trace + spikes if self.additive else jnp.where(spikes, 1.0, trace)
