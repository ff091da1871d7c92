"""Diagnosis of a network that does not learn: what drives it, which neurons fire, how similar they are."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import node
from jsnn.engines import dense
from jsnn.networks.competitive import CompetitiveNetwork, Learned


@node
class Diagnosis:
    """Scalars that describe a frozen network in some presentations, with the settings that it learns with."""

    drive: Array  # mV, mean input of a neuron through its weights in a presentation
    output_spikes: Array  # mean number of output spikes in a presentation
    silent: Array  # share of the presentations in which no neuron fires
    dead: Array  # share of the neurons that fire in no presentation
    similarity: Array  # mean pairwise cosine similarity of the neurons' weights: 1 if all are alike
    together: Array  # co-firing: share of the presentations in which several neurons fire in one step


def diagnose(network: CompetitiveNetwork, learned: Learned, raster: Array, dt: Array | float, key: Array) -> Diagnosis:
    """Present images to a frozen network and summarise its activity.

    Args:
        network: The network.
        learned: What it has learned.
        raster: Input spikes of the presentations, bool[n_steps, batch, n_input].
        dt: Time step, ms.
        key: Random key.

    Returns:
        The diagnosis.
    """
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
    """Compute the mean pairwise cosine similarity of the neurons' weights.

    It follows from the length of the sum of the n unit columns, |sum_j u_j|^2 = n + sum_{j != k} u_j u_k.

    Args:
        weights: [n_input, n_neurons] with two or more neurons.

    Returns:
        A scalar.
    """
    length = jnp.linalg.norm(weights, axis=0)
    units = weights / jnp.where(length == 0, 1.0, length)
    n = weights.shape[1]
    return (jnp.sum(jnp.square(jnp.sum(units, axis=1))) - jnp.sum(jnp.square(units))) / (n * (n - 1.0))
