"""Rank-order code."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node


@node
class RankOrder(Node):
    """Rank-order code: every non-zero pixel spikes once, brighter ones first (Thorpe & Gautrais 1998).

        rank_i = number of pixels brighter than pixel i,      t_i = floor(n_steps * rank_i / K)

    with K the number of non-zero pixels: only the order of the pixels matters, not their values, and the ranks are
    spread over the whole presentation. Equal pixels have equal rank and fire together; a blank image is silent.
    """

    def encode(self, key: Array, image: Array, n_steps: int, dt: Array | float) -> Array:
        """Encode one image, deterministically; see `jsnn.core.protocols.Encoder.encode`."""
        del key, dt
        rank = image.size - jnp.searchsorted(jnp.sort(image), image, side="right")
        time = (n_steps * rank) // jnp.maximum(jnp.sum(image > 0), 1)
        return (jnp.arange(n_steps)[:, None] == time) & (image > 0)
