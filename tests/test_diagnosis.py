"""Diagnoses against what is known of networks made for it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jsnn.analysis.diagnosis import diagnose, similarity
from jsnn.inhibition import DirectInhibition
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.neurons import LIF
from jsnn.rules import STDP


def test_similarity_is_the_mean_cosine_of_all_pairs():
    weights = np.random.default_rng(0).random((20, 6))
    units = weights / np.linalg.norm(weights, axis=0)
    pairs = [units[:, j] @ units[:, k] for j in range(6) for k in range(6) if j != k]
    np.testing.assert_allclose(similarity(jnp.asarray(weights)), np.mean(pairs), rtol=1e-5)
    np.testing.assert_allclose(similarity(jnp.ones((20, 6))), 1, rtol=1e-6)
    np.testing.assert_allclose(similarity(jnp.eye(6)), 0, atol=1e-6)


def test_diagnosis_of_known_activity():
    """Two inputs, three neurons: the first two see input 0, the last one is never driven. One image is dark."""
    network = CompetitiveNetwork(
        n_input=2, n_neurons=3, neuron=LIF(refractory=0.0), rule=STDP(), inhibition=DirectInhibition(strength=0.0),
        tie_break="none", norm=None, gain=2.0,
    )  # fmt: skip
    learned = Learned(weights=jnp.array([[20.0, 20.0, 0.0], [0.0, 0.0, 0.0]]), theta=jnp.zeros(3))
    raster = np.zeros((10, 2, 2), bool)
    raster[[0, 4], 0, 0] = True  # 40 mV twice: each crosses 13 mV at once
    found = jax.jit(diagnose)(network, learned, raster, 1.0, jax.random.key(0))
    assert [float(x) for x in (found.output_spikes, found.silent, found.together)] == [2.0, 0.5, 0.5]
    np.testing.assert_allclose(found.drive, (2 * 40 + 2 * 40 + 0) / 3 / 2, rtol=1e-6)  # neurons, images
    np.testing.assert_allclose(found.dead, 1 / 3, rtol=1e-6)
    one = jax.jit(diagnose)(dataclasses.replace(network, tie_break="furthest"), learned, raster, 1.0, jax.random.key(0))
    assert float(one.together) == 0
    scaled = dataclasses.replace(learned, scale=jnp.array([0.5, 1.0, 1.0]))
    np.testing.assert_allclose(diagnose(network, scaled, raster, 1.0, jax.random.key(0)).drive, 120 / 3 / 2, rtol=1e-6)
