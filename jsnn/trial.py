"""One trial, as pure functions on blocks of presentations: what is shown, and to which network.

Everything random has an address: trial seed -> purpose -> number of the presentation. So a run that was interrupted
draws what it would have drawn, and two networks with the same `Inputs` see the same spikes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.network import Learned, Network
from jsnn.pytree import node, static
from jsnn.ranges import Count, Positive, Seed
from jsnn.simulate import Engine, Responder
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


@node
class Rasters:
    """Input spikes of a block of presentations. Most pixels of an image are dark and never fire: they are left out."""

    active: Array  # int32[n_batches, batch, n_active]: which inputs the spikes are of; n_input: of none
    spikes: Array  # bool[n_batches, batch, n_steps, n_active]


def encode(inputs: Inputs, purpose: Array | int, images: Array, index: Array, number: Array, n_active: int) -> Rasters:
    """The input spikes of a block of presentations.

    `images` uint8[n, n_input]; `index` int32[n_batches, batch] says which of them are shown (-1: none); `number`
    (likewise) which presentations of their stream they are. `n_active` is the most pixels of an image that are not dark
    (`most_active`).
    """
    key = inputs.key(purpose)
    n_input = images.shape[1]

    def one(arguments):
        i, n = arguments
        active = jnp.nonzero(images[i], size=n_active, fill_value=n_input)[0].astype(jnp.int32)
        image = images[i].at[active].get(mode="fill", fill_value=0).astype(float) / 255.0
        return active, inputs.encoder.encode(jax.random.fold_in(key, n), image, inputs.n_steps, inputs.dt)

    # One image at a time on a CPU, where a raster then stays in cache (3 times as fast as all at once).
    at_once = 1 if jax.default_backend() == "cpu" else index.size
    active, spikes = jax.lax.map(one, (index.ravel(), number.ravel()), batch_size=at_once)
    return Rasters(active=active.reshape(*index.shape, -1), spikes=spikes.reshape(*index.shape, *spikes.shape[1:]))


def most_active(images: np.ndarray) -> int:
    """How many pixels of an image are not dark, at most; rounded up to a multiple of 32, so that similar data share
    their programs and their random numbers.
    """
    most = int(np.max(np.count_nonzero(images, axis=1), initial=1))
    return min(-(-most // 32) * 32, images.shape[1])


def train(
    trial: Trial,
    learned: Learned,
    rasters: Rasters,
    index: Array,
    number: Array,
    age: Array | int,
    n_shown: Array,
    engine: Engine,
) -> tuple[Learned, Array]:
    """Learn from the first `n_shown` batches of a block, one after the other; the counts are
    float32[n_batches, batch, n_neurons], zero for the others. `index` and `number` as in `encode`; `age`: how many
    presentations came before the block.
    """
    dt, network = trial.inputs.dt, trial.network
    keys = _keys(trial.inputs, TRAIN, number)
    n_batches, batch = index.shape

    def body(b, carry):
        learned, memo, counts = carry
        learned, memo, c = engine.present(
            network.at(age + b * trial.inputs.batch_size),
            learned,
            memo,
            rasters.spikes[b],
            rasters.active[b],
            index[b] >= 0,
            dt,
            keys[b],
        )
        return learned, memo, counts.at[b].set(c)

    start = learned, engine.start(network, learned), jnp.zeros((n_batches, batch, network.n_neurons))
    learned, _, counts = jax.lax.fori_loop(0, n_shown, body, start)
    return learned, counts


def respond(
    trial: Trial, learned: Learned, rasters: Rasters, purpose: Array | int, number: Array, engine: Responder
) -> Array:
    """The frozen network's counts float32[n_batches, batch, n_neurons] on a block; `number` as in `encode`."""

    network = trial.network.asked()

    def one(arguments):
        raster, keys = arguments
        return engine.respond(network, learned, raster.spikes, raster.active, trial.inputs.dt, keys)

    return jax.lax.map(one, (rasters, _keys(trial.inputs, purpose, number)))


def _keys(inputs: Inputs, purpose: Array | int, number: Array) -> Array:
    """For what a network draws in presentations, given their numbers."""
    root = inputs.key(purpose + NETWORK)
    return jax.vmap(jax.vmap(lambda n: jax.random.fold_in(root, n)))(number)
