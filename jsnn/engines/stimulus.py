"""What a network is shown: images, encoded as spikes, in the order and with the random numbers of a seed.

Everything random has an address: trial seed -> purpose -> number of the presentation. So a run that was interrupted
draws what it would have drawn, and two networks with the same `Inputs` see the same spikes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core import numerics
from jsnn.core.protocols import Encoder
from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Count, NonNegative, Positive, Seed, Steps
from jsnn.data.augmentation import Augmentation

# What random numbers are for: the first address under a trial's seed.
WEIGHTS, ORDER, TRAIN, ASSIGN, TEST = range(5)
NETWORK = 16  # added to TRAIN, ASSIGN, TEST: what the network draws there, apart from what the encoder draws


@node
class Repeat(Node):
    """An image that too few neurons answer is shown again, brighter (Diehl & Cook 2015, §2.5): the k-th time its pixels
    are 1 + k * brighter times what they are. It counts as a presentation each time; what the network learns meanwhile
    stays, and the answer is the last one.
    """

    min_spikes: Positive = 5.0  # of the layer, in a presentation
    brighter: NonNegative = 0.5  # +32 Hz at 63.75 Hz
    at_most: Count = static(default=20)  # times


@node
class Inputs(Node):
    """What a network is shown, and how."""

    encoder: Encoder
    seed: Seed = 0
    dt: Positive = 1.0  # ms
    n_steps: Count = static(default=100)  # of an image
    rest: Steps = static(default=0)  # steps without input after it, part of its presentation
    again: Repeat | None = None  # None: every image is shown once
    augmentation: Augmentation | None = None  # of training images; for networks trained by gradients
    batch_size: Count = static(default=1)  # presentations that learn together

    def key(self, stream: Array | int) -> Array:
        """The root of the random numbers for one purpose."""
        return jax.random.fold_in(numerics.key(self.seed), stream)


def order(inputs: Inputs, epoch: Array, n: int) -> Array:
    """The order of the n training images in an epoch."""
    return jax.random.permutation(jax.random.fold_in(inputs.key(ORDER), epoch), n)


@node
class Rasters:
    """Input spikes of a block of presentations. Most pixels of an image are dark and never fire: they are left out."""

    active: Array  # int32[n_batches, batch, n_active]: which inputs the spikes are of; n_input: of none
    spikes: Array  # bool[n_batches, batch, n_steps + rest, n_active]
    pixels: Array  # float32[n_batches, batch, n_active], in [0, 1]: what they are the spikes of


def encode(
    inputs: Inputs, stream: Array | int, images: Array, index: Array, presentation: Array, n_active: int
) -> Rasters:
    """The input spikes of a block of presentations.

    `images` uint8[n, n_input]; `index` int32[n_batches, batch] says which of them are shown (-1: none); `presentation`
    (likewise) which presentations of their stream they are. `n_active` is the most pixels of an image that are not dark
    (`most_active`).
    """
    key = inputs.key(stream)
    n_input = images.shape[1]

    def one(arguments):
        i, n = arguments
        active = jnp.nonzero(images[i], size=n_active, fill_value=n_input)[0].astype(jnp.int32)
        pixels = images[i].at[active].get(mode="fill", fill_value=0).astype(float) / 255.0
        return active, spikes_of(inputs, jax.random.fold_in(key, n), pixels), pixels

    # One image at a time on a CPU, where a raster then stays in cache (3 times as fast as all at once).
    at_once = 1 if jax.default_backend() == "cpu" else index.size
    made = jax.lax.map(one, (index.ravel(), presentation.ravel()), batch_size=at_once)
    active, spikes, pixels = (x.reshape(*index.shape, *x.shape[1:]) for x in made)
    return Rasters(active=active, spikes=spikes, pixels=pixels)


def spikes_of(inputs: Inputs, key: Array, pixels: Array) -> Array:
    """The input spikes of one presentation, its rest included: bool[n_steps + rest, n_active]."""
    return jnp.pad(inputs.encoder.encode(key, pixels, inputs.n_steps, inputs.dt), ((0, inputs.rest), (0, 0)))


def present_until_response(
    inputs: Inputs,
    key: Array,
    pixels: Array,
    spikes: Array,
    present: Callable[[Any, Array], tuple[Any, Array]],
    state: Any,
) -> tuple[Any, Array]:
    """Show an image once, or until enough neurons answer it: `present(state, spikes)` gives the next state and the
    counts [1, n_neurons]. `key` is that of the image's `spikes`.
    """
    again = inputs.again
    if again is None:
        return present(state, spikes)

    def show(carry):
        k, state, spikes, _, _ = carry
        state, counts = present(state, spikes)
        more = (jnp.sum(counts) < again.min_spikes) & (k <= again.at_most) & jnp.any(pixels > 0)

        def brighter():
            return spikes_of(inputs, jax.random.fold_in(key, k), pixels * (1.0 + again.brighter * k))

        return k + 1, state, jax.lax.cond(more, brighter, lambda: spikes), counts, more

    silent = jax.eval_shape(present, state, spikes)[1]
    start = jnp.array(1), state, spikes, jnp.zeros(silent.shape, silent.dtype), jnp.array(True)
    _, state, _, counts, _ = jax.lax.while_loop(lambda carry: carry[-1], show, start)
    return state, counts


def most_active(images: np.ndarray) -> int:
    """How many pixels of an image are not dark, at most; rounded up to a multiple of 32, so that similar data share
    their programs and their random numbers.
    """
    most = int(np.max(np.count_nonzero(images, axis=1), initial=1))
    return min(-(-most // 32) * 32, images.shape[1])
