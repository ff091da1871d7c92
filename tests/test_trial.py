"""What is shown: the rest after an image, and images that are shown again until enough neurons answer."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.encoders import Poisson
from jsnn.engines import stimulus
from jsnn.engines.dense import Dense
from jsnn.engines.sparse import Sparse
from jsnn.engines.stimulus import TEST, TRAIN, Inputs, Repeat
from jsnn.grid.groups import Trial
from jsnn.learners import Plasticity
from jsnn.learners.plasticity import trial
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.neurons import LIF
from jsnn.rules import STDP

IMAGES = np.uint8([[0, 40, 80, 120, 0, 200], [0, 0, 0, 0, 0, 0], [255, 255, 255, 255, 255, 255]])
INPUTS = Inputs(encoder=Poisson(intensity=60.0), n_steps=80, rest=20, again=Repeat(min_spikes=6.0, at_most=9))
NETWORK = CompetitiveNetwork(n_input=6, n_neurons=3, neuron=LIF(tau_m=20.0), rule=STDP(), norm=None, w_init=5.0)
KEY = jax.random.key(0)
INDEX, NUMBER = np.int32([[0], [1], [2]]), np.int32([[4], [5], [6]])


def rasters_of(inputs, purpose=TRAIN):
    return jax.jit(stimulus.encode, static_argnums=(1, 5))(inputs, purpose, IMAGES, INDEX, NUMBER, 6)


def test_the_rest_is_silent_and_part_of_the_presentation():
    spikes = np.asarray(rasters_of(INPUTS).spikes)
    assert spikes.shape == (3, 1, 100, 6)
    assert not spikes[:, :, 80:].any() and spikes[2, 0, :80].any()
    without = rasters_of(dataclasses.replace(INPUTS, rest=0)).spikes
    np.testing.assert_array_equal(spikes[:, :, :80], without)


@functools.partial(jax.jit, static_argnums=0)
def present(engine, learned, spikes, active):
    """One showing, by an engine that learns."""
    engine_state, keys = engine.start(NETWORK, learned), jax.random.split(KEY, 1)
    return engine.present(NETWORK, learned, engine_state, spikes[None], active, jnp.ones(1, bool), 1.0, keys)[::2]


@jax.jit
def respond(learned, spikes, active):
    """One showing to the frozen network."""
    return Dense().infer(NETWORK, learned, spikes[None], active, 1.0, jax.random.split(KEY, 1))


def by_hand(inputs, learned, b, purpose, present):
    """One image, again and again, in Python: how often it was shown, and the last counts."""
    key = jax.random.fold_in(inputs.key(purpose), NUMBER[b, 0])
    pixels = jnp.asarray(IMAGES[b][IMAGES[b] > 0] / 255.0, jnp.float32)
    pixels = jnp.pad(pixels, (0, 6 - len(pixels)))
    for k in range(inputs.again.at_most + 1):
        again = key if k == 0 else jax.random.fold_in(key, k)
        spikes = stimulus.spikes_of(inputs, again, pixels * (1 + 0.5 * k))
        learned, counts = present(learned, spikes)
        if counts.sum() >= inputs.again.min_spikes or not pixels.any():
            break
    return k + 1, learned, counts


@pytest.mark.parametrize("engine", [Dense(), Sparse()])
def test_an_image_is_shown_brighter_until_enough_neurons_answer(engine):
    """Training: what every showing taught stays, the last one counts; a blank image is not repeated."""
    of = Trial(inputs=INPUTS, network=NETWORK, learner=Plasticity())
    learned, rasters = trial.init(of), rasters_of(INPUTS)
    got, counts = jax.jit(trial.train, static_argnums=7)(of, learned, rasters, INDEX, NUMBER, 0, 3, engine)
    shown = []
    for b in range(3):
        show = functools.partial(present, engine, active=rasters.active[b])
        n, learned, want = by_hand(INPUTS, learned, b, TRAIN, show)
        np.testing.assert_array_equal(counts[b], want)
        shown.append(n)
    np.testing.assert_allclose(got.weights, learned.weights, atol=1e-6)
    assert shown[0] > 1 and shown[1] == 1, f"{shown}: nothing was repeated"


def test_answers_are_repeated_too():
    of = Trial(inputs=INPUTS, network=NETWORK, learner=Plasticity())
    learned, rasters = trial.init(of), rasters_of(INPUTS, TEST)
    counts = jax.jit(trial.respond, static_argnums=(3, 5))(of, learned, rasters, TEST, NUMBER, Dense())
    shown = []
    for b in range(3):
        n, _, want = by_hand(INPUTS, learned, b, TEST, lambda x, s, b=b: (x, respond(x, s, rasters.active[b])))
        np.testing.assert_array_equal(counts[b], want)
        shown.append(n)
    assert shown[0] > 1


def test_all_showings_are_paid_for():
    of = Trial(inputs=INPUTS, network=NETWORK, learner=Plasticity())
    learned, rasters = trial.init(of), rasters_of(INPUTS, TEST)
    counts, spent = jax.jit(trial.answered, static_argnums=(3, 5))(of, learned, rasters, TEST, NUMBER, Dense())
    for b in range(3):
        seen = []

        def show(x, spikes, b=b, seen=seen):
            answers = respond(x, spikes, rasters.active[b])
            seen.append((int(spikes.sum()), float(answers.sum())))
            return x, answers

        by_hand(INPUTS, learned, b, TEST, show)
        np.testing.assert_array_equal(spent[b, 0], np.sum(seen, axis=0))
    once = jax.jit(trial.answered, static_argnums=(3, 5))(
        dataclasses.replace(of, inputs=dataclasses.replace(INPUTS, again=None)), learned, rasters, TEST, NUMBER, Dense()
    )[1]
    np.testing.assert_array_equal(once[:, 0, 0], np.sum(np.asarray(rasters.spikes), axis=(1, 2, 3)))
    assert spent[0, 0, 0] > once[0, 0, 0]


def test_without_again_every_image_is_shown_once():
    inputs = dataclasses.replace(INPUTS, again=None)
    of = Trial(inputs=inputs, network=NETWORK, learner=Plasticity())
    rasters = rasters_of(inputs)
    _, counts = jax.jit(trial.train, static_argnums=7)(of, trial.init(of), rasters, INDEX, NUMBER, 0, 3, Dense())
    assert counts[0].sum() < INPUTS.again.min_spikes
