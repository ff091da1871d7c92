"""One trial of local plasticity, as pure functions on blocks of presentations: what its network learns and answers."""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.engines import Engine, InferenceEngine
from jsnn.engines.stimulus import NETWORK, TRAIN, WEIGHTS, Inputs, Rasters, present_until_response
from jsnn.grid.groups import Trial
from jsnn.networks.competitive import Learned


def init(trial: Trial) -> Learned:
    """The untrained network."""
    return trial.network.init(trial.inputs.key(WEIGHTS))


def train(
    trial: Trial,
    learned: Learned,
    rasters: Rasters,
    index: Array,
    number: Array,
    n_seen: Array | int,
    n_shown: Array,
    engine: Engine,
) -> tuple[Learned, Array]:
    """Learn from the first `n_shown` batches of a block, one after the other; the counts are
    float32[n_batches, batch, n_neurons], zero for the others. `index` and `number` as in `encode`; `n_seen`: how many
    presentations came before the block.
    """
    inputs, network = trial.inputs, trial.network
    keys, root = _keys(inputs, TRAIN, number), inputs.key(TRAIN)
    n_batches, batch = index.shape

    def body(b, carry):
        *state, counts = carry

        def present(state, spikes):
            now = network.annealed(n_seen + b * inputs.batch_size)
            learned, engine_state = state
            some = spikes.reshape(rasters.spikes[b].shape), rasters.active[b], index[b] >= 0
            learned, engine_state, counts = engine.present(now, learned, engine_state, *some, inputs.dt, keys[b])
            return (learned, engine_state), counts

        key, pixels = jax.random.fold_in(root, number[b, 0]), rasters.pixels[b, 0]
        spikes = rasters.spikes[b] if inputs.again is None else rasters.spikes[b, 0]
        state, c = present_until_response(inputs, key, pixels, spikes, present, tuple(state))
        return *state, counts.at[b].set(c)

    start = learned, engine.start(network, learned), jnp.zeros((n_batches, batch, network.n_neurons))
    learned, _, counts = jax.lax.fori_loop(0, n_shown, body, start)
    return learned, counts


def respond(
    trial: Trial, learned: Learned, rasters: Rasters, purpose: Array | int, number: Array, engine: InferenceEngine
) -> Array:
    """The frozen network's counts float32[n_batches, batch, n_neurons] on a block; `number` as in `encode`."""
    return answered(trial, learned, rasters, purpose, number, engine)[0]


def answered(
    trial: Trial, learned: Learned, rasters: Rasters, purpose: Array | int, number: Array, engine: InferenceEngine
) -> tuple[Array, Array]:
    """As `respond`, and what the answers cost: the spikes of the input and those of the layer float32[n_batches, batch,
    2], those of every showing of an image that is shown again included.
    """
    inputs, network = trial.inputs, trial.network.for_inference()
    root = inputs.key(purpose)

    def spent(spikes, counts):
        return jnp.stack([jnp.sum(spikes, dtype=float), jnp.sum(counts, dtype=float)])

    def batch(arguments):
        raster, keys, _ = arguments
        counts = engine.infer(network, learned, raster.spikes, raster.active, inputs.dt, keys)
        return counts, jax.vmap(spent)(raster.spikes, counts)

    def one(arguments):
        raster, key, n = arguments

        def present(so_far, spikes):
            counts = engine.infer(network, learned, spikes[None], raster.active[None], inputs.dt, key[None])
            return so_far + spent(spikes, counts[0]), counts

        shown = jax.random.fold_in(root, n), raster.pixels, raster.spikes
        so_far, counts = present_until_response(inputs, *shown, present, jnp.zeros(2))
        return counts[0], so_far

    def one_by_one(arguments):
        return jax.lax.map(one, arguments)

    shown = rasters, _keys(inputs, purpose, number), number
    return jax.lax.map(batch if inputs.again is None else one_by_one, shown)


def _keys(inputs: Inputs, purpose: Array | int, number: Array) -> Array:
    """For what a network draws in presentations, given their numbers."""
    root = inputs.key(purpose + NETWORK)
    return jax.vmap(jax.vmap(lambda n: jax.random.fold_in(root, n)))(number)
