"""Training by gradients: what e-prop, conversion, losses and augmentation compute, and studies from config to line."""

import copy
import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_survival import Watcher

from jsnn import data, runs
from jsnn.core.errors import InputError
from jsnn.data import events
from jsnn.data.augmentation import Augmentation
from jsnn.encoders import GIVEN, Direct
from jsnn.engines.stimulus import Inputs
from jsnn.grid import groups
from jsnn.grid.groups import Trial
from jsnn.learners import BPTT, Conversion, EProp, Optimiser, conversion, gradient_learner, updates
from jsnn.learners.losses import LOSSES
from jsnn.networks.feedforward import Feedforward, LabelledBatch, ReLU
from jsnn.networks.unroll import Dynamics, unroll
from jsnn.neurons import IF, LIF, NEURONS
from jsnn.runs import config
from jsnn.surrogates import Triangular

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SHAPE = (2, 3, 1)
SOFT = LIF(tau_m=5.0, v_rest=0.0, v_threshold=1.0, v_reset=0.0, refractory=None, reset="soft")


@pytest.fixture
def double():
    with jax.enable_x64(True):
        yield


def net(**changes):
    some = {"architecture": "5-3", "input_shape": SHAPE, "neuron": SOFT, "gain": 2.0, "readout": "membrane"}
    return Feedforward(**some | changes)


def raster(n_steps=9, batch=4):
    return jnp.asarray(np.random.default_rng(1).random((n_steps, batch, *SHAPE)) < 0.5, float)


def lesson(x, labels, n_steps=9):
    return LabelledBatch(x=x, labels=labels, n_steps=n_steps, dt=1.0)


# ---------------------------------------------------------------- losses, optimiser, augmentation


def test_losses():
    output, labels = jnp.array([[[1.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]]), jnp.array([2])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    close(LOSSES["mean_squared"](output, labels), (1.0 + 0.0 + 0.25) / 3)
    entropy = [
        -np.log(np.exp(x[2]) / np.exp(x).sum()) for x in np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0.5], [2, 0, 1]])
    ]
    close(LOSSES["stepwise_cross_entropy"](output, labels), np.mean(entropy[:2]))
    close(LOSSES["cross_entropy"](output, labels), entropy[2])
    close(LOSSES["count_cross_entropy"](output, labels), entropy[3])


def test_the_learning_rate_rises_and_falls():
    params = {"w": jnp.ones(3)}
    optimiser = Optimiser(learning_rate=0.1, warmup=0.2)
    transformation = optimiser.transformation(50)
    state, sizes = transformation.init(params), []
    for _ in range(50):  # a constant gradient: Adam moves by the learning rate
        moved, state = transformation.update({"w": jnp.ones(3)}, state, params)
        sizes.append(-float(moved["w"][0]))
    wanted = [0.01 * n if n <= 10 else 0.05 * (1 + np.cos(np.pi * (n - 10) / 40)) for n in range(50)]
    np.testing.assert_allclose(sizes, wanted, rtol=1e-3, atol=1e-6)
    clipped = dataclasses.replace(optimiser, clip=1.0).transformation(50)
    assert len(jax.tree.leaves(clipped.init(params))) == len(jax.tree.leaves(transformation.init(params)))


def test_augmentation_moves_what_it_should():
    images = jnp.asarray(np.random.default_rng(0).random((3, 9, 9, 2)), jnp.float32)
    none = Augmentation(shift=0.0, rotation=0.0, scale=0.0, shear=0.0)
    np.testing.assert_allclose(none(jax.random.key(0), images), images, atol=1e-6)
    moved = dataclasses.replace(none, shift=2.0)(jax.random.key(0), images)
    for key, image, there in zip(jax.random.split(jax.random.key(0), 3), images, moved, strict=True):
        down, right = 2 * np.asarray(jax.random.uniform(key, (5,), minval=-1.0, maxval=1.0))[:2]
        padded, expected = np.pad(image, ((4, 4), (4, 4), (0, 0))), np.zeros((9, 9, 2))
        for i in range(9):
            for j in range(9):
                y, x = i + down + 4, j + right + 4
                a, b = int(np.floor(y)), int(np.floor(x))
                fy, fx = y - a, x - b
                corners = padded[a : a + 2, b : b + 2]
                expected[i, j] = np.einsum("i,j,ijc->c", [1 - fy, fy], [1 - fx, fx], corners)
        np.testing.assert_allclose(there, expected, atol=1e-4)
    dot = jnp.zeros((1, 9, 9, 1)).at[0, 4, 4].set(1.0)
    turned = Augmentation(shift=0.0, rotation=45.0, scale=0.3, shear=0.3)(jax.random.key(1), dot)
    np.testing.assert_allclose(turned[0, 4, 4, 0], 1.0, atol=1e-6)  # the centre stays


