"""Feedforward networks: architectures, and what they compute against slow loops, themselves, and flax."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.core.errors import InputError
from jsnn.core.protocols import LinearSubthreshold
from jsnn.learners.losses import LOSSES
from jsnn.networks import feedforward
from jsnn.networks.feedforward import BatchMetrics, Feedforward, ReLU, Response, projections
from jsnn.neurons import LIF, NEURONS

SMALL = Feedforward(architecture="7-3", input_shape=(5,), gain=3.0)
CONVOLUTIONAL = Feedforward(architecture="4C3-AP2-3C3-MP2-6-2", input_shape=(8, 8, 1), gain=3.0)
N_STEPS, BATCH = 12, 4


def inputs(network, n_steps=N_STEPS, seed=1):
    return jax.random.uniform(jax.random.key(seed), (n_steps, BATCH, *network.input_shape))


@jax.jit
def differentiated(params, network, x, key=None):
    """Loss, response and gradient, of labels 0, 1, 0, 1."""

    def loss(params):
        response = network.respond(params, x, N_STEPS, 1.0, key)
        return LOSSES["cross_entropy"](response.output, jnp.arange(BATCH) % 2), response

    (value, response), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return value, response, gradient


def assert_close(one, other, tolerance):
    """Trees whose leaves are apart by no more than this part of the largest number in each."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * float(jnp.max(jnp.abs(b))))


# ---------------------------------------------------------------- architectures


@pytest.mark.parametrize(
    ("architecture", "shapes"),
    [
        ("10", [(28, 28, 1), (10,)]),
        ("800-10", [(28, 28, 1), (800,), (10,)]),
        ("32C3-AP2-32C3-AP2-128-10", [(28, 28, 1), (28, 28, 32), (14, 14, 32), (128,), (10,)]),
        ("6C5-MP2-10", [(28, 28, 1), (28, 28, 6), (10,)]),
        ("AP4-10", [(28, 28, 1), (10,)]),
        ("AP2-MP2-4C3-10", [(28, 28, 1), (7, 7, 4), (10,)]),
    ],
)
def test_shapes_are_those_of_the_layers(architecture, shapes):
    """Pooling belongs to the layer above it: it has no neurons."""
    network = Feedforward(architecture=architecture)
    assert network.shapes == shapes
    params = jax.eval_shape(network.init, jax.random.key(0))
    assert len(params["synapses"]) == len(params["neurons"]) == len(shapes) - 1


