"""Why a network does not learn: what drives it, who fires, how alike its neurons are."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import node
from jsnn.engines import dense
from jsnn.networks.competitive import CompetitiveNetwork, Learned


@node
class Diagnosis:
    """Of a frozen network, as it learned (`CompetitiveNetwork.answer` apart), and some presentations: scalars."""

    drive: Array  # mV that reach a neuron through its weights in a presentation, mean
    output_spikes: Array  # a presentation
    silent: Array  # share of the presentations in which no neuron fires
    dead: Array  # share of the neurons that fire in no presentation
    similarity: Array  # mean cosine between the weights of two neurons: 1 if all have learned the same
    together: Array  # share of the presentations in which several neurons fire in the same step, at least once


def diagnose(network: CompetitiveNetwork, learned: Learned, raster: Array, dt: Array | float, key: Array) -> Diagnosis:
    """`raster` bool[n_steps, batch, n_input] are the presentations."""
    counts, recording = dense.infer(network, learned, raster, dt, key)
    arrived = jnp.sum(dense.delayed(raster), axis=0, dtype=float)
    return Diagnosis(
        drive=jnp.mean(network.gains(learned) * (arrived @ learned.weights)),
        output_spikes=jnp.mean(jnp.sum(counts, axis=1)),
        silent=jnp.mean(jnp.sum(counts, axis=1) == 0),
        dead=jnp.mean(jnp.sum(counts, axis=0) == 0),
        similarity=similarity(learned.weights),
        together=jnp.mean(jnp.any(jnp.sum(recording.spikes, axis=2) > 1, axis=0)),
    )


def similarity(weights: Array) -> Array:
    """Mean cosine between two columns of `weights` [n_input, n_neurons], over all pairs of (two or more) neurons.

    From the length of the sum of the n unit columns, |sum_j u_j|^2 = n + sum_{j != k} u_j u_k.
    """
    length = jnp.linalg.norm(weights, axis=0)
    units = weights / jnp.where(length == 0, 1.0, length)
    n = weights.shape[1]
    return (jnp.sum(jnp.square(jnp.sum(units, axis=1))) - jnp.sum(jnp.square(units))) / (n * (n - 1.0))
