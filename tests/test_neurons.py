"""Neurons, adaptive thresholds, tie-breaks and inhibition against closed forms."""

import dataclasses
import math
from typing import get_args

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given

from jsnn.engines import dense
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.inhibition import INHIBITIONS, DirectInhibition, InhibitoryLayer
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.networks.winner_take_all import TieBreak, winners
from jsnn.neurons import IF, LIF, SRM0, EulerLIF
from jsnn.rules import STDP

K, P = 4.5, 1e-4
present, respond = jax.jit(dense.present), jax.jit(dense.infer)


@jax.jit
def drive(neuron, currents, dt, theta=0.0, key=None):
    """Independent neurons under `currents` [n_steps, n]: potentials after resets, and spikes, [n_steps, n]."""
    key = jax.random.key(0) if key is None else key

    def step(state, inputs):
        current, t = inputs
        state, excess = neuron.integrate(
            state, current, theta, dt, neuron.noise(jax.random.fold_in(key, t), current.shape)
        )
        spikes = excess >= 0
        state = neuron.fire(state, spikes)
        return state, (state.v, spikes)

    _, out = jax.lax.scan(step, neuron.init(currents.shape[1:]), (currents, jnp.arange(len(currents))))
    return out


def run(neuron, currents, dt=1.0, **kwargs):
    v, spikes = drive(neuron, np.asarray(currents, np.float32), dt, **kwargs)
    return np.asarray(v), np.asarray(spikes)


def intervals(spikes):
    return np.diff(np.flatnonzero(spikes))


# ---------------------------------------------------------------- LIF


def test_lif_decays_to_rest():
    """v - v_rest = (v_0 - v_rest) exp(-t / tau_m) after an input, and inputs superpose."""
    neuron = LIF(tau_m=30.0, v_rest=-65.0, v_threshold=0.0)
    currents = np.zeros((200, 2))
    currents[0] = 7.0, -3.0
    currents[40, 0] = 2.0
    v, spikes = run(neuron, currents, dt=0.5)
    t = 0.5 * np.arange(200)
    first = 7 * np.exp(-t / 30) + np.where(t >= 20, 2 * np.exp(-(t - 20) / 30), 0)
    np.testing.assert_allclose(v[:, 0], -65 + first, rtol=1e-6)
    np.testing.assert_allclose(v[:, 1], -65 - 3 * np.exp(-t / 30), rtol=1e-6)
    assert not spikes.any()


def lif_interval(neuron, current, dt, tau_m):
    """Steps between spikes for `current` mV a step: u_n = u_inf + (u_0 - u_inf) q^n reaches the threshold first."""
    q = math.exp(-dt / tau_m)
    u_0, u_threshold = neuron.v_reset - neuron.v_rest, neuron.v_threshold - neuron.v_rest
    u_inf = current / (1 - q)
    return math.log((u_inf - u_0) / (u_inf - u_threshold)) / -math.log(q) if u_inf > u_threshold else math.inf


@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_lif_interspike_interval_is_exact(dt):
    """The discrete formula, rounded up to a step; silence below the rheobase."""
    neuron = LIF(tau_m=20.0, v_rest=-65.0, v_reset=-60.0, v_threshold=-52.0, refractory=0.0)
    currents = np.linspace(0.3, 3.0, 40) * dt
    _, spikes = run(neuron, np.tile(currents, (600, 1)), dt)
    fired = 0
    for current, train in zip(currents, spikes.T, strict=True):
        exact = lif_interval(neuron, current, dt, 20.0)
        if math.isinf(exact):
            assert not train.any()
        elif 1e-3 < exact % 1 < 1 - 1e-3:  # rounding does not decide
            assert (intervals(train) == math.ceil(exact)).all()
            fired += len(intervals(train)) > 0
    assert fired > 20