def test_weights_have_the_shapes_and_the_spread_that_they_should():
    params = jax.jit(Feedforward(architecture="32C3-AP2-128-10", gain=2.0, bias=True).init)(jax.random.key(0))
    conv, dense, last = params["synapses"]
    assert conv["Conv_0"]["kernel"].shape == (3, 3, 1, 32)
    assert dense["Dense_0"]["kernel"].shape == (14 * 14 * 32, 128)
    assert last["Dense_0"]["kernel"].shape == (128, 10)
    for layer, fan_in in ((conv["Conv_0"], 9), (dense["Dense_0"], 6272), (last["Dense_0"], 128)):
        assert float(jnp.std(layer["kernel"])) == pytest.approx(2.0 / math.sqrt(fan_in), rel=0.15)
        assert not layer["bias"].any()


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        ("", "'' in '': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("800-", "'' in '800-': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("800-ten", "'ten' in '800-ten': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("0-10", "'0' in '0-10': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("0C3-10", "'0C3' in '0C3-10': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("32C0-10", "'32C0' in '32C0-10': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("-5", "'' in '-5': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("128-32C3-10", "'32C3' in '128-32C3-10': a convolution should not follow a dense layer"),
        ("128-AP2-10", "'128-AP2-10': pooling should not follow a dense layer"),
        ("32C3", "'32C3': its last layer should be dense, a neuron for each class"),
        ("128-10-AP2", "'128-10-AP2': its last layer should be dense, a neuron for each class"),
        ("AP2", "'AP2': its last layer should be dense, a neuron for each class"),
        ("9999999999-10", "'9999999999' in '9999999999-10': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("٣٣-10", "'٣٣' in '٣٣-10': it should be a layer like 32C3, AP2, MP2 or 128"),
        ("1-" * 200 + "10", f"'{('1-' * 29)[:57]}...': it has 201 parts and should have at most 200"),
    ],
)
def test_wrong_architectures_are_refused_in_one_line(architecture, why):
    with pytest.raises(InputError) as refused:
        projections(architecture)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("architecture", "shape", "why"),
    [
        ("2C3-MP40-10", (28, 28, 1), "nothing is left of 28 x 28 pixels after pooling 40 x 40: it should pool less"),
        ("8C3-AP2-AP2-AP2-AP2-AP2-10", (28, 28, 1), "nothing is left of 28 x 28 pixels after pooling 32 x 32"),
        ("MP3-10", (8, 2, 1), "nothing is left of 8 x 2 pixels after pooling 3 x 3"),
        ("AP4-AP2-1C1-AP2-10", (8, 8, 1), "nothing is left of 1 x 1 pixels after pooling 2 x 2"),
        ("2C57-10", (28, 28, 1), "a kernel of 57 x 57 has weights that no pixel reaches: it sees 28 x 28 pixels"),
        ("AP2-10", (784,), r"convolutions and pooling see images: \[height, width, channels\], not \[784\]"),
        ("2C3-10", (784,), r"convolutions and pooling see images: \[height, width, channels\], not \[784\]"),
    ],
)
def test_layers_that_cannot_see_what_is_there_are_refused(architecture, shape, why):
    with pytest.raises(InputError, match=why):
        _ = Feedforward(architecture=architecture, input_shape=shape).shapes


def test_shapes_are_those_that_are_computed():
    for architecture in ("3C4-AP2-MP3-2C1-7-3", "MP2-5C3-AP3-4", "AP5-6-5"):
        network = Feedforward(architecture=architecture, input_shape=(13, 17, 2))
        x, params = jnp.zeros((2, 13, 17, 2)), jax.eval_shape(network.init, jax.random.key(0))
        shapes = [(13, 17, 2)]
        for layer, own in zip(network.layers, params["synapses"], strict=True):
            x = jax.eval_shape(lambda w, x, layer=layer: layer.apply({"params": w}, x), own, x)
            shapes.append(x.shape[1:])
        assert network.shapes == shapes


# ---------------------------------------------------------------- against a slow loop


def slow(network, params, x):
    """Spikes [n_steps, batch, neurons] of each layer: step by step, from the input to the output."""
    neuron = network.neuron
    decay = np.exp(-1.0 / neuron.tau_m)
    weights = [np.asarray(s["Dense_0"]["kernel"]) for s in params["synapses"]]
    v = [np.full((x.shape[1], w.shape[1]), neuron.v_rest) for w in weights]
    raster = [[] for _ in weights]
    for here in np.asarray(x):
        for i, w in enumerate(weights):
            for b in range(len(here)):
                for j in range(w.shape[1]):
                    current = sum(here[b, k] * w[k, j] for k in range(len(w)))
                    v[i][b, j] = neuron.v_rest + (v[i][b, j] - neuron.v_rest) * decay + current
            spikes = v[i] >= neuron.v_threshold
            here = spikes.astype(float)
            by = neuron.v_threshold - neuron.v_reset
            v[i] = np.where(spikes, v[i] - by if neuron.reset == "soft" else neuron.v_reset, v[i])
            raster[i].append(here)
    return [np.stack(r) for r in raster]


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_two_layers_are_what_a_slow_loop_makes_of_them(reset):
    neuron = LIF(tau_m=3.0, v_rest=0.1, v_threshold=1.0, v_reset=-0.2, refractory=None, reset=reset)
    network = dataclasses.replace(SMALL, neuron=neuron)
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0))
        x = inputs(network)
        response = network.respond(params, x, N_STEPS, 1.0)
        wanted = slow(network, params, x)
    assert all(0.05 < raster.mean() < 0.9 for raster in wanted)
    np.testing.assert_array_equal(response.output, wanted[-1])
    for counted, raster in zip(response.spikes, wanted, strict=True):
        np.testing.assert_array_equal(counted, raster.sum(axis=(0, 2)))


def test_a_membrane_readout_integrates_and_never_fires():
    """Its potential is the sum of what arrived, as far as it is left."""
    network = dataclasses.replace(SMALL, readout="membrane")
    with jax.enable_x64(True):
        params, x = network.init(jax.random.key(0)), inputs(network)
        response = network.respond(params, x, N_STEPS, 1.0)
        hidden = slow(network, params, x)[0]
    assert len(response.spikes) == 1
    np.testing.assert_array_equal(response.spikes[0], hidden.sum(axis=(0, 2)))
    currents = hidden @ np.asarray(params["synapses"][1]["Dense_0"]["kernel"])
    left = np.exp(-0.5 * np.subtract.outer(np.arange(N_STEPS), np.arange(N_STEPS)))
    wanted = np.einsum("ts,sbj->tbj", np.tril(left), currents)
    np.testing.assert_allclose(response.output, wanted, rtol=1e-9, atol=1e-12)


