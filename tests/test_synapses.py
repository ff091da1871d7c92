"""Conductances, Euler neurons and delays against closed forms and loops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn.engines import dense
from jsnn.engines.ahead import Ahead
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.inhibition import INHIBITIONS, DirectInhibition
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.neurons import EulerLIF
from jsnn.rules import PowerLaw
from jsnn.synapses import Conductance

DT = 0.5


def test_conductance_carries_the_charge_of_the_equation():
    """tau * w, though a step takes the share dt / tau where the equation takes 1 - exp(-dt / tau)."""
    synapse = Conductance()
    state, v, zero = synapse.init((1,)), jnp.full(1, -65.0), jnp.zeros(1)
    charge = [0.0, 0.0]
    for t in range(200):
        arrives = jnp.full(1, 0.7 * (t == 0))
        state, current = synapse.step(state, arrives, zero, v, DT)
        charge[0] += current.item() * DT
    state = synapse.init((1,))
    for t in range(200):
        state, current = synapse.step(state, zero, jnp.full(1, -17.0 * (t == 0)), v, DT)
        charge[1] += current.item() * DT
    assert charge == pytest.approx([0.7 * 1.0 * 65.0, 17.0 * 2.0 * -35.0], rel=1e-5)


def membrane_by_hand(neuron, synapse, arrivals, theta):
    """v after each step, and where it fires: the equations one line each (Diehl & Cook 2015, eq. 1 and 2)."""
    v, g, last, spikes, vs = neuron.v_rest, 0.0, -(10**9), [], []
    for t, arrives in enumerate(arrivals):
        g += arrives
        if (t - last) * DT >= neuron.refractory:
            v += DT / neuron.tau_m * (neuron.v_rest - v + g * (synapse.e_excitatory - v))
            if v >= neuron.v_threshold + theta:
                v, last = neuron.v_reset, t
                spikes.append(t)
        g *= 1 - DT / synapse.tau_excitatory
        vs.append(v)
    return vs, spikes


def test_membrane_is_a_loop_over_the_equations():
    """Held at its reset for the refractory period, driven by what is still open afterwards."""
    rng = np.random.default_rng(0)
    arrivals = rng.random(400) * (rng.random(400) < 0.6)
    neuron, synapse = EulerLIF(), Conductance()
    state, open_, got, fired = neuron.init((1,)), synapse.init((1,)), [], []
    with jax.enable_x64(True):
        state, open_ = jax.tree.map(lambda x: x.astype(float), (state, open_))
        for t, arrives in enumerate(arrivals):
            open_, current = synapse.step(open_, jnp.full(1, arrives), jnp.zeros(1), state.v, DT)
            state, excess = neuron.integrate(state, current, jnp.full(1, 20.0), DT, ())
            state = neuron.fire(state, excess >= 0)
            got.append(state.v.item())
            fired += [t] if excess.item() >= 0 else []
    want, spikes = membrane_by_hand(neuron, synapse, arrivals, 20.0)
    assert fired == spikes and len(spikes) > 3
    np.testing.assert_allclose(got, want, rtol=1e-9)


def layer(**changes):
    defaults = {
        "n_input": 30,
        "n_neurons": 12,
        "neuron": EulerLIF(adaptation=AdaptiveThreshold(theta_0=20.0, theta_plus=0.05, tau_theta=1e7)),
        "rule": PowerLaw(),
        "synapse": Conductance(),
        "inhibition": INHIBITIONS["conductance_layer"],
        "tie_break": "none",
        "norm": 8.0,
        "w_init": 1.0,
    }
    return CompetitiveNetwork(**(defaults | changes))


def test_a_silent_neuron_sinks_until_it_fires():
    """Its threshold passes the resting potential after tau_theta log(20 / 7): it needs no input any more."""
    network = layer(inhibition=DirectInhibition(strength=0.0), n_neurons=1)
    blank = jnp.zeros((50, 1, 30), bool)
    for theta, fires in ((7.5, False), (6.5, True)):
        learned = Learned(weights=jnp.full((30, 1), 0.2), theta=jnp.full(1, theta))
        _, counts, _ = dense.present(network, learned, blank, jnp.ones(1, bool), DT, jax.random.key(0))
        assert (counts.sum() > 0) == fires
    theta, n = jnp.full(1, 20.0), 0
    while theta.item() > 7.0:
        theta, n = network.neuron.adaptation.decay_presentations(theta, jnp.float32(100), 500.0), n + 100
    assert n == pytest.approx(1e7 / 500 * np.log(20 / 7), abs=100)


def test_equilibrium_of_theta():
    """1000 s / N mV, for s spikes of all N neurons a presentation of 500 ms (theta_plus tau_theta / 500 ms a spike)."""
    adaptation, theta = AdaptiveThreshold(theta_0=20.0, theta_plus=0.05, tau_theta=1e7), jnp.full(1, 20.0)
    per_neuron = 16 / 400
    for _ in range(3000):
        theta = adaptation.decay_presentations(theta, jnp.float32(100), 500.0)
        theta = theta + 100 * per_neuron * adaptation.theta_plus
    assert theta.item() == pytest.approx(1000 * 16 / 400, rel=0.01)


def test_many_neurons_that_inhibit_at_once_do_not_fire_the_layer():
    """A forward Euler step of a hundred open inhibitory conductances would throw the membrane over its threshold."""
    network = layer(n_neurons=100, neuron=EulerLIF(adaptation=None, v_threshold=-52.0))
    weights = jnp.full((30, 100), 0.27).at[:, 80:].set(0.2)  # these are inhibited before they fire
    learned = Learned(weights=weights, theta=jnp.zeros(100))
    raster = jnp.zeros((400, 1, 30), bool).at[:150].set(jnp.arange(30) % 2 == 0)
    _, recording = dense.infer(network, learned, raster, DT, jax.random.key(0))
    per_step = recording.spikes.sum(axis=(1, 2))
    assert per_step.max() == 80, "they did not fire together"
    assert recording.v.min() >= -100.0 and per_step[200:].sum() == 0
    loose = dataclasses.replace(network, neuron=dataclasses.replace(network.neuron, v_floor=-jnp.inf))
    _, recording = dense.infer(loose, learned, raster, DT, jax.random.key(0))
    assert recording.v.min() < -300.0


def test_delays_are_drawn_once_and_move_what_arrives():
    """Uniform in 0..longest, the ends half as often; an input spike drives each neuron as much later as its delay."""
    network = layer(longest_delay=20, n_neurons=400)
    learned = network.init(jax.random.key(1))
    share = np.bincount(np.asarray(learned.delay).ravel(), minlength=21) / learned.delay.size
    np.testing.assert_allclose(share, np.r_[0.5, np.ones(19), 0.5] / 20, atol=0.008)
    raster = jnp.zeros((60, 1, 30), bool).at[7, 0, 4].set(True)
    arrives = np.asarray(dense.drives(learned, raster))[:, 0]
    step, neuron = np.nonzero(arrives)
    np.testing.assert_array_equal(step[np.argsort(neuron)], 8 + np.asarray(learned.delay)[4])
    np.testing.assert_allclose(arrives.sum(axis=0), learned.weights[4], rtol=1e-6)


def test_steps_are_left_out_only_where_nothing_happens():
    """A neuron whose threshold is below rest fires on, however long the last input is ago."""
    network, engine = layer(inhibition=DirectInhibition(strength=0.0)), Ahead(capacity=12)
    raster = np.zeros((1, 400, 30), bool)
    raster[0, :40] = np.random.default_rng(0).random((40, 30)) < 0.2
    active, valid, key = jnp.arange(30, dtype=jnp.int32)[None], jnp.ones(1, bool), jax.random.key(0)
    for low, late in ((20.0, False), (6.0, True)):
        learned = network.init(jax.random.key(0))
        learned = dataclasses.replace(learned, theta=learned.theta.at[3].set(low))
        engine_state = engine.start(network, learned)
        got, _, counts = jax.jit(engine.present)(network, learned, engine_state, raster, active, valid, DT, key[None])
        want, of_dense, recording = dense.present(network, learned, raster[0][:, None], valid, DT, key)
        np.testing.assert_array_equal(counts, of_dense)
        np.testing.assert_allclose(got.theta, want.theta, rtol=1e-6)
        assert bool(recording.spikes[200:].any()) == late