# ---------------------------------------------------------------- e-prop


KNOWN = {"v_rest": 0.0, "v_threshold": 1.0, "v_reset": -0.2}
HIDDEN = {
    "soft": SOFT,
    "hard": LIF(tau_m=5.0, refractory=None, **KNOWN),
    "refractory": LIF(tau_m=5.0, refractory=2.0, **KNOWN),
    "soft_refractory_floor": LIF(tau_m=5.0, refractory=2.0, reset="soft", v_floor=-0.4, **KNOWN),
    "hard_floor": LIF(tau_m=5.0, refractory=None, v_floor=-0.3, **KNOWN),
    "if_hard": IF(refractory=None, v_threshold=1.0, v_reset=-0.2),
}


def online_eprop(neuron, weights, x, labels, back, slope):
    """The equations as they are written: a synapse's eligibility is carried from step to step, hidden neurons with all
    they can have, outputs that only leak.
    """
    n_steps, batch = x.shape[:2]
    alpha = np.exp(-1 / neuron.tau_m)
    dw, erased, dropped, floored = [np.zeros_like(w) for w in weights], 0, 0, 0
    for b in range(batch):
        n = weights[0].shape[1]
        v, left, kept, o = np.full(n, neuron.v_rest), np.zeros(n), np.ones(n), np.zeros(weights[1].shape[1])
        eps, leaked, heard = np.zeros_like(weights[0]), np.zeros_like(weights[0]), np.zeros(n)
        for t in range(n_steps):
            hears = left < 0.5
            v = neuron.v_rest + alpha * (v - neuron.v_rest) + (x[t, b] @ weights[0]) * hears
            is_open = v > neuron.v_floor
            v, left = np.maximum(v, neuron.v_floor), left - 1
            z, psi = (v >= neuron.v_threshold).astype(float), slope(v - neuron.v_threshold)
            eps = is_open * (alpha * kept * eps + np.outer(x[t, b], hears))
            if neuron.reset == "hard":
                v, kept = np.where(z > 0, neuron.v_reset, v), 1 - z
            else:
                v = v - z * (neuron.v_threshold - neuron.v_reset)
            left = np.where(z > 0, neuron.refractory or 0.0, left)
            o = alpha * o + z @ weights[1]
            pi = np.exp(o) / np.exp(o).sum()
            error = (pi - np.eye(len(o))[labels[b]]) / (batch * n_steps)
            leaked = alpha * leaked + psi * eps
            heard = alpha * heard + z
            dw[0] += leaked * (error @ back)
            dw[1] += np.outer(heard, error)
            erased, dropped, floored = erased + np.sum(kept == 0), dropped + np.sum(~hears), floored + np.sum(~is_open)
    assert (erased > 0) == (neuron.reset == "hard") and (dropped > 0) == (neuron.refractory is not None)
    assert (floored > 0) == np.isfinite(neuron.v_floor)
    return dw


@pytest.mark.parametrize("feedback", ["random", "symmetric"])
@pytest.mark.parametrize("name", [name for name in HIDDEN if name != "if_hard"])
def test_eprop_is_what_synapses_would_do_online(double, name, feedback):
    neuron = HIDDEN[name]
    network = net(neuron=neuron, surrogate=Triangular(width=1.0, height=0.3), gain=3.0)
    rule = EProp(feedback=feedback, feedback_seed=3)
    params, x, labels = network.init(jax.random.key(0)), raster(14), jnp.array([0, 2, 1, 1])
    last = params["synapses"][1]["Dense_0"]  # outputs that stay above a floor
    last["kernel"] = 0.02 * jnp.abs(last["kernel"]) if np.isfinite(neuron.v_floor) else last["kernel"]
    found, measured = rule.gradient(network, params, lesson(x, labels, 14))
    weights = [np.asarray(p["Dense_0"]["kernel"]) for p in params["synapses"]]
    key = jax.random.fold_in(jax.random.key(3), 0)
    back = weights[1].T if feedback == "symmetric" else np.asarray(jax.random.normal(key, (3, 5))) / np.sqrt(5)

    def slope(x):
        return 0.3 * np.maximum(0, 1 - np.abs(x))

    wanted = online_eprop(neuron, weights, np.asarray(x).reshape(14, 4, 6), labels, back, slope)
    for w, p in zip(wanted, found["synapses"], strict=True):
        np.testing.assert_allclose(p["Dense_0"]["kernel"], w, rtol=1e-10, atol=1e-14)
    assert np.abs(wanted[0]).max() > 1e-5 and measured.rates[0] > 0


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("name", HIDDEN)
def test_symmetric_eprop_is_the_gradient_where_the_reset_passes_none(double, name, constant):
    """Outputs reach their floor here, too."""
    network = net(neuron=HIDDEN[name], detach_reset=True, bias=True, gain=3.0)
    params, labels = network.init(jax.random.key(1)), jnp.array([0, 2, 1, 1])
    x = raster(14)[:1] if constant else raster(14)
    found, measured = EProp(feedback="symmetric").gradient(network, params, lesson(x, labels, 14))
    wanted, same = BPTT(loss="stepwise_cross_entropy").gradient(network, params, lesson(x, labels, 14))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), found, wanted)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), measured, same)
    assert np.abs(found["synapses"][0]["Dense_0"]["kernel"]).max() > 1e-3