def test_convolutions_see_each_step_alone():
    """A convolutional layer's currents, in each step, are those of its own flax module on the spikes below."""
    with jax.enable_x64(True):
        params, x = CONVOLUTIONAL.init(jax.random.key(0)), inputs(CONVOLUTIONAL)
        response = jax.jit(CONVOLUTIONAL.respond, static_argnums=2)(params, x, N_STEPS, 1.0)
        neuron = CONVOLUTIONAL.neuron
        states = [neuron.init((BATCH, *shape)) for shape in CONVOLUTIONAL.shapes[1:]]
        counts = np.zeros((len(states), BATCH))
        apply = jax.jit(lambda layer, weights, x: layer.apply({"params": weights}, x), static_argnums=0)
        for here, output in zip(x, response.output, strict=True):
            for i, layer in enumerate(CONVOLUTIONAL.layers):
                current = apply(layer, params["synapses"][i], here)
                state, excess = neuron.integrate(states[i], current, jnp.zeros(()), 1.0, ())
                here = (excess >= 0).astype(float)
                states[i] = neuron.fire(state, here)
                counts[i] += here.reshape(BATCH, -1).sum(axis=1)
            np.testing.assert_array_equal(here, output)
    assert (counts.sum(axis=1) > 0).all()
    np.testing.assert_array_equal(jnp.stack(response.spikes), counts)


# ---------------------------------------------------------------- the same in other ways


@pytest.mark.parametrize(
    ("network", "readout", "chunks"),
    [(SMALL, "rate", (1, 4)), (SMALL, "membrane", (N_STEPS,)), (CONVOLUTIONAL, "membrane", (3,))],
    ids=["dense, rate", "dense, membrane", "convolutional"],
)
def test_chunks_change_nothing_but_memory(network, readout, chunks):
    """The same spikes; potentials and gradients differ by the order of sums, in products of other sizes."""
    network = dataclasses.replace(network, readout=readout)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: leaf.astype(float), network.init(jax.random.key(0)))
        x = inputs(network)
        _, response, gradient = differentiated(params, network, x)
        assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
        for chunk in chunks:
            chunked = differentiated(params, dataclasses.replace(network, chunk=chunk), x)
            for a, b in zip(chunked[1].spikes, response.spikes, strict=True):
                np.testing.assert_array_equal(a, b)
            assert_close(chunked[1].output, response.output, 0.0 if readout == "rate" else 1e-12)
            assert_close(chunked[2], gradient, 1e-12)


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_constant_input_is_the_same_in_every_step(chunk):
    network = dataclasses.replace(SMALL, chunk=chunk)
    params, x = network.init(jax.random.key(0)), inputs(network, 1)
    value, response, gradient = differentiated(params, network, x)
    repeated = differentiated(params, network, jnp.tile(x, (N_STEPS, 1, 1)))
    assert float(jnp.sum(response.output)) > 0 and response.output.shape == (N_STEPS, BATCH, 3)
    np.testing.assert_array_equal(response.output, repeated[1].output)
    assert value == repeated[0]
    assert_close(gradient, repeated[2], 1e-5)


def test_many_numbers_at_once_are_each_of_them():
    """Networks that differ in their numbers can be mapped."""
    params, x = SMALL.init(jax.random.key(0)), inputs(SMALL)

    def gradient(tau, width):
        one = dataclasses.replace(SMALL.surrogate, width=width)
        neuron = dataclasses.replace(SMALL.neuron, tau_m=tau)
        return differentiated(params, dataclasses.replace(SMALL, neuron=neuron, surrogate=one), x)[2]

    taus, widths = jnp.asarray([1.5, 2.0, 4.0]), jnp.asarray([0.1, 0.3, 1.0])
    mapped = jax.vmap(gradient)(taus, widths)
    for i in range(3):
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], mapped), gradient(taus[i], widths[i]), 1e-5)


# ---------------------------------------------------------------- dropout


def test_dropout_drops_the_same_in_all_steps(monkeypatch):
    """What the second layer sees: neurons that are silent in all steps of a presentation, or count twice."""
    seen = {}

    class Spy(feedforward.Projection):
        def apply(self, variables, x, *args, **kwargs):
            seen[self.size] = x
            return super().apply(variables, x, *args, **kwargs)

    network = dataclasses.replace(SMALL, architecture="200-3", dropout=0.5)
    params, x = network.init(jax.random.key(0)), inputs(network)
    wanted = slow(network, params, x)[0]
    monkeypatch.setattr(feedforward, "Projection", Spy)
    network.respond(params, x, N_STEPS, 1.0, jax.random.key(5))
    np.testing.assert_array_equal(seen[200].reshape(x.shape), x)
    got = np.asarray(seen[3]).reshape(wanted.shape)
    kept = got.sum(axis=0) > 0  # [batch, neurons]
    np.testing.assert_array_equal(got, 2.0 * wanted * kept)
    active = wanted.sum(axis=0) > 0
    assert kept[active].mean() == pytest.approx(0.5, abs=0.1)
    assert not np.array_equal(kept[0], kept[1]), "samples should differ"


