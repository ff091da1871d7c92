"""The event and the sparse engine are the dense engine: the same spikes, and weights up to the order of a sum.

Several presentations in a row, each engine going on from what it has learned itself: neurons that fire for the first
time and again, ties and ghosts, columns that the bounds and the normalisation move although they are silent, more
neurons than there are slots, segments that are advanced in closed form.
"""

import dataclasses
import functools
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import N_INPUT, N, T, assert_same, in_float64, label, pairwise, random_case
from hypothesis import strategies as st

from jsnn.core.pytree import node
from jsnn.engines import dense
from jsnn.engines.event import Event, refusal
from jsnn.engines.sparse import Sparse
from jsnn.inhibition import DirectInhibition, InhibitoryLayer
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.winner_take_all import TieBreak
from jsnn.neurons import IF, LIF, SRM0
from jsnn.rules import RULES, STDP

FACTORS = {
    "neuron": (LIF, IF, SRM0),
    "clock": ("presentation", "step", None),
    "inhibition": (DirectInhibition, InhibitoryLayer),
    "tie_break": get_args(TieBreak),
    "ghosts": (False, True),
    "rule": tuple(RULES),
    "additive": (False, True),
    "norm_order": (1, 2, None),
    "scaling": (False, True),
    "capacity": (1, 2, N),
    "piece": (5, None, 20),
}
N_ACTIVE = 24


@functools.partial(jax.jit, static_argnums=0)
def both(engine, network, learned, engine_state, of_dense, spikes, active, key):
    """One presentation by each engine, from its own state; and the spikes of the event engine's attempt."""
    result = engine.simulate(network, learned, engine_state, spikes[0], active[0], jnp.array(True), 1.0, key)
    valid = jnp.ones(1, bool)
    learned, engine_state, counts = engine.commit(network, learned, result, spikes, active, valid, 1.0, key[None])
    raster = dense.spread(spikes, active, network.n_input)
    of_dense, dense_counts, recording = dense.present(network, of_dense, raster, valid, 1.0, key)
    slots = jnp.zeros((spikes.shape[1], network.n_neurons), bool)
    slots = slots.at[:, result.active_set.index].set(result.spikes, mode="drop")
    happened = counts, dense_counts, slots, recording.spikes[:, 0], result.active_set.n, jnp.sum(result.advanced)
    return learned, engine_state, of_dense, happened


def compare(choice, seed, tolerance, strength=None):
    """Presentations one after the other; returns what happened in them."""
    engine = Event(capacity=choice["capacity"], segment=choice["piece"])
    case = {"reduction": "sum", "batch": 1, "full": True} | choice
    network, learned, rasters, _ = random_case(case, seed)
    if strength is not None:
        inhibition = dataclasses.replace(network.inhibition, strength=strength)
        network = dataclasses.replace(network, inhibition=inhibition)
    rng = np.random.default_rng(seed)
    engine_state, of_dense = engine.start(network, learned), learned
    seen = []
    for n, raster in enumerate(rasters):
        active = np.sort(rng.permutation(N_INPUT)[: N_ACTIVE - 3])
        active = np.append(active, [N_INPUT] * 3).astype(np.int32)[None]
        spikes = np.append(raster, np.zeros((T, 1, 1), bool), axis=2)[:, 0, active[0]][None]
        key = jax.random.fold_in(jax.random.key(seed), n)
        learned, engine_state, of_dense, happened = both(
            engine, network, learned, engine_state, of_dense, spikes, active, key
        )
        counts, dense_counts, slots, recorded, n_fired, n_advanced = jax.tree.map(np.asarray, happened)
        np.testing.assert_array_equal(counts, dense_counts)
        if n_fired <= engine.capacity:
            np.testing.assert_array_equal(slots, recorded)
        assert_same(learned, of_dense, tolerance)
        seen.append((int(counts.sum()), int(n_fired), int(n_advanced)))
    return seen


structures = pairwise(FACTORS)
slow = [pytest.param(choice, marks=pytest.mark.slow) for choice in structures[7:14]]


