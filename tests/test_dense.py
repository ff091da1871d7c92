"""The dense engine against the loops of reference.py, and what must hold whatever the numbers are."""

import dataclasses
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from cases import N_INPUT, N, T, label, pairwise, random_case

from jsnn.core.protocols import Reduction
from jsnn.engines import dense
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.inhibition import INHIBITIONS, DirectInhibition, InhibitoryLayer
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.networks.winner_take_all import TieBreak
from jsnn.neurons import IF, LIF, NEURONS
from jsnn.rules import RULES, STDP

REDUCTIONS, TIE_BREAKS = get_args(Reduction), get_args(TieBreak)
present, respond = jax.jit(dense.present), jax.jit(dense.infer)

FACTORS = {
    "neuron": (IF, LIF),
    "clock": (None, "presentation", "step"),
    "inhibition": (DirectInhibition, InhibitoryLayer),
    "tie_break": TIE_BREAKS,
    "ghosts": (False, True),
    "rule": tuple(RULES),
    "additive": (False, True),
    "reduction": REDUCTIONS,
    "batch": (1, 4),
    "full": (True, False),
    "norm_order": (1, 2, None),
    "scaling": (False, True),
}


def recorded(spikes):
    """A random tie-break replayed: whom the engine chose, who must be one of those that crossed."""

    def choose(t, b, crossed):
        chosen = np.flatnonzero(spikes[t, b])
        assert len(chosen) == 1 and chosen[0] in crossed, (t, b, crossed, chosen)
        return list(chosen)

    return choose


def compare(choice, seed):
    """Three presentations, engine beside reference, each going on from what it has learned itself."""
    network, learned, rasters, valid = random_case(choice, seed)
    weights, theta = np.asarray(learned.weights, float), np.asarray(learned.theta, float)
    first = weights
    ghosts = n_spikes = 0
    for n, raster in enumerate(rasters):
        key = jax.random.fold_in(jax.random.key(seed), n)
        scale = learned.scale
        learned, counts, recording = present(network, learned, raster, valid, 1.0, key)
        spikes = np.asarray(recording.spikes)
        # the choices of an engine are replayed only where a presentation is real: elsewhere it is silent
        replay = recorded(spikes)
        want = reference.present(
            network,
            weights,
            theta,
            raster,
            1.0,
            valid,
            choose=lambda t, b, crossed, replay=replay: replay(t, b, crossed) if valid[b] else crossed[:1],
            scale=scale,
        )
        assert want.margin > 2e-5, f"rounding could decide a spike here ({want.margin} mV): take another seed"
        np.testing.assert_array_equal(spikes, want.spikes, f"presentation {n}, margin {want.margin}")
        np.testing.assert_allclose(np.asarray(recording.v)[:, valid], want.v[:, valid], atol=2e-4)
        np.testing.assert_array_equal(counts, want.spikes.sum(axis=0))
        np.testing.assert_allclose(learned.weights, want.weights, atol=1e-5)
        np.testing.assert_allclose(learned.theta, want.theta, rtol=1e-5)
        if scale is not None:
            surplus = want.spikes.sum(axis=(0, 1)) - valid.sum() * network.scaling.target
            np.testing.assert_allclose(learned.scale, scale * np.exp(-network.scaling.eta * surplus), rtol=1e-5)
        weights, theta, ghosts = want.weights, want.theta, ghosts + want.ghosts
        n_spikes += want.spikes.sum()
    assert n_spikes > 10, "nothing to compare"
    assert np.abs(weights - first).max() > 0.01, "nothing was learned"
    assert ghosts or choice["tie_break"] == "none", "no tie was broken"