def test_dropout_is_for_training_alone():
    network = dataclasses.replace(SMALL, dropout=0.5)
    params, x = network.init(jax.random.key(0)), inputs(network)
    plain = differentiated(params, SMALL, x)[1]
    np.testing.assert_array_equal(differentiated(params, network, x)[1].output, plain.output)
    one, same, other = (differentiated(params, network, x, jax.random.key(k))[1].output for k in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other) and not np.array_equal(one, plain.output)


def test_dropout_does_not_depend_on_chunks():
    network = dataclasses.replace(SMALL, dropout=0.5)
    params, x = network.init(jax.random.key(0)), inputs(network)
    one = differentiated(params, network, x, jax.random.key(1))
    other = differentiated(params, dataclasses.replace(network, chunk=3), x, jax.random.key(1))
    np.testing.assert_array_equal(one[1].output, other[1].output)
    assert_close(other[2], one[2], 1e-5)


# ---------------------------------------------------------------- learnable neurons, units, what is measured


def test_neurons_have_numbers_of_their_own_where_they_learn():
    """Each layer its own, starting from the neuron's; it is their logarithm that has the gradient."""
    network = dataclasses.replace(SMALL, learn=("tau_m", "v_threshold"))
    params, x = network.init(jax.random.key(0)), inputs(network)
    assert [float(n.tau_m) for n in network.neurons(params)] == pytest.approx([2.0, 2.0])
    response, gradient = differentiated(params, network, x)[1:]
    np.testing.assert_array_equal(response.output, differentiated(SMALL.init(jax.random.key(0)), SMALL, x)[1].output)
    for own in gradient["neurons"]:
        assert set(own) == {"tau_m", "v_threshold"} and all(float(g) != 0 for g in own.values())

    fixed = params | {"neurons": [{}, {}]}

    def loss(log_tau):
        neuron = dataclasses.replace(SMALL.neuron, tau_m=jnp.exp(log_tau))
        response = dataclasses.replace(SMALL, neuron=neuron).respond(fixed, x, N_STEPS, 1.0)
        return LOSSES["cross_entropy"](response.output, jnp.arange(BATCH) % 2)

    both = sum(own["tau_m"] for own in gradient["neurons"])
    assert float(both) == pytest.approx(float(jax.grad(loss)(jnp.log(2.0))), rel=1e-4)


def test_detached_resets_have_another_gradient_and_the_same_spikes():
    params, x = SMALL.init(jax.random.key(0)), inputs(SMALL)
    one = differentiated(params, SMALL, x)
    other = differentiated(params, dataclasses.replace(SMALL, detach_reset=True), x)
    np.testing.assert_array_equal(one[1].output, other[1].output)
    kernels = [g[2]["synapses"][0]["Dense_0"]["kernel"] for g in (one, other)]
    assert not np.allclose(*kernels)