@pytest.mark.parametrize("choice", structures[:7] + slow, ids=label)
def test_event_is_dense_in_float64(choice):
    """Random numbers and rasters, strong and weak inhibition."""
    total = []

    @in_float64(6, st.sampled_from([None, 3.0, 120.0]))
    def examples(seed, strength):
        total.extend(compare(choice, seed, 1e-12, strength))

    examples()
    assert sum(n for n, *_ in total) > 50, "hardly a spike to compare"


@pytest.mark.parametrize("choice", structures[7:10], ids=label)
def test_event_is_dense_in_float32(choice):
    assert sum(n for seed in (1, 2, 3) for n, *_ in compare(choice, seed, 2e-5, 60.0)) > 50


@jax.jit
def sparse_beside_dense(network, learned, of_dense, spikes, active, key):
    valid = jnp.ones(1, bool)
    learned, _, counts = Sparse().present(network, learned, (), spikes, active, valid, 1.0, key[None])
    raster = dense.spread(spikes, active, network.n_input)
    of_dense, dense_counts, _ = dense.present(network, of_dense, raster, valid, 1.0, key)
    return learned, of_dense, counts, dense_counts


@pytest.mark.parametrize("choice", structures[1:4] + slow[:3], ids=label)
def test_sparse_is_dense_in_float64(choice):
    total = []

    @in_float64(6)
    def examples(seed):
        network, learned, rasters, _ = random_case({"reduction": "sum", "batch": 1, "full": True} | choice, seed)
        of_dense = learned
        for n, raster in enumerate(rasters):
            active = np.append(np.arange(N_INPUT), [N_INPUT] * 2).astype(np.int32)[None]
            spikes = np.append(raster, np.zeros((T, 1, 2), bool), axis=2)[:, 0][None]
            key = jax.random.fold_in(jax.random.key(seed), n)
            learned, of_dense, *counts = sparse_beside_dense(network, learned, of_dense, spikes, active, key)
            np.testing.assert_array_equal(*counts)
            assert_same(learned, of_dense)
            total.append(int(counts[0].sum()))

    examples()
    assert sum(total) > 100


LIKE_DIEHL_AND_COOK = {
    "neuron": LIF,
    "clock": "presentation",
    "inhibition": DirectInhibition,
    "tie_break": "random",
    "ghosts": True,
    "rule": "stdp",
    "additive": False,
    "norm_order": 1,
    "capacity": 6,
    "piece": 5,
}


def test_the_comparisons_meet_what_they_are_for():
    """Presentations that fit and do not fit, segments that are advanced in closed form and not."""
    seen = [happened for seed in range(5) for happened in compare(LIKE_DIEHL_AND_COOK, seed, 2e-5, 120.0)]
    assert {n_fired <= 6 for _, n_fired, _ in seen} == {False, True}
    assert 0 < sum(n_advanced for *_, n_advanced in seen) < len(seen) * T // 5


def test_length_of_pieces():
    lengths = [(250, 25), (100, 25), (50, 25), (26, 13), (90, 18)]
    assert [Event(segment=25).segment_length(n) for n, _ in lengths] == [length for _, length in lengths]
    assert Event(segment=25).segment_length(23) is None  # the whole presentation is one
    assert Event(segment=25).segment_length(97) is None and Event().segment_length(100) is None


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("inhibition", [DirectInhibition(), InhibitoryLayer()], ids=["direct", "layer"])
def test_all_rules_and_networks_are_served(rule, inhibition):
    assert refusal(CompetitiveNetwork(neuron=LIF(), rule=rule, inhibition=inhibition)) is None


def test_what_is_not_local_in_time_is_refused():
    @node
    class Decay(STDP):
        """A weight sinks at every presynaptic spike."""

        def on_pre(self, w, pre, post):
            return -0.01 * w

    assert "Decay moves weights at a presynaptic spike" in refusal(CompetitiveNetwork(neuron=LIF(), rule=Decay()))
    inhibits_without_spikes = InhibitoryLayer(neuron=LIF(v_rest=-30.0, v_threshold=-40.0))
    assert "InhibitoryLayer inhibits although no neuron has fired" in refusal(
        CompetitiveNetwork(neuron=LIF(), rule=STDP(), inhibition=inhibits_without_spikes)
    )