@pytest.mark.parametrize("name", ["soft", "hard", "refractory"])
def test_eprop_of_two_hidden_layers_is_the_gradient_through_direct_synapses(double, name):
    """Its approximation: each hidden layer has synapses B to the output, of value 0 but with a gradient, and none to
    the layer above.
    """
    network = net(neuron=HIDDEN[name], architecture="8-7-3", gain=3.0)
    rule, params, labels = EProp(feedback_seed=2), network.init(jax.random.key(1)), jnp.array([0, 2, 1, 1])
    x = raster(14)
    found, measured = rule.gradient(network, params, lesson(x, labels, 14))
    neuron = HIDDEN[name]

    def layer(current, fires):
        dynamics = Dynamics(neuron=neuron, surrogate=network.surrogate, dt=1.0, fires=fires, detach_reset=True)
        return unroll(dynamics, neuron.init(current.shape[1:]), current, 14)[1]

    def loss(kernels):
        seen, direct = x.reshape(14, 4, -1), 0.0
        for i, kernel in enumerate(kernels[:-1]):
            z = layer(jax.lax.stop_gradient(seen) @ kernel, fires=True)
            way = z @ rule._back(params, i, z.shape[-1]).T
            direct, seen = direct + way - jax.lax.stop_gradient(way), z
        output = layer(jax.lax.stop_gradient(seen) @ kernels[-1] + direct, fires=False)
        return LOSSES["stepwise_cross_entropy"](output, labels)

    value, wanted = jax.value_and_grad(loss)([p["Dense_0"]["kernel"] for p in params["synapses"]])
    np.testing.assert_allclose(measured.loss, value, rtol=1e-12)
    for a, b in zip(found["synapses"], wanted, strict=True):
        np.testing.assert_allclose(a["Dense_0"]["kernel"], b, rtol=1e-9, atol=1e-14)
        assert np.abs(b).max() > 1e-4


def test_random_eprop_lowers_the_loss_of_deep_networks():
    network, rule = net(architecture="30-20-3"), EProp()
    params, x, labels = network.init(jax.random.key(0)), raster(12, 3), jnp.array([0, 1, 2])
    transformation = optax.adam(0.01)
    state, losses = transformation.init(params), []

    @jax.jit
    def update(params, state):
        found, measured = rule.gradient(network, params, lesson(x, labels, 12))
        moved, state = transformation.update(found, state)
        return optax.apply_updates(params, moved), state, measured.loss

    for _ in range(100):
        params, state, loss = update(params, state)
        losses.append(float(loss))
    assert losses[-1] < 0.3 * losses[0]


# ---------------------------------------------------------------- conversion


def test_converted_neurons_fire_at_the_rates_of_the_units():
    neuron = IF(v_threshold=1.0, v_reset=0.0, v_init=0.5, reset="soft", refractory=None)
    trial = Trial(
        inputs=Inputs(encoder=Direct(), n_steps=64),
        network=net(architecture="20-3", neuron=neuron),
        learner=Conversion(percentile=100.0, n_images=50),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (50, 6), dtype=np.uint8)
    params, ann = updates.init(trial).params, trial.learner.as_trained(trial).network
    assert isinstance(ann.neuron, ReLU)
    converted = conversion.converted(trial, params, pixels)
    images = updates.as_images(ann, pixels)
    units = ann.activations(params, images)
    most = jnp.max(units[0])
    scaled = ann.activations(converted, images)
    np.testing.assert_allclose(scaled[0], units[0] / most, rtol=1e-5, atol=1e-6)
    x = images[None]
    response = trial.network.respond(converted, x, 64, 1.0)
    np.testing.assert_allclose(response.spikes[0] / 64, jnp.sum(jnp.round(scaled[0] * 64) / 64, axis=1), atol=20 / 64)
    np.testing.assert_allclose(response.output[-1] / 64, units[-1] / most, atol=0.05)
    right = jnp.argmax(response.output[-1], axis=1) == jnp.argmax(units[-1], axis=1)
    assert jnp.mean(right) > 0.9


