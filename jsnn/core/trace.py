"""The trace of a spike train: what a synapse remembers of a neuron's past spikes."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Positive


@node
class Trace(Node):
    """An exponentially decaying trace: x <- x * exp(-dt / tau), then at a spike x <- 1, or x <- x + 1 if `additive`.

    With x <- 1 only the nearest spike counts; with x <- x + 1 all spikes do.
    """

    tau: Positive = 20.0  # ms
    additive: bool = static(default=False)

    def decay(self, trace: Array, dt: Array | float) -> Array:
        """Decay the trace over one time step of `dt` ms, without this step's spikes."""
        return trace * jnp.exp(-dt / self.tau)

    def step(self, trace: Array, spikes: Array, dt: Array | float) -> Array:
        """Advance the trace by one time step, this step's spikes included.

        Args:
            trace: Trace before the step, of any shape.
            spikes: Spikes of the step, bool, of the same shape.
            dt: Time step, ms.

        Returns:
            The trace after the step.
        """
        trace = self.decay(trace, dt)
        return trace + spikes if self.additive else jnp.where(spikes, 1.0, trace)
