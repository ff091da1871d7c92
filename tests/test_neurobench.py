"""Prices are what NeuroBench says of the same networks: exactly, or but for a difference that is counted here by hand.

tests/golden/neurobench.npz was written by tests/golden/make_neurobench.py: snnTorch's networks, whose spikes are ours,
and what NeuroBench says of each sample. Both count an operation where a weight meets what is not 0, in all steps, those
of the output layer too; neither counts padding, biases or the sums of pooling. Where NeuroBench counts otherwise:

- It counts a mean of spikes once, however many went in, and as no spike: it is multiplied. With us each of the spikes
  is an addition at each synapse of its place. (What is analog, and maxima, we both count as they come out of pooling.)
- It tells spikes by their values: what a layer sees in a step is multiplied if any of it, in any sample of the batch,
  is not 0, 1 or -1. So a sample has MACs in one batch and ACs in another. We are told whether the input is analog.
- A weight of 0 is no synapse. With us an addition is made there.
- Its dense operations are without padding; `dense_macs` has it, as papers do.
- A membrane that is where it was before a step was not updated, though it was reset and driven there again.
- A footprint has snnTorch's own numbers in it; states, those of a batch, only once the network has run.
"""

import dataclasses
import functools
import math
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.learners import cost
from jsnn.networks.feedforward import Feedforward, ReLU, Response, fan_out
from jsnn.neurons import LIF

with np.load(Path(__file__).parent / "golden" / "neurobench.npz") as file:
    GOLDEN = dict(file)
CASES = [name.removesuffix("/together/Dense") for name in GOLDEN if name.endswith("/together/Dense")]
SPIKING = [case for case in CASES if case.endswith("/lif")]
DENSE, PRUNED, CONVOLUTION, POOLING = (
    [case for case in CASES if case.startswith(network)] for network in ("dense", "pruned", "convolution", "pooling")
)
PARTLY_BINARY = "dense/partly_binary/lif"
# snnTorch's Leaky whose reset is to zero (see tests/test_surrogate_rivals.py)
TAU = -1 / math.log(GOLDEN["decay"])
NEURON = LIF(tau_m=TAU, v_rest=0.0, v_threshold=1.0, v_reset=0.0, refractory=None)
OF_LEAKY = 4 + 4 + 4 + 8  # bytes of its decay, its threshold, a factor of its spikes; a long integer for its reset


class Answered(NamedTuple):
    """A case, as jsnn has it."""

    network: Feedforward
    n_steps: int
    seen: list[np.ndarray]  # [n_steps, batch, ...] of each layer: what it sees
    response: Response
    price: list[cost.Price]  # of each sample


@functools.partial(jax.jit, static_argnames=("n_steps", "analog"))
def respond(network, params, x, n_steps, analog):
    return network.respond(params, x, n_steps, 1.0, analog=analog)


@jax.jit
def activations(network, params, x):
    return network.activations(params, x)


@functools.cache
def answered(case):
    name, given, neuron = case.split("/")
    x, spiking = GOLDEN[f"input/{given}"], neuron == "lif"
    network = Feedforward(
        architecture=str(GOLDEN[f"{name}/architecture"]),
        input_shape=x.shape[2:],
        neuron=NEURON if spiking else ReLU(),
        readout="rate" if spiking else "membrane",
        bias=True,
    )
    synapses = [
        {"Conv_0" if layer.kernel else "Dense_0": {"kernel": GOLDEN[f"{name}/w{i}"], "bias": GOLDEN[f"{name}/b{i}"]}}
        for i, layer in enumerate(network.layers)
    ]
    params = {"synapses": jax.tree.map(jnp.asarray, synapses), "neurons": [{}] * len(synapses)}
    if spiking:
        n_steps, made = len(GOLDEN[f"{case}/spikes0"]), spikes_of(case)
    else:
        n_steps, made = 1, [np.asarray(y)[None] for y in activations(network, params, x[0])]
    seen = [np.broadcast_to(x, (n_steps, *x.shape[1:])), *made[:-1]]
    analog = given != "spikes"
    response = respond(network, params, x, n_steps, analog)
    price = [
        cost.answering(network, [float(n) for n in operations], n_steps, analog)
        for operations in zip(*response.operations, strict=True)
    ]
    return Answered(network, n_steps, seen, response, price)


