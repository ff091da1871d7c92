"""Input that an event camera has encoded already."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.data import events


@node
class Recording(Node):
    """Frames of events as they were recorded, a time bin a step (`jsnn.data.events`); or `accumulated` over all bins
    into one image for every step, the share of the bins in which a pixel had an event: what a network that knows no
    time is given of a recording (Deng et al. 2020). For networks trained by gradients.
    """

    accumulated: bool = static(default=False)

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Spikes float32[n_steps or 1, 2312] of packed bits `image` uint8[n_steps * 289]."""
        del key, dt
        frames = events.unpack(image.reshape(1, n_steps, -1)).reshape(n_steps, -1)
        return jnp.mean(frames, axis=0, keepdims=True) if self.accumulated else frames
