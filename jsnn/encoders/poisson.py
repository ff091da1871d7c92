"""Poisson spike trains."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.random import threefry_2x32

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative


@node
class Poisson(Node):
    """Poisson spike trains: each pixel x is a Poisson process of rate `intensity * x`, seen through time bins of dt.

        P(at least one event in a bin) = 1 - exp(-intensity * x * dt / 1000)

    Bins are independent and a bin holds at most one spike: with rate r the count in n bins is binomial with that
    probability, and tends to the Poisson law of mean r * n * dt as r * dt -> 0 (at 128 Hz and 1 ms two events share a
    bin, and count once, in 0.8 % of the bins). Diehl & Cook (2015) use 63.75 Hz for white, Shears & Yazdani (2020) 128
    Hz.
    """

    intensity: NonNegative = 128.0  # Hz at pixel = 1

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image; see `jsnn.core.protocols.Encoder.encode`."""
        return happens(key, -jnp.expm1(-self.intensity * image * dt / 1000.0), n_steps)


def happens(key: Array, p: Array, n: int) -> Array:
    """Draw independent events of given probabilities.

    Each event is whether a number of 32 random bits is below p * 2^32. Half of the bits are enough to decide but for
    one time in 65 536, so two numbers are made of one draw; their lower halves, which hardly ever matter, come from
    another draw that all m share. Random bits are what costs time here: so they are Threefry's own output, of which
    `jax.random.bits` discards half (it folds each pair of words into one).

    Args:
        key: Random key.
        p: Probabilities, float32[m].
        n: Number of draws of each event.

    Returns:
        bool[n, m].
    """
    key_high, key_low = jax.random.split(key)
    half = -(-p.size // 2)
    high = threefry_2x32(jax.random.key_data(key_high), jnp.arange(n * half, dtype=jnp.uint32)).reshape(n, half)
    low = jax.random.bits(key_low, (n, 1), jnp.uint32) >> 16
    below = jnp.minimum(p * 2.0**32, 2.0**32 - 2.0**8).astype(jnp.uint32)  # the largest float32 that fits
    first = (high & jnp.uint32(0xFFFF0000) | low) < below[:half]
    second = (high << 16 | low) < jnp.pad(below[half:], (0, 2 * half - p.size))
    return jnp.concatenate([first, second], axis=1)[:, : p.size]