# ---------------------------------------------------------------- studies

STUDY = {
    "study": "small",
    "data": {"name": "mnist_excerpt", "n_train": 200, "n_test": 100},
    "run": {"n_steps": 3, "epochs": 2, "batch_size": 20, "curve_points": 3, "checkpoint_seconds": 0.0},
    "matrix": {"encoder": ["direct", "poisson"], "neuron": ["unit_lif"], "rule": ["bptt"]},
    "encoder": {"poisson": {"intensity": 500.0}},
    "rule": {"bptt": {"optimiser": {"learning_rate": 3e-3}}},
    "network": {"architecture": "20-10", "gain": 2.0},
    "sweep": {"run": {"seed": [0, 1]}},
}


def changed(**paths):
    tables = copy.deepcopy(STUDY)
    for path, value in paths.items():
        config.set_path(tables, f"{path.replace('__', '.')}={value}")
    return tables


@pytest.fixture(scope="module")
def dataset():
    return data.load("mnist_excerpt")


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    runs.run(config.parse(changed()), dataset, out, Watcher(), clock=False)
    return out


def test_a_study_has_a_line_for_each_trial(whole):
    lines = [json.loads(line) for line in (whole / "results.jsonl").read_text().splitlines()]
    assert [(r["encoder"], r["seed"]) for r in lines] == [(e, s) for e in ("direct", "poisson") for s in (0, 1)]
    for r in lines:
        assert (r["n_presentations"], r["n_evaluated"], r["split"], r["device"]) == (400, 100, "test", "cpu")
        assert r["neuron"] == "unit_lif" and r["rule"] == "bptt" and r["n_train"] == 200 and r["n_neurons"] == 30
        assert len(r["accuracy_after"]) == 3 and r["accuracy_after"][-1] == r["accuracy"] > 0.15
        assert [n for n, _ in r["curve"]] == [80, 160, 200, 280, 360, 400]
        assert sum(map(sum, r["confusions"]["argmax"])) == 100
        assert r["output_spikes"] == pytest.approx(sum(r["layer_spikes"][1:])) and r["layer_spikes"][1] > 0
    assert lines[0]["accuracy"] != lines[1]["accuracy"] or lines[0]["curve"] != lines[1]["curve"]


@pytest.mark.parametrize("stop_at", [150, 900, 1700])
def test_a_resumed_study_is_the_uninterrupted_one(dataset, whole, tmp_path, stop_at):
    cfg = config.parse(changed())
    with pytest.raises(KeyboardInterrupt):
        runs.run(cfg, dataset, tmp_path, Watcher(stop_at), clock=False)
    runs.run(cfg, dataset, tmp_path, Watcher(), resume=True, clock=False)
    assert (tmp_path / "results.jsonl").read_bytes() == (whole / "results.jsonl").read_bytes()
    states = [[s.learned for s in runs.load_trained(out, pytest.fail).states] for out in (whole, tmp_path)]
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_the_remainder_of_a_batch_is_no_presentation(dataset, tmp_path):
    """Held-out training images are named, and `data.n_validation = 0` holds none out."""
    tables = changed(data__n_train=100, data__n_test=20, data__n_validation=50, run__batch_size=64)
    del tables["encoder"]
    tables["matrix"]["encoder"] = ["direct"]
    tables["sweep"] = {"run": {"seed": [0]}}
    (line,) = runs.run(config.parse(tables), dataset.held_out(50), tmp_path / "held", Watcher())
    assert (line["n_train"], line["n_presentations"], line["curve"][-1][0]) == (100, 128, 128)
    assert line["split"] == "validation"
    with pytest.raises(InputError, match="data.n_validation = 50: mnist_excerpt came with 0 images held out"):
        runs.run(config.parse(tables), dataset, tmp_path / "other", Watcher())
    tables["data"]["n_validation"] = 0
    (line,) = runs.run(config.parse(tables), dataset, tmp_path / "final", Watcher())
    assert line["split"] == "test"


