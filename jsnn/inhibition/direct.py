"""Lateral inhibition without an inhibitory population."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative


@node
class DirectInhibition(Node):
    """Every spike of neuron k takes `strength` mV from all other neurons in the next step: the study's two-layer
    network.

        I_j = -strength * (sum_k s_k - s_j)

    which is the product with -strength * (1 - identity), without the N x N matrix.
    """

    strength: NonNegative = 120.0  # mV

    def init(self, shape: tuple[int, ...]) -> tuple[()]:
        """No state."""
        del shape
        return ()

    def step(self, state: tuple[()], spikes: Array, dt: Array | float) -> tuple[tuple[()], Array]:
        """The current that the spikes of the step before send back, `float32[batch, n_neurons]`."""
        del dt
        s = spikes.astype(float)
        return state, -self.strength * (jnp.sum(s, axis=-1, keepdims=True) - s)