def spikes_of(case):
    """The golden ones, [n_steps, batch, ...] of each layer."""
    return [GOLDEN[name] for name in GOLDEN if name.startswith(f"{case}/spikes")]


def alone(case, metric):
    """What NeuroBench says of each sample."""
    return GOLDEN[f"{case}/alone/{metric}"]


def of_samples(x):
    """Sums of `x` [n_steps, batch, ...]: [batch]."""
    return np.sum(x, axis=(0, *range(2, x.ndim)))


def windows(layer, x):
    """What is pooled into each place, of `x` [n_steps, batch, ...]: [n_steps, batch, ..., pixels]. Pixels beyond the
    last whole window are lost.
    """
    if not layer.pooling:
        return x[..., None]
    ((_, across),) = layer.pooling
    h, w = (n // across for n in x.shape[2:4])
    whole = x[:, :, : h * across, : w * across].reshape(*x.shape[:2], h, across, w, across, -1)
    return np.moveaxis(whole, (3, 5), (-2, -1)).reshape(*x.shape[:2], h, w, x.shape[-1], -1)


def synapses_of(layer, places):
    """How many synapses each of `places` [n_steps, batch, ...] has, which come out of the layer's pooling."""
    return fan_out(dataclasses.replace(layer, pooling=()), places.shape[2:])


def counted(case, together=False):
    """MACs and ACs [batch] by NeuroBench's definitions, of all samples `together` in a batch or each in its own."""
    macs, acs = np.zeros(3), np.zeros(3)
    for layer, x in zip(answered(case).network.layers, answered(case).seen, strict=True):
        pool = np.max if "MP" in dict(layer.pooling) else np.mean
        places = pool(windows(layer, x), axis=-1)
        rest = tuple(range(2, places.ndim))
        operations = np.sum((places != 0) * synapses_of(layer, places), axis=rest)
        analog = np.any((places != 0) & (places != 1), axis=rest)
        if together:
            analog = np.any(analog, axis=1, keepdims=True)
        macs += np.sum(np.where(analog, operations, 0), axis=0)
        acs += np.sum(np.where(analog, 0, operations), axis=0)
    return macs, acs


@pytest.mark.parametrize("case", SPIKING)
def test_spikes(case):
    response, spikes = answered(case).response, spikes_of(case)
    np.testing.assert_array_equal(response.output, spikes[-1])
    for ours, theirs in zip(response.spikes, spikes, strict=True):
        assert np.any(theirs)
        np.testing.assert_array_equal(ours, of_samples(theirs))


@pytest.mark.parametrize("case", [case for case in DENSE + CONVOLUTION if case != PARTLY_BINARY])
def test_operations(case):
    """Spikes or an analog input, with a convolution or without, neurons or rectified linear units."""
    price = answered(case).price
    np.testing.assert_array_equal(alone(case, "Effective_MACs"), [p.macs for p in price])
    np.testing.assert_array_equal(alone(case, "Effective_ACs"), [p.accumulates for p in price])


@pytest.mark.parametrize("case", POOLING)
def test_pooling(case):
    """A mean of k spikes is counted once by NeuroBench, k times by us."""
    network, _, seen, _, price = answered(case)
    macs, acs = counted(case)
    np.testing.assert_array_equal(alone(case, "Effective_MACs"), macs)
    np.testing.assert_array_equal(alone(case, "Effective_ACs"), acs)
    more = np.zeros(3)
    averaged = [(layer, x) for layer, x in zip(network.layers, seen, strict=True) if "AP" in dict(layer.pooling)]
    for layer, x in averaged if case in SPIKING else ():
        k = np.count_nonzero(windows(layer, x), axis=-1)
        more += of_samples(np.maximum(k - 1, 0) * synapses_of(layer, k))
    assert np.all(more > 0) == (case in SPIKING)
    np.testing.assert_array_equal([p.macs + p.accumulates for p in price], macs + acs + more)


def test_a_binary_input_is_spikes_to_neurobench():
    """The first sample is gray; the others are black and white: ACs each alone, MACs in a batch with the first."""
    first, second = (np.asarray(operations) for operations in answered(PARTLY_BINARY).response.operations)
    assert [p.macs for p in answered(PARTLY_BINARY).price] == list(first)
    np.testing.assert_array_equal(alone(PARTLY_BINARY, "Effective_MACs"), first * [1, 0, 0])
    np.testing.assert_array_equal(alone(PARTLY_BINARY, "Effective_ACs"), first * [0, 1, 1] + second)
    assert GOLDEN[f"{PARTLY_BINARY}/together/Effective_MACs"] == np.mean(first)


@pytest.mark.parametrize("case", DENSE + CONVOLUTION + POOLING)
def test_means_over_a_batch(case):
    macs, acs = counted(case, together=True)
    assert GOLDEN[f"{case}/together/Effective_MACs"] == np.mean(macs)
    assert GOLDEN[f"{case}/together/Effective_ACs"] == np.mean(acs)


@pytest.mark.parametrize("case", PRUNED)
def test_a_weight_of_0_is_no_synapse_to_neurobench(case):
    theirs, none = np.zeros(3), np.zeros(3)
    for i, x in enumerate(answered(case).seen):
        weights, arrived = GOLDEN[f"pruned/w{i}"], np.sum(x.reshape(*x.shape[:2], -1), axis=0)
        theirs += np.sum(arrived @ (weights != 0), axis=1)
        none += np.sum(arrived @ (weights == 0), axis=1)
    assert np.all(none > 0)
    np.testing.assert_array_equal(alone(case, "Effective_ACs"), theirs)
    np.testing.assert_array_equal([p.accumulates for p in answered(case).price], theirs + none)


@pytest.mark.parametrize("case", CASES)
def test_dense_operations(case):
    """At each end of a row of n pixels, 1 + ... + r synapses of a kernel of 2 r + 1 reach beyond the image."""
    network, n_steps = answered(case)[:2]
    without_padding = 0
    for layer, shape, macs in zip(network.layers, network.shapes, cost.dense_macs(network), strict=False):
        for n in shape[:2] if layer.kernel else ():
            n, r = n // math.prod(across for _, across in layer.pooling), layer.kernel // 2
            macs = macs * (n * layer.kernel - r * (r + 1)) // (n * layer.kernel)
        without_padding += macs
    np.testing.assert_array_equal(alone(case, "Dense"), n_steps * without_padding)


@pytest.mark.parametrize("case", SPIKING)
def test_updates_and_sparsity(case):
    """NeuroBench has 4 operations for an update of a Leaky, a constant of its own; we have a MAC."""
    network, n_steps, _, response, price = answered(case)
    np.testing.assert_array_equal(alone(case, "Neuron Dense Ops"), [4 * p.updates for p in price])
    chances = network.n_neurons * n_steps
    silent = chances - sum(np.asarray(spikes, int) for spikes in response.spikes)
    np.testing.assert_array_equal(alone(case, "ActivationSparsity"), silent / chances)


@pytest.mark.parametrize("case", [case for case in DENSE if case in SPIKING])
def test_a_membrane_that_is_where_it_was_is_not_updated_to_neurobench(case):
    """Two steps that both start from 0, with the same input: a neuron that was reset, and driven to where it was."""
    still = np.zeros(3)
    for x, fired in zip(answered(case).seen, spikes_of(case), strict=True):
        same = np.all(x[:-1] == x[1:], axis=tuple(range(2, x.ndim)))[..., None]
        from_0 = np.concatenate([np.ones_like(fired[:1]), fired[:-1]])
        still += of_samples(from_0[:-1] & from_0[1:] & same)
    assert np.any(still)
    np.testing.assert_array_equal(alone(case, "MembraneUpdates"), [p.updates for p in answered(case).price] - still)


@pytest.mark.parametrize("case", CASES)
def test_memory(case):
    network, n_steps = answered(case)[:2]
    found = cost.memory(network, n_steps)
    expected = found["weights"] + (OF_LEAKY * len(network.layers) if case in SPIKING else 0)
    np.testing.assert_array_equal(4 * alone(case, "ParameterCount"), found["weights"])
    np.testing.assert_array_equal(alone(case, "Footprint"), expected)
    assert GOLDEN[f"{case}/footprint_of_one"] == expected + found["states"]