def test_trials_at_once_are_the_trials_one_by_one(dataset, whole, tmp_path):
    runs.run(config.parse(changed(run__grid="vmap")), dataset, tmp_path, Watcher(), clock=False)
    one, other = (
        [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()] for out in (whole, tmp_path)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose([x for _, x in a["curve"]], [x for _, x in b["curve"]], atol=0.02)
        assert a["layer_spikes"] == pytest.approx(b["layer_spikes"], rel=0.02)


def test_numbers_of_surrogate_and_optimiser_are_swept_in_one_program():
    sweep = (
        '{"rule.optimiser.learning_rate" = [1e-3, 1e-2], "network.surrogate.width" = [0.2, 0.5], "run.seed" = [0, 1]}'
    )
    lanes = groups.plan([e.trial for e in config.parse(changed(sweep=sweep)).entries])
    assert [len(cell.index) for lane in lanes for cell in lane.cells] == [8, 8]  # one program an encoder


def test_a_loss_that_is_no_number_is_refused(dataset, tmp_path):
    tables = changed(rule__bptt__optimiser__learning_rate="1e30", rule__bptt__loss='"cross_entropy"')
    tables["network"]["readout"] = "membrane"
    with pytest.raises(InputError, match=r"loss is (nan|inf) in update \d+ .*run.seed = 0.*learning_rate = 1e\+30"):
        runs.run(config.parse(tables), dataset, tmp_path, Watcher())
    assert not (tmp_path / "results.jsonl").exists()


def test_the_trained_networks_can_be_reloaded(whole, dataset):
    trained = runs.load_trained(whole, pytest.fail)
    assert not trained.unfinished
    line = json.loads((whole / "results.jsonl").read_text().splitlines()[1])
    trial, state = runs.network_of(trained, line)
    images = updates.as_images(trial.network, dataset.test_images[:100])
    response = trial.network.respond(state.params, images[None], 3, 1.0)
    right = response.prediction() == dataset.test_labels[:100]
    assert np.mean(right) == line["accuracy"]
    schedule = groups.Schedule(n_train=200, n_assign=0, n_test=100)
    asked = gradient_learner.asked(trained.lanes[0], dataset, schedule, trained.states[0].learned[0], lambda n: None)
    assert [one["accuracy"] for one in asked][1] == line["accuracy"]


BAD = [
    ({"network__architecture": '"20C3-x"'}, r"'x' in '20C3-x': it should be a layer like 32C3"),
    ({"network__architecture": '"8C3-AP2"'}, r"its last layer should be dense"),
    ({"network__learn": '["tau"]'}, r"network.learn names 'tau': it should be a positive number"),
    ({"network__chunk": "2"}, r"network.chunk = 2: it should divide run.n_steps = 3"),
    ({"matrix__neuron": '["relu"]'}, r"rectified linear units see pixels, once"),
    ({"matrix__neuron": '["srm0"]'}, r"gradients are for the neurons if and lif"),
    ({"matrix__neuron": '["adaptive_lif"]'}, r"without adaptation"),
    ({"matrix__rule": '["stdp"]', "rule": "{}", "network": "{}"}, r"direct input.*rule should be bptt"),
    ({"run__rest": "2"}, r"run.rest: it is for local plasticity"),
    ({"network__surrogate": "{kind = 'box'}"}, r"unknown surrogate 'box'"),
    ({"matrix__rule": '["eprop"]', "rule": "{}"}, r"e-prop is for spiking neurons and network.readout"),
    ({"matrix__rule": '["conversion"]', "rule": "{}"}, r"conversion is for the neuron if"),
    ({"network__architecture": '"2C3-MP40-10"'}, r"network.architecture: nothing is left of 28 x 28 pixels"),
    ({"network__input_shape": "[28, 28]"}, r"input_shape = \[28, 28\]: it should be \[height, width, channels\], or"),
    ({"network__input_shape": "[-28, -28, 1]"}, r"it should be \[height, width, channels\], or \[inputs\]"),
    ({"network__input_shape": "[784]", "run__augmentation": "{}"}, r"augmentation need \[height, width, channels\]"),
    ({"network__dropout": "1.0"}, r"network.dropout = 1.0: it should be less than 1"),
    ({"network__dropout": "0.1", "network__architecture": '"10"'}, r"network.dropout has no effect"),
    ({"network__learn": '["tau_m", "tau_m"]'}, r"it should name each once"),
    ({"neuron__unit_lif__refractory": "2.0", "network__learn": '["refractory"]'}, r"learn names 'refractory'"),
    ({"neuron__unit_lif__v_floor": "2.0"}, r"neuron.v_floor = 2.0: it should be less than v_threshold = 1.0"),
    ({"run__test_passes": "2"}, r"run.test_passes has no effect: it is for local plasticity"),
    ({"run__readout": '"linear"'}, r"run.readout has no effect"),
    ({"run__engine": '"dense"'}, r"run.engine has no effect"),
    ({"data__n_assign": "50"}, r"data.n_assign has no effect"),
    ({"rule__bptt__optimiser__learning_rate": "-1.0"}, r"learning_rate = -1.0: it should be greater than 0"),
]


@pytest.mark.parametrize(("paths", "message"), BAD, ids=[re.sub(r"\W+", " ", m) for _, m in BAD])
def test_what_does_not_go_together_is_refused(paths, message):
    with pytest.raises(InputError, match=message):
        config.parse(changed(**paths))


CONVERTED = {"matrix": {"encoder": ["direct"], "neuron": ["if"], "rule": ["conversion"]}, "encoder": {}, "rule": {}}
CONVERTED |= {"neuron": {"if": {"reset": "soft", "refractory": "none"}}}
CONVERTED |= {"network": {"architecture": "20-10", "readout": "membrane"}}
BAD_CONVERSIONS = [
    ({"neuron__if__refractory": "5.0"}, r"neuron.refractory = 5.0: conversion is for neurons without it"),
    ({"neuron__if__v_floor": "-70.0"}, r"neuron.v_floor = -70.0: conversion is for neurons without it"),
    ({"neuron__if__v_init": "-61.0"}, r"v_init = -61.0: it should be from v_reset to v_threshold; halfway is -56"),
    ({"neuron__if__v_init": "0.5"}, r"neuron.v_init = 0.5: it should be less than v_threshold = -52.0"),
    ({"neuron__if__reset": '"hard"'}, r"conversion is for the neuron if, neuron.reset = \"soft\""),
    ({"matrix__encoder": '["rank_order"]'}, r"the rates of the inputs should be those of pixels"),
    ({"matrix__encoder": '["poisson"]', "network__bias": "true"}, r"network.bias: it fits an ANN that saw pixels"),
    ({"network__detach_reset": "true"}, r"network.detach_reset has no effect"),
    ({"network__surrogate": "{width = 0.7}"}, r"network.surrogate has no effect"),
    ({"run__dt": "2.0"}, r"run.dt has no effect: nothing here is in ms"),
    ({"network__architecture": '"10"'}, r"network.architecture = '10': conversion is for hidden layers"),
    ({"network__architecture": '"2C3-MP2-10"'}, r"the maximum of spikes is not that of their rates: AP in the place"),
    ({"network__architecture": '"2C3-AP2-MP2-10"'}, r"the maximum of spikes is not that of their rates"),
    ({"network__architecture": '"MP2-20-10"', "matrix__encoder": '["poisson"]'}, r"the maximum of spikes is not that"),
]


@pytest.mark.parametrize(
    ("paths", "message"), BAD_CONVERSIONS, ids=[re.sub(r"\W+", " ", m) for _, m in BAD_CONVERSIONS]
)
def test_conversions_that_would_change_rates_are_refused(paths, message):
    tables = copy.deepcopy(STUDY | CONVERTED)
    config.parse(tables)
    for path, value in paths.items():
        config.set_path(tables, f"{path.replace('__', '.')}={value}")
    with pytest.raises(InputError, match=message):
        config.parse(tables)


def test_maxima_of_pixels_and_means_of_spikes_are_converted():
    for architecture in ("MP2-20-10", "MP2-2C3-AP2-10"):
        tables = copy.deepcopy(STUDY | CONVERTED)
        tables["network"]["architecture"] = architecture
        assert len(config.parse(tables).entries) == 2


ALONE = {"architecture": '"10"', "readout": '"membrane"'}  # neurons that integrate, and never fire
IDLE = [
    ({"neuron__unit_lif__v_threshold": "0.5"}, r"neuron.v_threshold has no effect: no neuron fires"),
    ({"neuron__unit_lif__v_reset": "-0.5"}, r"neuron.v_reset has no effect: no neuron fires"),
    ({"neuron__unit_lif__refractory": "2.0"}, r"neuron.refractory has no effect: no neuron fires"),
    ({"neuron__unit_lif__reset": '"soft"'}, r"neuron.reset has no effect: no neuron fires"),
    ({"network__learn": '["tau_m", "v_threshold"]'}, r"network.learn = 'v_threshold' has no effect: no neuron fires"),
    ({"network__detach_reset": "true"}, r"network.detach_reset has no effect"),
    ({"network__surrogate": "{width = 0.7}"}, r"network.surrogate has no effect: no neuron fires"),
]


@pytest.mark.parametrize(("paths", "message"), IDLE, ids=[re.sub(r"\W+", " ", m) for _, m in IDLE])
def test_what_only_spikes_would_read_is_refused_where_no_neuron_fires(paths, message):
    config.parse(changed(**{f"network__{key}": value for key, value in ALONE.items()}, network__learn='["tau_m"]'))
    config.parse(changed(network__readout='"membrane"', **paths))  # hidden neurons fire
    with pytest.raises(InputError, match=message):
        config.parse(changed(**{f"network__{key}": value for key, value in ALONE.items()}, **paths))


def test_integrators_that_begin_at_their_reset_read_it():
    tables = changed(network__architecture='"10"', network__readout='"membrane"', matrix__neuron='["unit_if"]')
    for number in ({"v_reset": -0.5}, {"v_init": 0.25}):
        config.parse(tables | {"neuron": {"unit_if": number}})
    with pytest.raises(InputError, match="neuron.v_reset has no effect"):
        config.parse(tables | {"neuron": {"unit_if": {"v_init": 0.25, "v_reset": -0.5}}})


def test_a_layer_whose_percentile_is_0_is_not_converted(dataset, tmp_path):
    """A unit is silent for some images: a low percentile of its layer is that of silence."""
    tables = copy.deepcopy(STUDY | CONVERTED)
    tables["run"] = STUDY["run"] | {"epochs": 1}
    tables["sweep"] = {"rule": {"percentile": [99.0, 0.5]}}
    with pytest.raises(InputError, match=r"rule.percentile = 0.5 of trial 1: this percentile .* of layer 1 is 0"):
        runs.run(config.parse(tables), dataset, tmp_path / "run", Watcher())


def test_a_conversion_reckons_with_the_distance_from_reset_to_threshold(dataset):
    """Thresholds of -52 mV and resets of -60, or 1 and 0: the same spikes, and those at the rates of the units."""
    found = {}
    for name, numbers in {"if": {"v_init": -56.0}, "unit_if": {"v_init": 0.5}}.items():
        tables = copy.deepcopy(STUDY | CONVERTED)
        tables["matrix"]["neuron"] = [name]
        tables["neuron"] = {name: {"reset": "soft", "refractory": "none", **numbers}}
        tables["network"]["bias"] = True
        trial = config.parse(tables).entries[0].trial
        params, pixels = updates.init(trial).params, dataset.train_images[:100]
        converted = conversion.converted(trial, params, pixels)
        images = updates.as_images(trial.network, pixels)
        response = trial.network.respond(converted, images[None], 16, 1.0)
        found[name] = np.asarray(response.prediction()), np.asarray(response.spikes[0])
        units = trial.learner.as_trained(trial).network.activations(params, images)[-1]
        assert np.mean(found[name][0] == np.argmax(units, axis=1)) > 0.9
    np.testing.assert_array_equal(found["if"][0], found["unit_if"][0])
    np.testing.assert_allclose(found["if"][1], found["unit_if"][1], atol=1)


def test_an_ann_that_is_converted_for_events_sees_all_their_bins():
    inputs = Inputs(encoder=GIVEN["events"], n_steps=4)
    network = Feedforward(architecture="8-10", input_shape=(34, 34, 2), neuron=IF(reset="soft"), readout="membrane")
    trained = Conversion().as_trained(Trial(inputs=inputs, network=network, learner=Conversion()))
    frames = np.random.default_rng(0).random((3, 4, 34, 34, 2)) < 0.2
    seen = updates.shown(trained, jax.random.key(0), events.pack(frames).reshape(3, -1))
    np.testing.assert_allclose(seen, frames.mean(axis=1)[None], rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "why"),
    [
        ("[1, 28, 28]", r"input_shape = \[1, 28, 28\]: it should be \[28, 28, 1\], \[height, width, channels\]"),
        ("[14, 56, 1]", r"it should be \[28, 28, 1\]"),
        ("[28, 28, 2]", r"has 784 bytes an image and this needs 1568"),
    ],
)
def test_images_are_shown_in_their_own_shape(dataset, shape, why):
    with pytest.raises(InputError, match=why):
        runs.schedule_of(config.parse(changed(network__input_shape=shape)), dataset)
    runs.schedule_of(config.parse(changed(network__input_shape="[784]")), dataset)