def test_lif_interspike_interval_converges():
    """To tau ln((RI - (v_reset - v_rest)) / (RI - (v_threshold - v_rest))) as dt -> 0, with order 1."""
    neuron = LIF(tau_m=20.0, v_rest=-65.0, v_reset=-60.0, v_threshold=-52.0, refractory=0.0)
    ri = np.linspace(16, 60, 300)  # mV, asymptote of the potential above rest
    exact = 20 * np.log((ri - 5) / (ri - 13))
    steps, errors = np.array([0.8, 0.4, 0.2, 0.1, 0.05]), []
    for dt in steps:
        _, spikes = run(neuron, np.tile(ri * dt / 20, (round(100 / dt), 1)), dt)
        measured = dt * np.array([intervals(train)[0] for train in spikes.T])
        assert np.abs(measured - exact).max() < 2 * dt
        errors.append(np.mean(np.abs(measured - exact)))
    order = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(order - 1) < 0.15, errors


def test_lif_threshold_is_inclusive():
    neuron = LIF(v_rest=-64.0, v_reset=-64.0, v_threshold=-52.0)
    _, spikes = run(neuron, [[12.0, 11.999, 12.001]])
    np.testing.assert_array_equal(spikes, [[True, False, True]])


def test_lif_starts_at_rest_and_resets_to_v_reset():
    neuron = LIF(v_rest=-65.0, v_reset=-60.0, tau_m=50.0)
    v, spikes = run(neuron, [[0.0], [20.0], [0.0]])
    np.testing.assert_allclose(v[:, 0], [-65, -60, -65 + 5 * math.exp(-1 / 50)], rtol=1e-6)
    np.testing.assert_array_equal(spikes[:, 0], [False, True, False])


# ---------------------------------------------------------------- IF


@given(st.integers(1, 40), st.sampled_from([0, 1, 2, 5]))
def test_if_counts_linearly(quarter, refractory):
    """Constant input c: a spike every ceil((v_threshold - v_reset) / c) + refractory steps."""
    c = quarter / 4
    neuron = IF(v_threshold=-52.0, v_reset=-60.0, refractory=float(refractory))
    _, spikes = run(neuron, np.full((200, 1), c))
    climb = math.ceil(8 / c)
    np.testing.assert_array_equal(np.flatnonzero(spikes), np.arange(climb - 1, 200, climb + refractory))


def test_if_does_not_leak():
    v, _ = run(IF(), np.append(5.0, np.zeros(500))[:, None])
    assert (v == -55).all()


# ---------------------------------------------------------------- what they share

MEMBRANES = {
    "if": IF(v_reset=-65.0),
    "lif": LIF(v_reset=-65.0, tau_m=float("inf")),
    "srm0": SRM0(v_reset=-65.0, tau_m=float("inf"), delta=1e-3),
}
every_membrane = pytest.mark.parametrize("neuron", MEMBRANES.values(), ids=MEMBRANES)


@every_membrane
@pytest.mark.parametrize("dt", [1.0, 0.5, 0.1])
def test_refractory_period_drops_inputs(neuron, dt):
    """A spike in step t: the inputs of steps t + 1 .. t + 5 ms / dt are lost, excitation and inhibition, no others."""
    lost = round(5 / dt)
    lags = np.arange(1, lost + 4)
    currents = np.zeros((lost + 10, 2 * len(lags)))
    currents[2] = 20.0  # all fire in step 2
    currents[2 + lags, np.arange(len(lags))] = 1.0
    currents[2 + lags, len(lags) + np.arange(len(lags))] = -1.0
    v, spikes = run(neuron, currents, dt)
    assert spikes[2].all() and spikes.sum() == 2 * len(lags)
    felt = v[-1].reshape(2, -1) + 65
    np.testing.assert_array_equal(felt[0], lags > lost)
    np.testing.assert_array_equal(felt[1], -1.0 * (lags > lost))


@pytest.mark.parametrize("neuron", [*MEMBRANES.values(), EulerLIF()], ids=[*MEMBRANES, "euler_lif"])
@pytest.mark.parametrize(
    ("period", "dt", "n_steps"), [(50.0, 0.1, 500), (29.9, 0.1, 299), (0.7, 0.7, 1), (2.5, 1.0, 3)]
)
def test_a_refractory_period_is_a_whole_number_of_steps(neuron, period, dt, n_steps):
    """Driven in every step, a neuron fires again in the first step after it (the Euler method's: one earlier)."""
    neuron = dataclasses.replace(neuron, refractory=period, adaptation=None)
    _, spikes = run(neuron, np.full((2 * n_steps + 4, 1), 1e4), dt)
    assert intervals(spikes[:, 0])[0] == max(1, n_steps + (0 if isinstance(neuron, EulerLIF) else 1))


