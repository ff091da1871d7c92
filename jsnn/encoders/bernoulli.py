"""Bernoulli spike trains."""

import jax
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Probability


@node
class Bernoulli(Node):
    """Bernoulli spike trains: in every step each pixel x spikes with P(spike) = max_probability * x, whatever dt is.

    With `max_probability = intensity * dt / 1000` (0.128 for 128 Hz at 1 ms) the mean drive is that of a Poisson train
    of that intensity; at 1 a white pixel fires in every step, 7.8 times as much.
    """

    max_probability: Probability = 1.0  # in a step, at pixel = 1

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image; see `jsnn.core.protocols.Encoder.encode`."""
        return jax.random.uniform(key, (n_steps, image.size)) < self.max_probability * image