def test_the_last_layer_has_the_classes_of_the_data(dataset):
    cfg = config.parse(changed(network__architecture='"20-5"'))
    with pytest.raises(InputError, match="network.architecture = '20-5': it should end with 10, the classes of mnist"):
        runs.schedule_of(cfg, dataset)
    few = dataclasses.replace(
        dataset, n_classes=5, train_labels=dataset.train_labels % 5, test_labels=dataset.test_labels % 5
    )
    runs.schedule_of(cfg, few)


def test_recordings_and_unknown_images_have_their_channels_last(dataset):
    tables = changed(matrix__encoder='["events"]', encoder="{}", network__input_shape="[2, 34, 34]")
    few = dataset.first(300, 300)
    images = ("train_images", "test_images")
    recordings = dataclasses.replace(few, **dict.fromkeys(images, np.zeros((300, 867), "u1")))
    with pytest.raises(InputError, match=r"it should be \[34, 34, 2\]"):
        runs.schedule_of(config.parse(tables), recordings)
    mine = dataclasses.replace(few, **dict.fromkeys(images, np.zeros((300, 24), "u1")))
    for shape, fits in {"[2, 4, 3]": False, "[4, 3, 2]": True, "[24]": True, "[1, 1, 24]": True}.items():
        cfg = config.parse(changed(network__input_shape=shape))
        if fits:
            runs.schedule_of(cfg, mine)
        else:
            with pytest.raises(InputError, match="the channels last"):
                runs.schedule_of(cfg, mine)