@every_membrane
def test_potential_stops_at_the_floor(neuron):
    currents = np.array([[-3.0], [-30.0], [4.0]])
    v, _ = run(dataclasses.replace(neuron, v_floor=-70.0), currents)
    np.testing.assert_allclose(v[:, 0], [-68, -70, -66])
    v, _ = run(neuron, currents)
    np.testing.assert_allclose(v[:, 0], [-68, -98, -94])


@every_membrane
def test_theta_raises_the_threshold(neuron):
    _, spikes = run(neuron, np.full((1, 5), 15.0), theta=np.array([0.0, 1.5, 1.9, 2.1, 3.0], np.float32))
    np.testing.assert_array_equal(spikes[0], [True, True, True, False, False])


# ---------------------------------------------------------------- SRM0


@pytest.mark.parametrize("above", [-8.0, -3.0, 0.0, 2.0])
@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_srm0_escape_probability(above, dt):
    """1 - exp(-rho dt) with rho = rho_0 exp((v - v_threshold - theta) / delta)."""
    neuron = SRM0(tau_m=float("inf"), v_rest=-65.0, v_threshold=-52.0, rho_0=0.8, delta=3.0, epsilon_0=2.0)
    n, theta = 40_000, 1.5
    current = (above + theta + 13) / 2  # epsilon_0 = 2
    v, spikes = run(neuron, np.full((1, n), current), dt, theta=theta)
    np.testing.assert_allclose(v[~spikes], -52 + theta + above, rtol=1e-6)
    p = 1 - math.exp(-0.8 * math.exp(above / 3) * dt)
    assert abs(spikes.mean() - p) < K * math.sqrt(p * (1 - p) / n)


def test_srm0_far_below_its_threshold_is_silent():
    """E is never 0: a neuron whose probability is below 2^-33 does not fire, one that is rare is as rare as it says."""
    noise = np.asarray(SRM0().noise(jax.random.key(0), (2**22,)), float)
    assert noise.min() > 0 and np.isfinite(noise).all()
    scale = 2**22 * noise.min()  # the smallest of n draws is exponential of mean 1 / n
    assert 1e-3 < scale < 9
    smallest = np.sort(np.asarray(SRM0().noise(jax.random.key(1), (2**24,)), float))[:400] * 2**24
    assert scipy.stats.kstest(np.diff(smallest), "expon").pvalue > P  # a Poisson process, not steps of 2^-23

    neuron = SRM0(delta=5.0, v_rest=-52.0 - 23 * 5.0)
    smallest_of_all = jnp.full((1,), 2.0**-33)
    assert neuron.integrate(neuron.init((1,)), jnp.zeros(1), jnp.zeros(1), 1.0, smallest_of_all)[1] < 0


def test_srm0_first_spike_times_are_geometric():
    """At constant v the steps are independent trials."""
    neuron = SRM0(tau_m=float("inf"), v_rest=-58.0, v_threshold=-52.0, delta=4.0)
    _, spikes = run(neuron, np.zeros((60, 4000)))
    p = 1 - math.exp(-math.exp(-6 / 4))
    first = np.where(spikes.any(axis=0), spikes.argmax(axis=0), 60)
    observed = np.bincount(np.minimum(first, 15), minlength=16)
    law = scipy.stats.geom(p, loc=-1)
    expected = 4000 * np.append(law.pmf(np.arange(15)), law.sf(14))
    assert scipy.stats.chisquare(observed, expected).pvalue > P


def test_srm0_is_silent_while_refractory_unless_told():
    for fires in (False, True):
        neuron = SRM0(v_rest=-40.0, v_reset=-40.0, delta=1.0, refractory=5.0, fires_in_refractory=fires)
        _, spikes = run(neuron, np.zeros((60, 50)))  # 12 mV over the threshold: fires whenever it may
        np.testing.assert_array_equal(np.flatnonzero(spikes[:, 0]), np.arange(0, 60, 1 if fires else 6))


