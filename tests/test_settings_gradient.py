"""No setting without effect: every number and mode of a trial by gradients, turned, changes a result or is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_settings import different, modes, nodes, replaced, turned

from jsnn.core.errors import InputError
from jsnn.core.pytree import static_fields
from jsnn.data.augmentation import Augmentation
from jsnn.encoders import Direct, Poisson
from jsnn.engines.stimulus import TEST, Inputs
from jsnn.grid.groups import Trial
from jsnn.learners import BPTT, Conversion, EProp, Optimiser, conversion, updates
from jsnn.networks.feedforward import Feedforward, ReLU
from jsnn.neurons import IF, LIF
from jsnn.surrogates import Triangular

N_IMAGES, BATCH = 12, 4
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N_IMAGES, 16)).astype(np.uint8)
LABELS = RNG.integers(0, 10, N_IMAGES).astype(np.int32)
NETWORK = {"architecture": "9-10", "input_shape": (4, 4, 1), "gain": 2.5}
OPTIMISER = Optimiser(learning_rate=0.02, weight_decay=0.1, warmup=0.4, clip=0.05)
MOVED = Augmentation(shift=1.0, rotation=20.0, scale=0.2, shear=0.2)
FULL = LIF(tau_m=3.0, v_rest=0.05, v_threshold=1.0, v_reset=-0.1, v_floor=-0.3, refractory=2.0)
TRIALS = {
    "backpropagation": Trial(
        inputs=Inputs(encoder=Poisson(intensity=500.0), n_steps=12, batch_size=BATCH, augmentation=MOVED),
        network=Feedforward(**NETWORK, neuron=FULL, bias=True, learn=("tau_m",), dropout=0.3, chunk=4),
        learner=BPTT(optimiser=OPTIMISER),
    ),
    "e-prop": Trial(
        inputs=Inputs(encoder=Direct(), n_steps=12, batch_size=BATCH),
        network=Feedforward(**NETWORK, neuron=FULL, readout="membrane", surrogate=Triangular(height=0.3)),
        learner=EProp(optimiser=OPTIMISER),
    ),
    "conversion": Trial(
        inputs=Inputs(encoder=Direct(), n_steps=12, batch_size=BATCH, augmentation=MOVED),
        network=Feedforward(
            **NETWORK, neuron=IF(reset="soft", refractory=None, v_init=-56.0), readout="membrane", dropout=0.3
        ),
        learner=Conversion(percentile=80.0, n_images=8, optimiser=OPTIMISER),
    ),
    "rectified linear units": Trial(
        inputs=Inputs(encoder=Direct(), n_steps=1, batch_size=BATCH),
        network=Feedforward(**NETWORK, neuron=ReLU(), readout="membrane", bias=True),
        learner=BPTT(optimiser=OPTIMISER),
    ),
}
OTHERWISE = {"architecture": ["8-10"], "learn": [("v_threshold",)], "warmup": [0.8]}
# The images themselves, how many of them an update sees; memory alone.
APART = {"inputs.batch_size", "network.input_shape", "network.chunk", "inputs.rest"}


@jax.jit
def results(of, pixels, labels):
    """What three updates leave, and what the network then answers."""
    index = jnp.arange(N_IMAGES).reshape(-1, BATCH)
    state, measured = updates.train(of, updates.init(of), pixels, labels, index, 4)
    params = state.params
    if isinstance(of.learner, Conversion):
        params = conversion.converted(of, params, pixels[: of.learner.n_images])
    x = updates.shown(of, of.inputs.key(TEST), pixels)
    response = of.network.respond(params, x, of.inputs.n_steps, of.inputs.dt)
    return params, measured, response.output, response.spikes


def outcome(of):
    return [np.asarray(x) for x in jax.tree.leaves(results(of, PIXELS, LABELS))]


def does_something(before, changed):
    try:
        changed.learner.check(changed, "trial")
    except InputError:
        return True
    return different(before, outcome(changed))


def settings(of, static):
    """(path of a node, field, other values) of a trial's numbers, or of its modes."""
    for path, node in nodes(of):
        for field in dataclasses.fields(node):
            name, value = field.name, getattr(node, field.name)
            if ".".join((*path, name)) in APART or (name in static_fields(node)) != static:
                continue
            if static:
                yield path, name, OTHERWISE.get(name) or modes(node, name)
            elif isinstance(value, int | float):
                yield path, name, turned(value) if isinstance(value, float) else [value + 1]


def idle(of, static):
    """The settings of a trial that change nothing."""
    of.learner.check(of, "trial")
    before = outcome(of)
    assert all(np.isfinite(x).all() for x in before)
    found = list(settings(of, static))
    assert len(found) > 5
    return [
        ".".join((*path, name))
        for path, name, values in found
        if not any(does_something(before, replaced(of, path, **{name: value})) for value in values)
    ]


slow_but_first = [pytest.param(name, marks=[pytest.mark.slow] * (i > 0)) for i, name in enumerate(TRIALS)]


@pytest.mark.parametrize("name", slow_but_first)
def test_every_number_of_a_trial_by_gradients_does_something(name):
    assert idle(TRIALS[name], static=False) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIALS)
def test_every_mode_of_a_trial_by_gradients_does_something(name):
    assert idle(TRIALS[name], static=True) == []


def test_chunks_are_memory_alone():
    of = TRIALS["backpropagation"]
    whole = outcome(dataclasses.replace(of, network=dataclasses.replace(of.network, chunk=None)))
    for a, b in zip(outcome(of), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
