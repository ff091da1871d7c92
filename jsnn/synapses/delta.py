"""Current pulses."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node


@node
class Delta(Node):
    """Every spike moves the membrane by its weight, at once and whatever the potential: the current-based networks."""

    def init(self, shape: tuple[int, ...]) -> tuple[()]:
        """No state."""
        del shape
        return ()

    def step(
        self, state: tuple[()], excitation: Array, inhibition: Array | float, v: Array, dt: Array | float
    ) -> tuple[tuple[()], Array]:
        """The sum of what arrives."""
        del v, dt
        return state, excitation + inhibition

    def current_bound(self, state: tuple[()], v: Array, dt: Array | float) -> Array:
        """Nothing is left."""
        del dt
        return jnp.zeros_like(v)