def test_srm0_excess_orders_the_certain_before_the_unlikely():
    """The noisy threshold: at equal noise a higher membrane is further over it, so "furthest" means what it says."""
    neuron = SRM0(delta=2.0)
    key, currents = jax.random.key(0), jnp.array([[5.0], [9.0]])
    states = [
        neuron.integrate(neuron.init((1,)), current, 0.0, 1.0, neuron.noise(key, (1,)))[1] for current in currents
    ]
    np.testing.assert_allclose(states[1] - states[0], 4.0, rtol=1e-5)


# ---------------------------------------------------------------- adaptive threshold


def firing_network(adaptation):
    """One neuron that fires in every step but the first, whatever its threshold: theta in closed form."""
    network = CompetitiveNetwork(
        n_input=1,
        n_neurons=1,
        neuron=IF(refractory=0.0, adaptation=adaptation),
        rule=STDP(eta_pre=0.0, eta_post=0.0, w_max=float("inf")),
        norm=None,
        tie_break="none",
    )
    return network, Learned(weights=jnp.full((1, 1), 1e6), theta=jnp.zeros(1))


@pytest.mark.parametrize("batch", [1, 3])
def test_theta_by_the_clock_of_presentations(batch):
    """theta_m = n theta_plus q (1 - q^m) / (1 - q), n spikes a batch, q = exp(-batch * T dt / tau_theta)."""
    network, learned = firing_network(AdaptiveThreshold(theta_plus=0.25, tau_theta=2000.0, clock="presentation"))
    n_steps, dt = 40, 0.5
    raster, valid = jnp.ones((n_steps, batch, 1), bool), jnp.ones(batch, bool)
    n, q = batch * (n_steps - 1), math.exp(-batch * n_steps * dt / 2000)
    for m in range(1, 6):
        learned, counts, _ = present(network, learned, raster, valid, dt, jax.random.key(0))
        assert (counts == n_steps - 1).all()
        np.testing.assert_allclose(learned.theta, 0.25 * n * q * (1 - q**m) / (1 - q), rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_theta_by_the_clock_of_steps(batch):
    """Decay, then the spikes: theta_t = batch theta_plus (1 - q^(t - 1)) / (1 - q), q = exp(-dt / tau_theta)."""
    network, learned = firing_network(AdaptiveThreshold(theta_plus=0.25, tau_theta=30.0, clock="step"))
    n_steps, dt = 40, 0.5
    raster, valid = jnp.ones((n_steps, batch, 1), bool), jnp.ones(batch, bool)
    q = math.exp(-dt / 30)
    for m in range(1, 4):  # the first step of a presentation is silent
        learned, counts, _ = present(network, learned, raster, valid, dt, jax.random.key(0))
        assert (counts == n_steps - 1).all()
        one = 0.25 * batch * (1 - q ** (n_steps - 1)) / (1 - q)
        np.testing.assert_allclose(learned.theta, one * (1 - q ** (n_steps * m)) / (1 - q**n_steps), rtol=1e-5)


@pytest.mark.parametrize("clock", ["presentation", "step"])
def test_theta_settles(clock):
    """Where what decays in a presentation is what its n spikes add: near theta_plus n tau_theta / duration."""
    network, learned = firing_network(AdaptiveThreshold(theta_plus=0.1, tau_theta=200.0, clock=clock))
    raster, valid = jnp.ones((20, 1, 1), bool), jnp.ones(1, bool)
    for _ in range(100):
        learned, _, _ = present(network, learned, raster, valid, 1.0, jax.random.key(0))
    after = present(network, learned, raster, valid, 1.0, jax.random.key(0))[0]
    np.testing.assert_allclose(after.theta, learned.theta, rtol=1e-5)
    np.testing.assert_allclose(learned.theta, 0.1 * 19 * 200 / 20, rtol=0.06)


def test_theta_of_a_silent_neuron_decays():
    """Over an epoch by exp(-time / tau_theta), the same for every batch size by the clock of presentations."""
    adaptation = AdaptiveThreshold(tau_theta=3000.0, clock="presentation")
    for batch in (1, 5):
        theta = jnp.array(8.0)
        for _ in range(20 // batch):
            theta = adaptation.decay_presentations(theta, jnp.float32(batch), 50.0)
            assert adaptation.decay_step(theta, 1.0) is theta
        np.testing.assert_allclose(theta, 8 * math.exp(-20 * 50 / 3000), rtol=1e-5)
    adaptation = AdaptiveThreshold(tau_theta=3000.0, clock="step")
    theta = jax.lax.fori_loop(0, 1000, lambda _, x: adaptation.decay_step(x, 0.5), jnp.array(8.0))
    np.testing.assert_allclose(theta, 8 * math.exp(-500 / 3000), rtol=1e-4)
    assert adaptation.decay_presentations(theta, jnp.float32(1), 50.0) is theta


# ---------------------------------------------------------------- tie-breaks

excesses = st.lists(
    st.lists(st.sampled_from([-math.inf, -3.0, -0.5, 0.0, 0.5, 2.0, 7.0]), min_size=6, max_size=6),
    min_size=4,
    max_size=4,
)


@given(excesses, st.sampled_from(get_args(TieBreak)), st.integers(0, 1000), st.integers(1, 4))
def test_winners(excess, tie_break, seed, n_winners):
    """Who crossed and only they, so many at most where ties are broken, and the right ones."""
    excess = np.array(excess, np.float32)
    chance = jax.random.uniform(jax.random.key(seed), (len(excess), n_winners))
    won = np.asarray(winners(tie_break, jnp.asarray(excess), chance, n_winners))
    crossed = excess >= 0
    assert won.dtype == bool and not (won & ~crossed).any()
    if tie_break == "none":
        np.testing.assert_array_equal(won, crossed)
        return
    np.testing.assert_array_equal(won.sum(axis=1), np.minimum(crossed.sum(axis=1), n_winners))
    for row, (over, ok) in enumerate(zip(excess, crossed, strict=True)):
        if tie_break == "first":
            np.testing.assert_array_equal(np.flatnonzero(won[row]), np.flatnonzero(ok)[:n_winners])
        if tie_break == "furthest":
            np.testing.assert_array_equal(np.sort(over[won[row]]), np.sort(over[ok])[-n_winners:])


def test_random_tie_break_is_uniform_and_independent():
    n = 20_000
    excess = jnp.tile(jnp.array([1.0, -1.0, 0.0, 5.0, 0.5, -2.0, 3.0]), (n, 1))
    won = np.asarray(winners("random", excess, jax.random.uniform(jax.random.key(3), (n, 1))))
    counts = won.sum(axis=0)
    assert counts[[1, 5]].sum() == 0 and counts.sum() == n
    assert scipy.stats.chisquare(counts[[0, 2, 3, 4, 6]]).pvalue > P
    who = won.argmax(axis=1)
    table = np.array([[np.sum((who[:-1] == i) & (who[1:] == j)) for j in range(7)] for i in range(7)])
    table = table[np.ix_([0, 2, 3, 4, 6], [0, 2, 3, 4, 6])]
    assert scipy.stats.chi2_contingency(table).pvalue > P, "presentations of a batch share their luck"


def test_random_tie_break_differs_from_step_to_step():
    """Each step has a chance of its own: the same three neurons cross in every step, and each wins its third."""
    network = CompetitiveNetwork(
        n_input=1,
        n_neurons=3,
        neuron=IF(refractory=0.0),
        rule=STDP(),
        inhibition=DirectInhibition(strength=0.0),
        tie_break="random",
        ghosts=True,
        norm=None,
    )
    learned = Learned(weights=jnp.full((1, 3), 10.0), theta=jnp.zeros(3))
    counts, _ = respond(network, learned, jnp.ones((1501, 1, 1), bool), 1.0, jax.random.key(0))
    assert counts.sum() == 1500
    assert scipy.stats.chisquare(np.asarray(counts[0])).pvalue > P


@pytest.mark.parametrize("ghosts", [False, True])
def test_losers_are_ghosts_or_unharmed(ghosts):
    """With ghosts the losers' potential is reset and their theta raised; without, they keep both and fire next."""
    network = CompetitiveNetwork(
        n_input=1,
        n_neurons=3,
        neuron=IF(v_reset=-60.0, refractory=0.0, adaptation=AdaptiveThreshold(theta_plus=0.5, tau_theta=1e9)),
        rule=STDP(eta_pre=0.0, eta_post=0.0, w_max=100.0),
        inhibition=DirectInhibition(strength=0.0),
        tie_break="furthest",
        ghosts=ghosts,
        norm=None,
    )
    learned = Learned(weights=jnp.array([[10.0, 12.0, 9.0]]), theta=jnp.zeros(3))
    raster = jnp.zeros((6, 1, 1), bool).at[0].set(True)
    after, _, recording = present(network, learned, raster, jnp.ones(1, bool), 1.0, jax.random.key(0))
    fired = [list(np.flatnonzero(row)) for row in np.asarray(recording.spikes[:, 0])]
    if ghosts:
        assert fired == [[], [1], [], [], [], []]
        np.testing.assert_allclose(recording.v[1, 0], -60)
        np.testing.assert_allclose(after.theta, 0.5)
    else:
        assert fired == [[], [1], [0], [2], [], []]
        np.testing.assert_allclose(recording.v[1, 0], [-50, -60, -51])
        np.testing.assert_allclose(after.theta, 0.5)


# ---------------------------------------------------------------- inhibition


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=3, max_size=3), st.integers(0, 200))
def test_inhibition_is_the_matrix_product(spikes, strength):
    """s @ (-strength (1 - identity)), for spikes of excitatory neurons and of the inhibitory layer alike."""
    spikes = np.array(spikes)
    want = spikes.astype(float) @ (-strength * (1 - np.eye(7)))
    direct = DirectInhibition(strength=float(strength))
    current = direct.step(direct.init(spikes.shape), jnp.asarray(spikes), 1.0)[1]
    np.testing.assert_allclose(current, want, rtol=1e-5)
    layer = InhibitoryLayer(strength=float(strength))
    state, current = layer.step(layer.init(spikes.shape), jnp.asarray(spikes), 1.0)
    assert not current.any()  # the layer has yet to fire
    np.testing.assert_array_equal(state.spikes, spikes)
    np.testing.assert_allclose(layer.step(state, jnp.zeros_like(spikes), 1.0)[1], want, rtol=1e-5)


