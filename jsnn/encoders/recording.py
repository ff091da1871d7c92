"""Input that an event camera has already encoded."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.data import events


@node
class Recording(Node):
    """Frames of events as an event camera recorded them, one time bin a step (`jsnn.data.events`).

    If `accumulated`, all bins are averaged into one image for every step, the share of the bins in which a pixel had an
    event: the input of a network without time (Deng et al. 2020). For networks trained by gradients.
    """

    accumulated: bool = static(default=False)

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Unpack one recording.

        Args:
            key: Not used.
            image: Packed bits of the frames, uint8[n_steps * 289].
            n_steps: Number of time bins.
            dt: Not used.

        Returns:
            Spikes float32[n_steps, 2312]; their mean, float32[1, 2312], if `accumulated`.
        """
        del key, dt
        frames = events.unpack(image.reshape(1, n_steps, -1)).reshape(n_steps, -1)
        return jnp.mean(frames, axis=0, keepdims=True) if self.accumulated else frames
