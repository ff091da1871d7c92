"""The ahead engine is the dense engine: with conductances and current pulses, with and without delays."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import N_INPUT, N, T, assert_same, in_float64, label, pairwise, random_case

from jsnn.engines import dense
from jsnn.engines.ahead import Ahead
from jsnn.inhibition import INHIBITIONS
from jsnn.neurons import IF, LIF, SRM0, EulerLIF
from jsnn.synapses import Conductance, Delta

FACTORS = {
    "synapse": (Conductance(tau_excitatory=2.0, tau_inhibitory=3.0, e_inhibitory=-80.0), Delta()),
    "delay": (6, 0),
    "rule": ("power_law", "triplet", "pre_and_post", "exponential", "stdp"),
    "neuron": (EulerLIF, LIF, IF, SRM0),
    "clock": ("presentation", "step", None),
    "inhibition": tuple(INHIBITIONS),
    "tie_break": ("none", "random", "furthest"),
    "ghosts": (False, True),
    "additive": (False, True),
    "norm_order": (1, 2, None),
    "scaling": (False, True),
    "capacity": (N, 2),
}
structures = pairwise(FACTORS)
some = structures[:5] + [pytest.param(choice, marks=pytest.mark.slow) for choice in structures[5:12]]


def case(choice, seed):
    """A network of this structure, with its inputs."""
    inhibition = INHIBITIONS[choice["inhibition"]]
    whole = {"reduction": "sum", "batch": 1, "full": True, **choice}
    network, learned, rasters, _ = random_case(whole | {"inhibition": type(inhibition)}, seed)
    inhibition = dataclasses.replace(inhibition, strength=float(network.inhibition.strength))
    network = dataclasses.replace(
        network, synapse=choice["synapse"], inhibition=inhibition, longest_delay=choice["delay"]
    )
    if network.neuron.__class__ is EulerLIF and choice["synapse"] == Delta():
        network = dataclasses.replace(network, gain=float(network.neuron.tau_m))  # a pulse lasts one step
    delay = network.init(jax.random.key(seed)).delay
    return network, dataclasses.replace(learned, delay=delay), rasters


@functools.partial(jax.jit, static_argnums=0)
def both(engine, network, learned, engine_state, of_dense, spikes, active, key):
    """One presentation by each engine, from its own state; then both answer it."""
    valid = jnp.ones(1, bool)
    n_fired = engine.simulate(network, learned, spikes[0], active[0], valid[0], 1.0, key)[0].n
    learned, engine_state, counts = engine.present(
        network, learned, engine_state, spikes, active, valid, 1.0, key[None]
    )
    raster = dense.spread(spikes, active, network.n_input)
    of_dense, dense_counts, _ = dense.present(network, of_dense, raster, valid, 1.0, key)
    answers = engine.infer(network, learned, spikes, active, 1.0, key[None])
    dense_answers, _ = dense.infer(network, of_dense, raster, 1.0, key)
    return learned, engine_state, of_dense, (counts, dense_counts, answers, dense_answers), n_fired


@pytest.mark.parametrize("choice", some, ids=label)
def test_ahead_is_dense_in_float64(choice):
    total, fitted = [], []

    @in_float64(5)
    def examples(seed):
        network, learned, rasters = case(choice, seed)
        engine = Ahead(capacity=choice["capacity"])
        engine_state, of_dense = engine.start(network, learned), learned
        active = np.append(np.arange(N_INPUT), [N_INPUT] * 2).astype(np.int32)[None]
        for n, raster in enumerate(rasters):
            spikes = np.append(raster, np.zeros((T, 1, 2), bool), axis=2)[:, 0][None]
            key = jax.random.fold_in(jax.random.key(seed), n)
            learned, engine_state, of_dense, counts, n_fired = both(
                engine, network, learned, engine_state, of_dense, spikes, active, key
            )
            np.testing.assert_array_equal(counts[0], counts[1])
            np.testing.assert_array_equal(counts[2], counts[3])
            assert_same(learned, of_dense)
            total.append(int(counts[0].sum()))
            fitted.append(bool(n_fired <= choice["capacity"]))

    examples()
    assert sum(total) > 40 and (choice["capacity"] < N or all(fitted))
