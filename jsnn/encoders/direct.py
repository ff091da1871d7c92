"""Direct input: no spikes."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node


@node
class Direct(Node):
    """The pixels themselves as a constant current, the same in every step: the first layer of weights is the encoder
    (Rueckauer et al. 2017, §2.3). It multiplies, where spikes only add. For networks trained by gradients.
    """

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """The image `float32[1, n_input]`, once for all steps."""
        del key, n_steps, dt
        return jnp.asarray(image, float)[None]