class MLP(nn.Module):
    """The same network in plain flax."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(4, (3, 3))(x))
        x = nn.relu(nn.Dense(6)(nn.avg_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)))
        return nn.Dense(2)(x)


def test_rectified_linear_units_make_a_plain_flax_network():
    network = Feedforward(architecture="4C3-AP2-6-2", input_shape=(8, 8, 1), neuron=ReLU(), bias=True)
    params, x = jax.jit(network.init)(jax.random.key(0)), inputs(network, 1)
    names = ("Conv_0", "Conv_0"), ("Dense_0", "Dense_0"), ("Dense_1", "Dense_0")
    plain = {name: params["synapses"][i][own] for i, (name, own) in enumerate(names)}
    response = network.respond(params, x, N_STEPS, 1.0)
    assert response.spikes == () and response.output.shape == (1, BATCH, 2)
    np.testing.assert_allclose(response.output[0], MLP().apply({"params": plain}, x[0]), rtol=1e-6)
    labels = jnp.arange(BATCH) % 2
    wanted = jax.grad(lambda p: LOSSES["cross_entropy"](MLP().apply({"params": p}, x[0])[None], labels))(plain)
    got = differentiated(params, network, x)[2]["synapses"]
    assert_close([got[i][own] for i, (_, own) in enumerate(names)], [wanted[name] for name, _ in names], 1e-5)


def test_what_is_measured():
    """The class of most spikes is the answer; rates are of a presentation."""
    output = jnp.zeros((3, 4, 2)).at[:2, 0, 1].set(1).at[0, 1, 0].set(1).at[:, 2, 0].set(1).at[2, 3, 1].set(1)
    response = Response(output=output, spikes=(jnp.asarray([1.0, 2.0, 3.0, 6.0]), jnp.sum(output, axis=(0, 2))))
    measured = BatchMetrics.of(jnp.asarray(0.5), response, jnp.asarray([1, 0, 1, 1]))
    assert float(measured.accuracy) == 0.75 and float(measured.loss) == 0.5
    assert [float(rate) for rate in measured.rates] == [3.0, 1.75]


def test_silence_and_what_is_no_number_are_no_answer():
    """After each step: nothing arrived yet, all the same, not a number; of several classes the first."""
    nan = np.nan
    output = [
        [[0, 0, 0], [1, 1, 1], [0, 2, 1], [0, 1, 0], [3, 3, 1]],
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, nan, 0]] + [[0] * 3],
    ]
    arrived = jnp.asarray([[True, True, False, True, True], [True, True, True, True, False]])
    response = Response(output=jnp.asarray(output), arrived=arrived)
    np.testing.assert_array_equal(response.predictions(), [[-1, -1, -1, 1, 0], [-1, 2, 1, -1, 0]])
    np.testing.assert_array_equal(response.prediction(), [-1, 2, 1, -1, 0])
    measured = BatchMetrics.of(jnp.zeros(()), response, jnp.asarray([0, 2, 1, 0, 0]))
    assert float(measured.accuracy) == pytest.approx(3 / 5)


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("readout", ["rate", "membrane"])
def test_a_network_whose_hidden_layer_is_silent_has_no_answer(readout, bias, chunk):
    """Not class 0, nor that of the largest bias; nor has one whose first spikes come late, before they come."""
    neuron = dataclasses.replace(SMALL.neuron, tau_m=1e6)
    network = dataclasses.replace(SMALL, readout=readout, bias=bias, chunk=chunk, neuron=neuron)
    params = network.init(jax.random.key(0))
    params["synapses"][0]["Dense_0"]["kernel"] = jnp.full((5, 7), 0.26)  # 1.04 after four steps of one input
    if bias:
        params["synapses"][1]["Dense_0"]["bias"] = jnp.asarray([0.1, 0.9, 0.5])
    x = jnp.zeros((N_STEPS, 2, 5)).at[:, 1, 0].set(1.0)
    response = network.respond(params, x, N_STEPS, 1.0)
    answers = np.asarray(response.predictions())
    assert (answers[:, 0] == -1).all() and (answers[:3, 1] == -1).all()
    assert readout == "rate" or (answers[3:, 1] >= 0).all()
    assert response.finite.all() and not response.arrived[:, 0].any()
    far = dataclasses.replace(network, neuron=dataclasses.replace(neuron, v_threshold=1e6))
    assert set(np.asarray(far.respond(params, x, N_STEPS, 1.0).prediction()).tolist()) == {-1}


def test_an_ann_whose_units_are_silent_has_no_answer():
    network = dataclasses.replace(SMALL, neuron=ReLU(), readout="membrane", bias=True)
    params = network.init(jax.random.key(0))
    params["synapses"][0]["Dense_0"]["kernel"] = -jnp.ones((5, 7))
    params["synapses"][1]["Dense_0"]["bias"] = jnp.asarray([0.1, 0.9, 0.5])
    response = network.respond(params, jnp.ones((1, 2, 5)), 1, 1.0)
    np.testing.assert_array_equal(response.predictions(), [[-1, -1]])


@pytest.mark.parametrize("name", [name for name, neuron in NEURONS.items() if isinstance(neuron, LinearSubthreshold)])
def test_every_neuron_that_sums_its_currents_can_be_differentiated(name):
    """Gradients reach the weights, and are finite."""
    neuron = NEURONS[name]
    reach = neuron.v_threshold - neuron.v_reset if name.startswith("unit") else 13.0
    network = dataclasses.replace(SMALL, neuron=neuron, gain=3.0 * max(reach, 1.0))
    params = network.init(jax.random.key(0))
    gradient = differentiated(params, network, inputs(network))[2]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert any(leaf.any() for leaf in jax.tree.leaves(gradient))
