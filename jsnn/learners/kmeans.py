"""Mini-batch k-means: what as many prototypes answer, without any spikes. The reference for a layer of neurons."""

import jax
import jax.numpy as jnp
from jax import Array


def squared_distances(images: Array, prototypes: Array) -> Array:
    """|x|^2 left out, which is the same for all prototypes: [n, k] of [n, n_input] and [k, n_input]."""
    return jnp.sum(jnp.square(prototypes), axis=1) - 2.0 * images @ prototypes.T


def fit(key: Array, images: Array, n_prototypes: int, batch_size: int = 256) -> Array:
    """Prototypes float32[n_prototypes, n_input] after one pass over `images` float32[n, n_input] in random order.

    Each is the mean of the images that were nearest to it when they were shown (Sculley 2010, Algorithm 1: its learning
    rate falls as 1 / their number); it starts as one of the images, and an image that fills no batch is left out.
    """
    n = images.shape[0]
    key_order, key_start = jax.random.split(key)
    order = jax.random.permutation(key_order, n)[: n // batch_size * batch_size].reshape(-1, batch_size)
    start = images[jax.random.choice(key_start, n, (n_prototypes,), replace=False)]

    def step(carry, rows):
        prototypes, counts = carry
        x = images[rows]
        member = jax.nn.one_hot(jnp.argmin(squared_distances(x, prototypes), axis=1), n_prototypes)
        counts = counts + jnp.sum(member, axis=0)
        gap = member.T @ x - jnp.sum(member, axis=0)[:, None] * prototypes
        return (prototypes + gap / jnp.maximum(counts, 1.0)[:, None], counts), None

    (prototypes, _), _ = jax.lax.scan(step, (start, jnp.zeros(n_prototypes)), order)
    return prototypes


def responses(prototypes: Array, images: Array) -> Array:
    """One spike, in the words of `jsnn.readout`, of the nearest prototype: counts float32[n, n_prototypes]."""
    return jax.nn.one_hot(jnp.argmin(squared_distances(images, prototypes), axis=1), prototypes.shape[0])
