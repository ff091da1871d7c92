"""Direct input: pixel values as currents, without spikes."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node


@node
class Direct(Node):
    """Direct encoding: the pixel values are constant currents, the same in every step (Rueckauer et al. 2017, §2.3).

    The first layer of weights is the encoder. It multiplies, where spikes only add. For networks trained by gradients.
    """

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Return the image as currents, float32[1, n_input], once for all steps.

        See `jsnn.core.protocols.Encoder.encode`.
        """
        del key, n_steps, dt
        return jnp.asarray(image, float)[None]
