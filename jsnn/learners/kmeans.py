"""k-means: what as many prototypes answer, without any spikes. The reference for a layer of neurons.

It begins with one pass of mini-batches and goes on with Lloyd's algorithm until the inertia (the sum over the images of
the squared distance to the nearest prototype) stops falling.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import node


@node
class Fit:
    """Prototypes, and how they were found."""

    prototypes: Array  # float32[n_prototypes, n_input]
    inertia: float  # of all images
    n_passes: int  # over the images


def squared_distances(images: Array, prototypes: Array) -> Array:
    """|x|^2 left out, which is the same for all prototypes: [n, k] of [n, n_input] and [k, n_input]."""
    return jnp.sum(jnp.square(prototypes), axis=1) - 2.0 * images @ prototypes.T


def fit(
    key: Array, images: Array, n_prototypes: int, batch_size: int = 256, tolerance: float = 1e-4, at_most: int = 300
) -> Fit:
    """Prototypes of `images` float32[n, n_input]: a mini-batch pass, then Lloyd's passes until one of them lowers the
    inertia by no more than `tolerance` of it, or after `at_most` passes in all.
    """
    prototypes = jax.jit(first_pass, static_argnums=(2, 3))(key, images, n_prototypes, batch_size)
    step, before, n_passes = jax.jit(lloyd), float("inf"), 1
    while True:
        following, now = step(images, prototypes)
        inertia = float(now)
        if n_passes >= at_most or before - inertia <= tolerance * before < float("inf"):
            return Fit(prototypes=prototypes, inertia=inertia, n_passes=n_passes)
        prototypes, before, n_passes = following, inertia, n_passes + 1


def lloyd(images: Array, prototypes: Array, block: int = 2048) -> tuple[Array, Array]:
    """One pass of Lloyd's algorithm over `images` float32[n, n_input], `block` of them at a time: the means of the
    images that are nearest to each of `prototypes` (one that wins none stays), and the inertia of `prototypes`.
    """
    n, k = len(images), len(prototypes)
    rows = jnp.pad(jnp.arange(n), (0, -n % block), constant_values=-1).reshape(-1, block)

    def add(carry, here):
        sums, counts, inertia = carry
        x, real = images[here], (here >= 0).astype(images.dtype)
        distances = squared_distances(x, prototypes)
        nearest = jnp.argmin(distances, axis=1)
        gaps = jnp.maximum(jnp.min(distances, axis=1) + jnp.sum(jnp.square(x), axis=1), 0.0)
        sums = sums + jax.ops.segment_sum(x * real[:, None], nearest, k)
        return (sums, counts + jax.ops.segment_sum(real, nearest, k), inertia + jnp.sum(gaps * real)), None

    start = jnp.zeros_like(prototypes), jnp.zeros(k, images.dtype), jnp.zeros((), images.dtype)
    (sums, counts, inertia), _ = jax.lax.scan(add, start, rows)
    return jnp.where(counts[:, None] > 0, sums / jnp.maximum(counts, 1.0)[:, None], prototypes), inertia


def first_pass(key: Array, images: Array, n_prototypes: int, batch_size: int = 256) -> Array:
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


def responses(prototypes: Array, images: Array, block: int = 2048) -> Array:
    """One spike, in the words of `jsnn.readouts`, of the nearest prototype: counts float32[n, n_prototypes]."""
    nearest = jax.lax.map(lambda x: jnp.argmin(squared_distances(x[None], prototypes)[0]), images, batch_size=block)
    return jax.nn.one_hot(nearest, prototypes.shape[0])