@pytest.mark.parametrize("choice", pairwise(FACTORS), ids=label)
def test_engine_is_the_reference(choice):
    compare(choice, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("choice", pairwise(FACTORS, seed=1), ids=label)
@pytest.mark.parametrize("seed", range(2, 6))  # one after the other, of the same compiled program
def test_engine_is_the_reference_again(choice, seed):
    compare(choice, seed)


def small(**changes):
    """A network that fires, with weights that sum without rounding (multiples of 1/256)."""
    numbers = {
        "n_input": N_INPUT,
        "n_neurons": N,
        "neuron": LIF(v_reset=-65.0),
        "rule": STDP(eta_pre=0.0, eta_post=0.0),
        "inhibition": DirectInhibition(strength=8.0),
        "norm": None,
    }
    network = CompetitiveNetwork(**numbers | changes)
    rng = np.random.default_rng(5)
    weights = jnp.asarray(rng.integers(0, 256, (N_INPUT, N)) / 256, jnp.float32)
    return network, Learned(weights=weights, theta=jnp.asarray(rng.integers(0, 4, N) / 4, jnp.float32))


def rasters(batch, n_steps=T, seed=3):
    return np.random.default_rng(seed).random((n_steps, batch, N_INPUT)) < 0.3


def all_of(batch):
    return np.ones(batch, bool)


def still(neuron):
    """The neuron with an adaptive threshold that does not move, if it has one."""
    if neuron.adaptation is None:
        return neuron
    return dataclasses.replace(
        neuron, adaptation=dataclasses.replace(neuron.adaptation, theta_plus=0.0, tau_theta=float("inf"))
    )


@pytest.mark.parametrize(("neuron", "inhibition"), [("srm0", "direct"), ("adaptive_lif", "inhibitory_layer")])
def test_respond_is_present_that_does_not_learn(neuron, inhibition):
    network, learned = small(
        neuron=still(NEURONS[neuron]), inhibition=INHIBITIONS[inhibition], tie_break="random", ghosts=True
    )
    raster, key = rasters(4), jax.random.key(7)
    after, counts, recording = present(network, learned, raster, all_of(4), 1.0, key)
    counts_frozen, recording_frozen = respond(network, learned, raster, 1.0, key)
    np.testing.assert_array_equal(recording.spikes, recording_frozen.spikes)
    np.testing.assert_allclose(recording.v, recording_frozen.v, rtol=1e-6)
    np.testing.assert_array_equal(counts, counts_frozen)
    np.testing.assert_array_equal(after.weights, learned.weights)
    np.testing.assert_array_equal(after.theta, learned.theta)
    assert counts.sum() > 10


def frozen():
    """A rule, a threshold, bounds and a norm that would all change it, if it were not frozen."""
    return small(
        neuron=LIF(adaptation=AdaptiveThreshold(theta_plus=2.0, tau_theta=50.0, clock="step")),
        rule=STDP(eta_post=0.5, w_max=0.4),
        norm=3.0,
    )


def test_respond_is_the_reference_that_does_not_learn():
    network, learned = frozen()
    raster = rasters(4)
    counts, recording = respond(network, learned, raster, 1.0, jax.random.key(0))
    want = reference.present(network, learned.weights, learned.theta, raster, 1.0, learning=False)
    assert want.margin > 2e-5
    np.testing.assert_array_equal(recording.spikes, want.spikes)
    np.testing.assert_array_equal(counts, want.spikes.sum(axis=0))
    assert want.spikes.sum() > 10


def test_frozen_presentations_of_a_batch_do_not_meet():
    network, learned = frozen()
    raster, key = rasters(4), jax.random.key(0)
    together = respond(network, learned, raster, 1.0, key)[1].spikes
    alone = [np.asarray(respond(network, learned, raster[:, [b]], 1.0, key)[1].spikes) for b in range(4)]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=1))


learning_reductions = pytest.mark.parametrize("reduction", REDUCTIONS)


def learner(**changes):
    """A network that learns fast, and all of it: weights, thresholds, normalisation."""
    return small(
        **{
            "neuron": LIF(v_reset=-65.0, adaptation=AdaptiveThreshold(theta_plus=0.25, tau_theta=500.0)),
            "rule": STDP(eta_pre=1 / 64, eta_post=1 / 16),
            "norm": 12.0,
            **changes,
        }
    )


