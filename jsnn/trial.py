"""One trial, as pure functions on blocks of presentations: what is shown, and to which network.

Everything random has an address: trial seed -> purpose -> number of the presentation. So a run that was interrupted
draws what it would have drawn, and two networks with the same `Inputs` see the same spikes.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.network import Learned, Network
from jsnn.pytree import node, static
from jsnn.ranges import Count, Positive, Seed
from jsnn.simulate import dense
from jsnn.types import Encoder

# What random numbers are for: the first address under a trial's seed.
WEIGHTS, ORDER, TRAIN, ASSIGN, TEST = range(5)
NETWORK = 16  # added to TRAIN, ASSIGN, TEST: what the network draws there, apart from what the encoder draws


@node
class Inputs:
    """What a network is shown, and how."""

    encoder: Encoder
    seed: Seed = 0
    dt: Positive = 1.0  # ms
    n_steps: Count = static(default=100)  # of a presentation
    batch_size: Count = static(default=1)  # presentations that learn together

    def key(self, purpose: Array | int) -> Array:
        """The root of the random numbers for one purpose."""
        return jax.random.fold_in(jax.random.key(self.seed), purpose)


@node
class Trial:
    """One run: one network on one stream of inputs."""

    inputs: Inputs
    network: Network


def init(trial: Trial) -> Learned:
    """The untrained network."""
    return trial.network.init(trial.inputs.key(WEIGHTS))


def order(inputs: Inputs, epoch: Array, n: int) -> Array:
    """The order of the n training images in an epoch."""
    return jax.random.permutation(jax.random.fold_in(inputs.key(ORDER), epoch), n)


def encode(inputs: Inputs, purpose: Array | int, images: Array, index: Array, first: Array) -> Array:
    """The input spikes of a block of presentations: bool[n_batches, n_steps, batch, n_input].

    `images` uint8[n, n_input]; `index` int32[n_batches, batch] says which of them are shown (-1: none); `first` is the
    number of the block's first presentation in its stream.
    """
    key = inputs.key(purpose)
    number = first + jnp.arange(index.size).reshape(index.shape)

    def one(arguments):
        i, n = arguments
        image = images[i].astype(jnp.float32) / 255.0
        return inputs.encoder.encode(jax.random.fold_in(key, n), image, inputs.n_steps, inputs.dt)

    # One image at a time on a CPU, where a raster then stays in cache (3 times as fast as all at once).
    at_once = 1 if jax.default_backend() == "cpu" else index.size
    rasters = jax.lax.map(one, (index.ravel(), number.ravel()), batch_size=at_once)
    return jnp.swapaxes(rasters.reshape(*index.shape, *rasters.shape[1:]), 1, 2)


def train(
    trial: Trial, learned: Learned, rasters: Array, index: Array, first: Array, n_active: int | None = None
) -> tuple[Learned, Array]:
    """Learn from a block of batches, one after the other; the counts are float32[n_batches, batch, n_neurons].

    Batches without a presentation (`index` all -1) change nothing. For `n_active` see `dense.present`.
    """
    key, dt = trial.inputs.key(TRAIN + NETWORK), trial.inputs.dt
    n_batches, batch = index.shape

    def body(b, carry):
        learned, counts = carry
        number = jax.random.fold_in(key, first + b * batch)
        learned, c, _ = dense.present(trial.network, learned, rasters[b], index[b] >= 0, dt, number, n_active)
        return learned, counts.at[b].set(c)

    counts = jnp.zeros((n_batches, batch, trial.network.n_neurons))
    return jax.lax.fori_loop(0, jnp.sum(jnp.any(index >= 0, axis=1)), body, (learned, counts))


def respond(trial: Trial, learned: Learned, rasters: Array, purpose: Array | int, first: Array) -> Array:
    """The frozen network's counts float32[n_batches, batch, n_neurons] on a block of batches."""
    key = trial.inputs.key(purpose + NETWORK)

    def one(arguments):
        raster, b = arguments
        number = jax.random.fold_in(key, first + b * raster.shape[1])
        return dense.respond(trial.network, learned, raster, trial.inputs.dt, number)[0]

    return jax.lax.map(one, (rasters, jnp.arange(rasters.shape[0])))
