"""Operations against hand counts and brute force; energy, memory, latency."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.inhibition import INHIBITIONS
from jsnn.learners import BPTT, EProp, cost
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.feedforward import Feedforward, Projection, ReLU, fan_out, synaptic_operations
from jsnn.neurons import NEURONS
from jsnn.rules import RULES

CONV = "4C3-AP2-6C5-MP2-7-3"


def test_dense_macs_are_those_of_the_papers():
    assert cost.dense_macs(Feedforward(architecture="100-10")) == [78_400, 1_000]
    stbp = Feedforward(architecture="32C3-AP2-32C3-AP2-128-10")
    assert cost.dense_macs(stbp) == [225_792, 1_806_336, 200_704, 1_280] and sum(cost.dense_macs(stbp)) == 2_234_112


def test_fan_out_is_the_number_of_outputs_that_an_input_moves():
    network = Feedforward(architecture=CONV, input_shape=(9, 11, 2), neuron=ReLU(), readout="membrane")
    for layer, seen in zip(network.layers, network.shapes, strict=False):
        n = fan_out(layer, seen)
        layer = dataclasses.replace(layer, pooling=tuple(("AP", w) for _, w in layer.pooling))
        params = jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, *seen)))
        params = jax.tree.map(lambda x: jnp.ones(x.shape), params)
        lone = jnp.eye(math.prod(seen)).reshape(-1, *seen)  # one input at a time
        moved = np.sum(np.asarray(jax.jit(layer.apply)(params, lone) != 0).reshape(len(lone), -1), axis=1)
        np.testing.assert_array_equal(np.broadcast_to(n, seen).ravel(), moved)


@pytest.mark.parametrize(
    ("pooling", "analog", "expected"),
    [
        ("AP", False, [3, 1]),  # additions of each spike
        ("AP", True, [2, 1]),  # of each mean that is not 0
        ("MP", False, [2, 1]),
        ("MP", True, [2, 1]),
    ],
)
def test_what_is_pooled_counts_as_what_comes_out_but_for_spikes_in_a_mean(pooling, analog, expected):
    x = np.zeros((2, 4, 5, 1))
    x[0, [0, 1, 2], [0, 1, 3]] = 1.0  # two in the first square, one in another
    x[1, [3, 0], [0, 4]] = 1.0  # one, and one beyond the last whole square
    found = synaptic_operations(Projection(10, pooling=((pooling, 2),)), jnp.asarray(x), analog)
    np.testing.assert_array_equal(found, 10 * np.array(expected))


@pytest.mark.parametrize(("analog", "expected"), [(False, 40.0), (True, 10.0)])
def test_one_step_is_counted_as_many_are(analog, expected):
    network = Feedforward(architecture="AP2-10", input_shape=(2, 2, 1))
    params = network.init(jax.random.key(0))
    for n_steps in (1, 2):  # the second is empty
        x = jnp.zeros((n_steps, 1, 2, 2, 1)).at[0].set(1.0)
        assert float(network.respond(params, x, n_steps, 1.0, analog=analog).operations[0][0]) == expected


def test_spikes_whose_maxima_are_averaged_count_once_in_each_maximum():
    x = jnp.zeros((1, 4, 4, 1)).at[0, :3, 0].set(1.0)
    pooling = (("MP", 2), ("AP", 2))
    assert [float(synaptic_operations(Projection(10, pooling=pooling), x, analog)[0]) for analog in (False, True)] == [
        20.0,
        10.0,
    ]


def test_a_spiking_network_counts_every_arrival():
    network = Feedforward(architecture="5-3", input_shape=(2, 2, 1), gain=3.0)
    params = network.init(jax.random.key(0))
    x = jax.random.bernoulli(jax.random.key(1), 0.5, (6, 2, 2, 2, 1)).astype(float)
    response = network.respond(params, x, 6, 1.0)
    np.testing.assert_allclose(response.operations[0], 5 * np.sum(x, axis=(0, 2, 3, 4)))
    np.testing.assert_allclose(response.operations[1], 3 * np.asarray(response.spikes[0]))
    constant = network.respond(params, x[:1], 6, 1.0)
    np.testing.assert_allclose(constant.operations[0], 6 * 5 * np.sum(x[0], axis=(1, 2, 3)))
    chunked = dataclasses.replace(network, chunk=2).respond(params, x, 6, 1.0)
    jax.tree.map(np.testing.assert_allclose, chunked, response)
    operations = [float(o[0]) for o in response.operations]
    rate, direct = (cost.answering(network, operations, 6, analog) for analog in (False, True))
    assert rate == cost.Price(accumulates=sum(operations), updates=6 * 8)
    assert direct == cost.Price(macs=operations[0], accumulates=operations[1], updates=6 * 8)
    assert rate.energy() == pytest.approx(0.9 * sum(operations))
    assert direct.energy() == pytest.approx(4.6 * operations[0] + 0.9 * operations[1])
    assert direct.energy_of_neurons(cost.Energies(mac=2.0)) == 96.0


def test_an_ann_multiplies_what_is_not_0():
    network = Feedforward(architecture="5-3", input_shape=(2, 2, 1), neuron=ReLU(), readout="membrane")
    x = jnp.array([[0.0, 0.5, 0.2, 0.0]]).reshape(1, 1, 2, 2, 1)
    params = network.init(jax.random.key(0))
    response = network.respond(params, x, 1, 1.0)
    active = float(jnp.sum(network.activations(params, x[0])[0] > 0))
    assert [float(o[0]) for o in response.operations] == [10.0, 3 * active]
    assert cost.answering(network, [10.0, 6.0], 1, True) == cost.Price(macs=16.0)


def test_learning_by_gradients():
    network, answered = Feedforward(architecture="20-10"), cost.Price(accumulates=500.0, updates=30.0 * 4)
    assert BPTT().learning_cost(network, answered, 4).macs == 4 * 200
    assert EProp().learning_cost(network, answered, 4).macs == 4 * 200
    deep = Feedforward(architecture="20-30-10")
    assert BPTT().learning_cost(deep, answered, 4).macs == 4 * (600 + 300)
    assert EProp().learning_cost(deep, answered, 4).macs == 4 * 10 * 50
    ann = dataclasses.replace(network, neuron=ReLU(), readout="membrane")
    assert BPTT().learning_cost(ann, cost.Price(macs=100.0), 1) == cost.Price(macs=300.0)


def test_plasticity_by_hand():
    network = CompetitiveNetwork(n_input=10, n_neurons=4, neuron=NEURONS["lif"], rule=RULES["stdp"])
    assert cost.answering_of_plastic(network, 20.0, 3.0, 50) == cost.Price(accumulates=89.0, updates=200.0)
    assert cost.learning_of_plastic(network, 20.0, 3.0).macs == 20 * 4 + 3 * 10 + 40
    late = dataclasses.replace(network, rule=RULES["power_law"], norm=None)
    assert cost.learning_of_plastic(late, 20.0, 3.0).macs == 30  # nothing at presynaptic spikes
    layered = dataclasses.replace(network, inhibition=INHIBITIONS["inhibitory_layer"])
    assert cost.answering_of_plastic(layered, 20.0, 3.0, 50).updates == 400.0


def test_memory_by_hand():
    network = Feedforward(architecture="4C3-AP2-10", input_shape=(4, 4, 2), bias=True)
    found = cost.memory(network, 12)
    assert found["weights"] == 4 * ((18 * 4 + 4) + (16 * 10 + 10))
    assert found["states"] == 4 * 74 and found["activations"] == 74 // 8 and found["kept_for_learning"] == 4 * 74 * 12
    assert cost.memory(dataclasses.replace(network, chunk=4), 12)["kept_for_learning"] == 4 * 74 * (4 + 3)


def test_latency_is_the_first_step_that_is_good_enough():
    assert cost.latency([0.1, 0.5, 0.985, 0.99, 0.99]) == 3
    assert cost.latency([0.1, 0.5], share=1.0) == 2