@learning_reductions
def test_what_is_not_valid_does_not_matter(reduction):
    """Whatever fills up a batch is silent and leaves no mark; as a valid presentation it does."""
    network, learned = learner(reduction=reduction)
    raster, key, valid = rasters(4), jax.random.key(0), np.array([True, False, True, True])
    after, counts, _ = present(network, learned, raster, valid, 1.0, key)
    counts = np.asarray(counts)
    assert not counts[~valid].any() and counts[valid].any()
    noise = raster.copy()
    noise[:, ~valid] = True
    other, counts_other, _ = present(network, learned, noise, valid, 1.0, key)
    np.testing.assert_array_equal(counts, counts_other)
    np.testing.assert_array_equal(after.weights, other.weights)
    np.testing.assert_array_equal(after.theta, other.theta)
    full = present(network, learned, raster, all_of(4), 1.0, key)[0]
    assert np.abs(full.weights - after.weights).max() > 1e-3


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_empty_batch_changes_nothing(reduction):
    network, learned = learner(reduction=reduction)
    learned = dataclasses.replace(learned, weights=network.normalise(learned.weights))
    after, counts, _ = present(network, learned, rasters(4), ~all_of(4), 1.0, jax.random.key(0))
    assert not counts.any()
    np.testing.assert_allclose(after.weights, learned.weights, rtol=1e-6)
    np.testing.assert_array_equal(after.theta, learned.theta)


@learning_reductions
def test_order_within_a_batch_does_not_matter(reduction):
    network, learned = learner(reduction=reduction)
    raster, order = rasters(4), np.array([2, 0, 3, 1])
    after, counts, _ = present(network, learned, raster, all_of(4), 1.0, jax.random.key(0))
    again, counts_again, _ = present(network, learned, raster[:, order], all_of(4), 1.0, jax.random.key(0))
    np.testing.assert_array_equal(np.asarray(counts)[order], counts_again)
    np.testing.assert_allclose(after.weights, again.weights, atol=2e-6)
    np.testing.assert_allclose(after.theta, again.theta, rtol=1e-6)


def test_nothing_acts_before_its_cause():
    """An input spike of step t is first felt in step t + 1: other input from t on, the same spikes up to t."""
    network, learned = learner(inhibition=InhibitoryLayer())
    raster, key = rasters(1), jax.random.key(0)
    spikes = np.asarray(present(network, learned, raster, all_of(1), 1.0, key)[2].spikes)
    differ = []
    for t in range(0, T, 7):
        changed = np.concatenate([raster[:t], ~raster[t:]])
        other = np.asarray(present(network, learned, changed, all_of(1), 1.0, key)[2].spikes)
        np.testing.assert_array_equal(other[: t + 1], spikes[: t + 1])
        differ.append((other != spikes).any())
    assert all(differ[:-1])


def test_active_inputs_are_all_that_matters():
    """`active`: the same spikes and weights from the inputs that fire alone, their number rounded up or not."""
    network, learned = learner(reduction="mean_fired", rule=STDP(eta_pre=1 / 64, eta_post=1 / 16, w_min=0.1, w_max=0.9))
    raster, key = rasters(4), jax.random.key(0)
    silent = np.arange(N_INPUT) % 3 > 0
    raster[:, :, silent] = False
    after, counts, recording = present(network, learned, raster, all_of(4), 1.0, key)
    assert counts.sum() > 10 and (np.asarray(learned.weights)[silent] > 0.9).any()
    for n_active in (10, 16):
        active = np.append(np.flatnonzero(~silent), np.full(n_active - 10, N_INPUT))
        some = np.append(raster, np.zeros((T, 4, 1), bool), axis=2)[:, :, active]
        other, _, other_recording = present(network, learned, some, all_of(4), 1.0, key, active)
        np.testing.assert_array_equal(recording.spikes, other_recording.spikes)
        np.testing.assert_allclose(after.weights, other.weights, atol=1e-6)
        np.testing.assert_array_equal(after.theta, other.theta)


def test_keys_are_used_once():
    network, learned = small(neuron=NEURONS["srm0"], tie_break="random")
    with jax.debug_key_reuse(True):
        present(network, learned, rasters(1), all_of(1), 1.0, jax.random.key(0))
