"""Current-based synapses without dynamics."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node


@node
class Delta(Node):
    """Delta synapse of current-based networks: a spike moves the membrane by its weight, at once."""

    def init(self, shape: tuple[int, ...]) -> tuple[()]:
        """Return (): the synapse has no state."""
        del shape
        return ()

    def step(
        self, state: tuple[()], excitation: Array, inhibition: Array | float, v: Array, dt: Array | float
    ) -> tuple[tuple[()], Array]:
        """Return the sum of what arrives, mV; see `jsnn.core.protocols.Synapse.step`."""
        del v, dt
        return state, excitation + inhibition

    def current_bound(self, state: tuple[()], v: Array, dt: Array | float) -> Array:
        """Return zeros: nothing remains after a step; see `jsnn.core.protocols.Synapse.current_bound`."""
        del dt
        return jnp.zeros_like(v)
