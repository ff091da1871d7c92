"""What a network is shown: images, encoded as spikes, in the order and with the random numbers of a seed.

Everything random has an address: seed -> random stream -> index of the presentation. So a run that was interrupted
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

# Random streams: the first address under a seed.
WEIGHTS, ORDER, TRAIN, ASSIGN, TEST = range(5)
NETWORK = 16  # added to TRAIN, ASSIGN and TEST: what the network draws there, apart from the encoder


@node
class Repeat(Node):
    """An image to which too few neurons respond is shown again, brighter (Diehl & Cook 2015, §2.5).

    The k-th time its pixels are 1 + k * brighter times what they are. Each time counts as a presentation; what the
    network learns meanwhile stays, and the last response counts.
    """

    min_spikes: Positive = 5.0  # spikes of the whole layer in a presentation
    brighter: NonNegative = 0.5  # increment of the intensity, relative to the first; +32 Hz at 63.75 Hz
    at_most: Count = static(default=20)  # largest number of repetitions


@node
class Inputs(Node):
    """Encoder, schedule and random seed of the images that a network is shown."""

    encoder: Encoder
    seed: Seed = 0
    dt: Positive = 1.0  # ms
    n_steps: Count = static(default=100)  # time steps of an image
    rest: Steps = static(default=0)  # time steps without input after it, part of its presentation
    again: Repeat | None = None  # None: every image is shown once
    augmentation: Augmentation | None = None  # of training images; for networks trained by gradients
    batch_size: Count = static(default=1)  # presentations that learn together

    def key(self, stream: Array | int) -> Array:
        """Derive the root of the random numbers of one stream.

        Args:
            stream: What the random numbers are for: `WEIGHTS`, `ORDER`, `TRAIN`, `ASSIGN` or `TEST`, plus `NETWORK`
                for what the
                network draws in presentations.

        Returns:
            A key, [].
        """
        return jax.random.fold_in(numerics.key(self.seed), stream)


def order(inputs: Inputs, epoch: Array, n: int) -> Array:
    """Draw the order of the training images in an epoch.

    Args:
        inputs: Inputs, of which the seed is used.
        epoch: Index of the epoch, int32[].
        n: Number of training images.

    Returns:
        A permutation, int32[n].
    """
    return jax.random.permutation(jax.random.fold_in(inputs.key(ORDER), epoch), n)


@node
class Rasters:
    """Input spikes of a chunk of presentations; dark pixels, which never fire, are left out."""

    active: Array  # int32[n_batches, batch, n_active]: indices of the inputs; n_input in unused places
    spikes: Array  # bool[n_batches, batch, n_steps + rest, n_active]
    pixels: Array  # float32[n_batches, batch, n_active] in [0, 1], that were encoded


def encode(
    inputs: Inputs, stream: Array | int, images: Array, index: Array, presentation: Array, n_active: int
) -> Rasters:
    """Encode a chunk of presentations as input spikes.

    Args:
        inputs: Encoder, number of steps and seed.
        stream: Random stream; see `Inputs.key`.
        images: uint8[n, n_input].
        index: Which of the images are shown, int32[n_batches, batch]; -1 for none.
        presentation: Index of each presentation in its stream, int32[n_batches, batch].
        n_active: Largest number of pixels of an image that are not dark (`most_active`).

    Returns:
        The rasters.
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
    """Encode one presentation, its rest included.

    Args:
        inputs: Encoder, number of steps and rest.
        key: Random key of the presentation.
        pixels: Pixel values in [0, 1], float32[n_active].

    Returns:
        bool[n_steps + rest, n_active].
    """
    return jnp.pad(inputs.encoder.encode(key, pixels, inputs.n_steps, inputs.dt), ((0, inputs.rest), (0, 0)))


def present_until_response(
    inputs: Inputs,
    key: Array,
    pixels: Array,
    spikes: Array,
    present: Callable[[Any, Array], tuple[Any, Array]],
    state: Any,
) -> tuple[Any, Array]:
    """Present an image once, or again and brighter until enough neurons respond to it (`Repeat`).

    Args:
        inputs: Inputs; `inputs.again` says how often at most.
        key: Random key of which `spikes` were drawn.
        pixels: Pixel values in [0, 1], float32[n_active].
        spikes: Input spikes of the first presentation, bool[n_steps + rest, n_active].
        present: Function of a state and input spikes; returns the next state and the spike counts, [1, n_neurons].
        state: State before the first presentation.

    Returns:
        The state after the last presentation, and its spike counts, [1, n_neurons].
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
    """Find the largest number of pixels of an image that are not dark.

    It is rounded up to a multiple of 32, so that similar data share their programs and their random numbers.

    Args:
        images: uint8[n, n_input].

    Returns:
        The number of pixels.
    """
    most = int(np.max(np.count_nonzero(images, axis=1), initial=1))
    return min(-(-most // 32) * 32, images.shape[1])