def test_weights_that_are_no_numbers_are_refused_where_the_loss_is_one(dataset, tmp_path):
    """All of a hidden layer drops out: what is left of it is divided by 0, and the loss is that of outputs without
    input. A share that float32 cannot tell from 1.
    """
    tables = changed(network__dropout="0.99999999", network__readout='"membrane"', matrix__encoder='["direct"]')
    tables["encoder"] = {}
    with pytest.raises(
        InputError, match=r"weights, or the optimiser's .* are not finite after update 3 .*run.seed = 0"
    ):
        runs.run(config.parse(tables), dataset, tmp_path, Watcher())
    assert not (tmp_path / "results.jsonl").exists()


class Listener(Watcher):
    """Keeps the warnings."""

    def __init__(self):
        super().__init__()
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


@pytest.mark.parametrize("readout", ["rate", "membrane"])
def test_a_silent_network_answers_nothing_and_says_so(dataset, tmp_path, readout):
    tables = changed(neuron__unit_lif__v_threshold="1e6", network__readout=f'"{readout}"', network__bias="true")
    tables["matrix"]["encoder"], tables["encoder"], tables["sweep"] = ["direct"], {}, {"run.seed": [0]}
    listener = Listener()
    (line,) = runs.run(config.parse(tables), dataset, tmp_path, listener, clock=False)
    assert line["accuracy"] == 0.0 and set(line["accuracy_after"]) == {0.0}
    assert sum(row[-1] for row in line["confusions"]["argmax"]) == 100
    (warning,) = listener.warnings
    assert "seed 0: layer 1 never fires: 100 of 100 images have no answer" in warning


