"""Lateral inhibition without a population of inhibitory neurons."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative


@node
class DirectInhibition(Node):
    """Direct lateral inhibition: every spike takes `strength` mV from all other neurons in the next step.

        I_j = -strength * (sum_k s_k - s_j)

    which is the product with -strength * (1 - identity), without the N x N matrix. It makes the two-layer network of
    Shears & Yazdani (2020).
    """

    strength: NonNegative = 120.0  # mV

    def init(self, shape: tuple[int, ...]) -> tuple[()]:
        """Return (): this inhibition has no state."""
        del shape
        return ()

    def step(self, state: tuple[()], spikes: Array, dt: Array | float) -> tuple[tuple[()], Array]:
        """Return the inhibition caused by the spikes of the step before; see `jsnn.core.protocols.Inhibition.step`."""
        del dt
        s = spikes.astype(float)
        return state, -self.strength * (jnp.sum(s, axis=-1, keepdims=True) - s)
