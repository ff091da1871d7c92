"""Synaptic scaling slows down, and only it; the network that answers is the one that learned, but for its answer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.networks.competitive import CompetitiveNetwork, Inference
from jsnn.neurons import LIF
from jsnn.rules import STDP


@pytest.mark.parametrize("settle", [float("inf"), 15.0])
def test_scale_is_the_product_of_its_steps(settle):
    scaling = SynapticScaling(target=0.3, eta=0.02, settle=settle)
    counts = np.random.default_rng(0).poisson(0.4, (200, 3))
    scale, expected = jnp.ones(3), np.ones(3)
    for k, n in enumerate(counts):
        scale = scaling.annealed(k).step(scale, jnp.asarray(n), jnp.asarray(1))
        expected = expected * np.exp(0.02 / (1 + 0.3 * k / settle) * (0.3 - n))
    np.testing.assert_allclose(scale, expected, rtol=1e-4)


def test_rate_halves_at_settle():
    assert SynapticScaling(target=0.5, eta=0.02, settle=150.0).annealed(300).eta == pytest.approx(0.01)
    assert SynapticScaling(eta=0.02).annealed(10**9).eta == pytest.approx(0.02)


def test_a_later_age_is_not_slowed_down_twice():
    once = SynapticScaling(target=1.0, eta=0.02, settle=10.0).annealed(10)
    assert once.annealed(10).eta == pytest.approx(once.eta)


@pytest.mark.parametrize("strength", [0.0, 120.0])
def test_only_drive_and_inhibition_of_the_answer_differ(strength):
    network = CompetitiveNetwork(neuron=LIF(), rule=STDP(), answer=Inference(gain=3.0, competition=0.25))
    inhibition = dataclasses.replace(network.inhibition, strength=strength)
    network = dataclasses.replace(network, gain=0.5, inhibition=inhibition)
    for_inference = network.for_inference()
    assert (for_inference.gain, for_inference.inhibition.strength) == (1.5, strength / 4)
    assert dataclasses.replace(for_inference, gain=0.5, inhibition=inhibition) == network
    assert jax.tree.structure(for_inference) == jax.tree.structure(network)


def test_a_network_answers_as_it_learned_by_default():
    network = CompetitiveNetwork(neuron=LIF(), rule=STDP())
    assert network.for_inference() == network