def test_neurons_in_units_of_their_thresholds_are_in_the_registry():
    assert NEURONS["unit_lif"].v_threshold == 1.0 and NEURONS["unit_if"].refractory is None


def test_recordings_are_shown_as_they_were_recorded():
    frames = np.random.default_rng(0).random((3, 4, 34, 34, 2)) < 0.2
    pixels = events.pack(frames).reshape(3, -1)
    network = Feedforward(architecture="8-10", input_shape=(34, 34, 2))
    inputs = Inputs(
        encoder=GIVEN["events"], n_steps=4, augmentation=Augmentation(shift=0.0, rotation=0.0, scale=0.0, shear=0.0)
    )
    trial = Trial(inputs=inputs, network=network, learner=BPTT())
    assert updates.row(trial) == pixels.shape[1]
    for augment in (None, jax.random.key(1)):
        np.testing.assert_array_equal(
            updates.shown(trial, jax.random.key(0), pixels, augment), np.swapaxes(frames, 0, 1)
        )
    summed = dataclasses.replace(trial, inputs=dataclasses.replace(inputs, encoder=GIVEN["accumulated_events"]))
    np.testing.assert_allclose(updates.shown(summed, jax.random.key(0), pixels)[0], frames.mean(axis=1), rtol=1e-6)


def test_devices_share_the_trials(whole, tmp_path):
    """The command, on two devices: as the study on one of them."""
    toml = ["study = 'small'"]
    for name, table in STUDY.items():
        if name != "study":
            toml += [f"{name} = {inline(table)}"]
    (tmp_path / "small.toml").write_text("\n".join(toml))
    flags = "--xla_force_host_platform_device_count=2 --xla_cpu_multi_thread_eigen=false"
    command = [sys.executable, EXPERIMENTS / "matrix.py", tmp_path / "small.toml", "--out", tmp_path / "out"]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"XLA_FLAGS": flags})
    one, other = (
        [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
        for out in (whole, tmp_path / "out")
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose([x for _, x in a["curve"]], [x for _, x in b["curve"]], atol=0.02)
    assert (tmp_path / "out" / "figures" / "progress.png").exists()


def inline(table):
    """A table as TOML, on one line."""
    if isinstance(table, dict):
        return "{" + ", ".join(f"{key} = {inline(value)}" for key, value in table.items()) + "}"
    return json.dumps(table)