@pytest.mark.parametrize(("name", "delay"), [("direct", 1), ("inhibitory_layer", 2)])
def test_inhibition_arrives_in_time(name, delay):
    """Neuron 0 fires in step 1: the others, and not itself, are inhibited once, one or two steps later."""
    network = CompetitiveNetwork(
        n_input=1,
        n_neurons=3,
        neuron=IF(v_reset=-65.0, refractory=0.0),
        rule=STDP(),
        inhibition=INHIBITIONS[name],
        norm=None,
    )
    learned = Learned(weights=jnp.array([[20.0, 1.0, 0.0]]), theta=jnp.zeros(3))
    raster = jnp.zeros((8, 1, 1), bool).at[0].set(True)
    _, recording = respond(network, learned, raster, 1.0, jax.random.key(0))
    np.testing.assert_array_equal(np.argwhere(recording.spikes), [[1, 0, 0]])
    t = np.arange(8)
    strength = INHIBITIONS[name].strength
    np.testing.assert_allclose(recording.v[:, 0, 0], -65)
    np.testing.assert_allclose(recording.v[:, 0, 1], -65.0 + (t >= 1) - strength * (t >= 1 + delay))
    np.testing.assert_allclose(recording.v[:, 0, 2], -65.0 - strength * (t >= 1 + delay))


def test_inhibitory_layer_fires_as_often_as_it_can():
    """Refractory for 2 ms: of a neuron that fires in every step, an inhibitory spike every third."""
    layer = InhibitoryLayer()
    state, fired = layer.init((1, 2)), []
    for _ in range(10):
        state, _ = layer.step(state, jnp.array([[True, False]]), 1.0)
        fired.append(np.asarray(state.spikes[0]))
    np.testing.assert_array_equal(np.array(fired)[:, 0], np.arange(10) % 3 == 0)
    assert not np.array(fired)[:, 1].any()
