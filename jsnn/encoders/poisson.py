"""Poisson spike trains."""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.pytree import node
from jsnn.ranges import NonNegative


@node
class Poisson:
    """A Poisson process per pixel, of rate `intensity * pixel`, seen through time bins of dt.

        P(at least one event in a bin) = 1 - exp(-intensity * x * dt / 1000)

    Bins are independent and a bin holds one spike at most: with rate r the count in n bins is binomial with that
    probability, and tends to the Poisson law of mean r * n * dt as r * dt -> 0 (at 128 Hz and 1 ms two events share a
    bin, and count once, in 0.8 % of the bins). Diehl & Cook (2015) use 63.75 Hz, the seed study 128 Hz for white.
    """

    intensity: NonNegative = 128.0  # Hz at pixel = 1

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Spikes `bool[n_steps, n_input]`."""
        p = -jnp.expm1(-self.intensity * image * dt / 1000.0)
        return jax.random.uniform(key, (n_steps, image.size)) < p
