"""Learning rules, traces, bounds, normalisation and reductions against closed forms and loops."""

import dataclasses
import math
from functools import partial
from typing import get_args

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import with_numbers
from hypothesis import given

from jsnn.core.protocols import Reduction
from jsnn.core.trace import Trace
from jsnn.engines import dense
from jsnn.engines.plasticity import change
from jsnn.inhibition import DirectInhibition
from jsnn.networks.competitive import CompetitiveNetwork, Learned
from jsnn.neurons import IF
from jsnn.rules import RULES, STDP, Exponential, Hebbian, PowerLaw, PreAndPost, Triplet, WeightDependentSTDP

present = jax.jit(dense.present)
changed = jax.jit(change, static_argnames="reduction")
REDUCTIONS = get_args(Reduction)
UNBOUNDED = {"w_min": -math.inf, "w_max": math.inf}
TRACES = {"pre_trace": Trace(tau=17.0), "post_trace": Trace(tau=31.0)}

every_rule = pytest.mark.parametrize("name", RULES)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)


# ---------------------------------------------------------------- the window


def weight_after_a_pair(rule, lag, w=0.0, dt=1.0):
    """Through the engine: input 0 makes the neuron fire once, input 1 spikes `lag` steps before it (after: lag < 0)."""
    driver = min(100.0, rule.w_max)
    network = CompetitiveNetwork(
        n_input=2, n_neurons=1, neuron=IF(), rule=rule, norm=None, inhibition=DirectInhibition(), gain=12.0 / driver
    )
    learned = Learned(weights=jnp.array([[driver], [w]]), theta=jnp.zeros(1))
    raster = np.zeros((130, 1, 2), bool)
    fires = 65  # one step after the spike of input 0
    raster[fires - 1, 0, 0] = True
    raster[fires - lag, 0, 1] = True
    after, counts, _ = present(network, learned, raster, jnp.ones(1, bool), dt, jax.random.key(0))
    assert counts.item() == 1
    return after.weights[1, 0].item()


LAGS = range(-60, 61)


@pytest.mark.parametrize("dt", [1.0, 0.5])
@pytest.mark.parametrize("sign", [-1, 1], ids=["stdp", "hebbian"])
def test_window_of_a_pair(sign, dt):
    """eta_post exp(-k dt / tau_pre) if the input was first, sign * eta_pre exp(-k dt / tau_post) if last; both at 0."""
    rule = (STDP if sign < 0 else Hebbian)(eta_pre=0.03, eta_post=0.07, **UNBOUNDED, **TRACES)
    want = [
        0.07 * math.exp(-lag * dt / 17) * (lag >= 0) + sign * 0.03 * math.exp(lag * dt / 31) * (lag <= 0)
        for lag in LAGS
    ]
    got = [weight_after_a_pair(rule, lag, dt=dt) for lag in LAGS]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_window_of_a_pair_with_soft_bounds():
    """The same window times (w_max - w) and (w - w_min), w before the step."""
    rule = WeightDependentSTDP(eta_pre=0.03, eta_post=0.07, w_min=-2.0, w_max=200.0, **TRACES)
    for w in (-1.5, 0.5):
        want = [
            w + 0.07 * math.exp(-lag / 17) * (200 - w) * (lag >= 0) - 0.03 * math.exp(lag / 31) * (w + 2) * (lag <= 0)
            for lag in LAGS
        ]
        np.testing.assert_allclose([weight_after_a_pair(rule, lag, w) for lag in LAGS], want, rtol=1e-5, atol=1e-5)


def test_hebbian_does_not_ask_who_was_first():
    rule = Hebbian(eta_pre=0.05, eta_post=0.05, pre_trace=Trace(tau=20.0), post_trace=Trace(tau=20.0), **UNBOUNDED)
    got = np.array([weight_after_a_pair(rule, lag) for lag in LAGS])
    np.testing.assert_allclose(got, got[::-1], rtol=1e-6)
    assert (got > 0).all()


@every_rule
def test_lone_spikes_change_nothing(name):
    """A pair needs two: the input alone, or the neuron alone, leave the weight as it is, unless the rule says so."""
    rule = RULES[name]
    w = jnp.full((3, 4), 0.5)
    on, off = jnp.ones((1, 3)), jnp.zeros((1, 4))
    np.testing.assert_array_equal(changed(rule, w, on, off, on, off, "sum", 1.0, jnp.zeros(4)), 0)
    off, on = jnp.zeros((1, 3)), jnp.ones((1, 4))
    assert np.any(changed(rule, w, off, on, off, on, "sum", 1.0, jnp.ones(4))) == rule.updates_silent_inputs


# ---------------------------------------------------------------- traces


@pytest.mark.parametrize("additive", [False, True])
@given(spikes=st.lists(st.booleans(), min_size=30, max_size=30))
def test_trace_is_a_sum_over_past_spikes(additive, spikes):
    """Of exp(-age / tau): all of them, or the last one's alone."""
    trace, dt = Trace(tau=12.0, additive=additive), 0.5
    step = partial(trace.step, dt=dt)
    _, got = jax.lax.scan(lambda x, s: (step(x, s),) * 2, jnp.zeros(()), jnp.array(spikes))
    times = np.flatnonzero(spikes)
    want = []
    for t in range(len(spikes)):
        terms = [math.exp(-(t - s) * dt / 12) for s in times if s <= t]
        want.append(sum(terms) if additive else max(terms, default=0.0))
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_additive_traces_count_pairs_of_all_spikes():
    """Two inputs before one output: the nearest counts alone, or both do."""
    for additive, terms in [(False, (3,)), (True, (3, 10))]:
        trace = Trace(tau=20.0, additive=additive)
        rule = STDP(eta_pre=0.0, eta_post=0.1, pre_trace=trace, **UNBOUNDED)
        network = CompetitiveNetwork(n_input=2, n_neurons=1, neuron=IF(), rule=rule, norm=None)
        learned = Learned(weights=jnp.array([[100.0], [0.0]]), theta=jnp.zeros(1))
        raster = np.zeros((130, 1, 2), bool)
        raster[64, 0, 0] = raster[55, 0, 1] = raster[62, 0, 1] = True
        after = present(network, learned, raster, jnp.ones(1, bool), 1.0, jax.random.key(0))[0]
        np.testing.assert_allclose(after.weights[1, 0], sum(0.1 * math.exp(-k / 20) for k in terms), rtol=1e-5)


# ---------------------------------------------------------------- bounds


@given(
    st.integers(0, 10_000),
    st.floats(0, 1, width=32),
    st.floats(0, 1, width=32),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_soft_bounds_are_never_crossed(seed, eta_pre, share, start):
    """Without any clipping, while eta_pre + eta_post <= 1 and traces are of the nearest spike, however often it is."""
    rng = np.random.default_rng(seed)
    rule = WeightDependentSTDP(eta_pre=eta_pre, eta_post=share * (1 - eta_pre), w_min=-0.25, w_max=0.75)
    w = jnp.full((3, 4), -0.25 + start)
    for _ in range(15):
        s_pre, s_post = rng.random((1, 3)) < 0.5, rng.random((1, 4)) < 0.5
        pre, post = np.maximum(rng.random((1, 3)), s_pre), np.maximum(rng.random((1, 4)), s_post)
        fired = np.ones(4)
        w = w + changed(rule, w, s_pre, s_post, np.float32(pre), np.float32(post), "sum", 1.0, fired)
        assert -0.25 - 1e-6 <= w.min() and w.max() <= 0.75 + 1e-6


def test_soft_bounds_are_fixed_points():
    rule = WeightDependentSTDP(eta_pre=0.1, eta_post=0.1, w_min=0.0, w_max=1.0)
    assert rule.on_post(jnp.array(1.0), 1.0, 0.0) == 0 and rule.on_pre(jnp.array(0.0), 0.0, 1.0) == 0
    assert rule.on_post(jnp.array(0.0), 1.0, 0.0) > 0 > rule.on_pre(jnp.array(1.0), 0.0, 1.0)


@every_rule
def test_hard_bounds_hold_after_every_step(name):
    """Rates far too high, from weights out of bounds: what comes out of the engine is within them."""
    rule = with_numbers(RULES[name], eta_pre=3.0, eta_post=5.0, w_min=0.1, w_max=0.7)
    network = CompetitiveNetwork(
        n_input=10, n_neurons=4, neuron=IF(v_threshold=-59.0), rule=rule, norm=None, tie_break="none"
    )
    rng = np.random.default_rng(0)
    learned = Learned(weights=jnp.asarray(rng.uniform(-1, 2, (10, 4)), jnp.float32), theta=jnp.zeros(4))
    raster = rng.random((40, 1, 10)) < 0.3
    after, counts, _ = present(network, learned, raster, jnp.ones(1, bool), 1.0, jax.random.key(0))
    assert counts.sum() > 0
    low, high = np.float32([0.1, 0.7])
    assert after.weights.min() >= low and after.weights.max() <= high
    assert ((after.weights == low) | (after.weights == high)).any()


# ---------------------------------------------------------------- normalisation

matrices = st.lists(st.lists(st.floats(-2, 2, width=16), min_size=4, max_size=4), min_size=5, max_size=5)


@given(matrices, st.floats(0.5, 100, width=32), st.sets(st.integers(0, 3)))
def test_columns_are_normalised(matrix, norm, silent):
    """Sums of absolute values are `norm`, proportions and signs stay, columns of zeros stay."""
    weights = np.array(matrix, np.float32)
    weights[:, list(silent)] = 0
    network = CompetitiveNetwork(n_input=5, n_neurons=4, neuron=IF(), rule=STDP(), norm=norm)
    got = np.asarray(network.normalise(jnp.asarray(weights)))
    total = np.abs(weights).sum(axis=0)
    on = total > 0
    np.testing.assert_array_equal(got[:, ~on], 0)
    np.testing.assert_allclose(np.abs(got[:, on]).sum(axis=0), norm, rtol=1e-5)
    np.testing.assert_allclose(got[:, on] / norm, weights[:, on] / total[on], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(network.normalise(jnp.asarray(got)), got, rtol=1e-5)


def test_no_norm_no_normalisation_and_untrained_weights_have_it():
    network = CompetitiveNetwork(n_input=50, n_neurons=4, neuron=IF(), rule=STDP(), norm=None, w_init=0.3)
    weights = network.init(jax.random.key(0)).weights
    assert network.normalise(weights) is weights
    assert 0 <= weights.min() and 0.25 < weights.max() <= 0.3 and abs(weights.mean() - 0.15) < 0.03
    network = dataclasses.replace(network, norm=7.0)
    learned = network.init(jax.random.key(0))
    np.testing.assert_allclose(learned.weights.sum(axis=0), 7, rtol=1e-5)
    assert not learned.theta.any()
    late = dataclasses.replace(network, norm_at_start=False).init(jax.random.key(0))
    np.testing.assert_array_equal(late.weights, weights)


# ---------------------------------------------------------------- reductions


def activity(batch, n_pre, n_post, seed):
    """Spikes and traces of a step, with repeats (ties of max) and neurons that have fired at no time."""
    rng = np.random.default_rng(seed)
    s_pre, s_post = rng.random((batch, n_pre)) < 0.4, rng.random((batch, n_post)) < 0.3
    pre, post = (np.float32(rng.integers(0, 5, (batch, n)) / 4) for n in (n_pre, n_post))
    pre, post = np.where(s_pre, 1, pre), np.where(s_post, 1, post)
    fired = (rng.random((batch, n_post)) < 0.5) | s_post | (post > 0)
    w = np.float32(rng.random((n_pre, n_post)))
    return w, s_pre, s_post, pre, post, fired


def reduced(reduction, products, fired):
    """One number of those of the presentations."""
    if reduction == "max":
        return max(products)
    total = sum(products)
    return total / {"sum": 1, "mean": len(products), "mean_fired": max(1, sum(fired))}[reduction]


@every_reduction
@every_rule
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_reductions_are_loops_over_the_batch(batch, reduction, name):
    """dw = on_pre(w) for the reduced s_pre post, and on_post(w) for the reduced pre s_post."""
    rule, largest = with_numbers(RULES[name], eta_pre=0.3, eta_post=0.5), 0.0
    for seed in range(3):
        w, s_pre, s_post, pre, post, fired = activity(batch, 6, 5, seed)
        n_fired = fired.sum(axis=0)
        got = changed(rule, w, s_pre, s_post, pre, post, reduction, np.float32(batch), n_fired)
        want = np.zeros_like(w)
        for i in range(6):
            for j in range(5):
                at_pre = reduced(reduction, [s_pre[b, i] * post[b, j] for b in range(batch)], fired[:, j])
                at_post = reduced(reduction, [pre[b, i] * s_post[b, j] for b in range(batch)], fired[:, j])
                alone, spikes = rule.on_post(w[i, j], 0.0, 0.0), reduced(reduction, list(s_post[:, j]), fired[:, j])
                want[i, j] = rule.on_pre(w[i, j], 0.0, at_pre) + rule.on_post(w[i, j], at_post, 0.0)
                want[i, j] += alone * (spikes - 1)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        largest = max(largest, np.abs(want).max())
    assert largest > 0.05


def test_power_law_window():
    """eta (exp(-k dt / tau) - x_tar) (w_max - w)^mu if the input came first, the depression alone if it did not."""
    rule = PowerLaw(eta_post=0.07, x_tar=0.3, mu=0.5, w_min=-2.0, w_max=1.5, pre_trace=Trace(tau=17.0, additive=True))
    for lag in LAGS:
        pre = math.exp(-lag / 17) * (lag >= 0)
        assert weight_after_a_pair(rule, lag, w=0.25) - 0.25 == pytest.approx(0.07 * (pre - 0.3) * 1.25**0.5, abs=1e-6)


def test_exponential_window():
    rule = Exponential(eta_post=0.07, x_tar=0.3, beta=2.0, w_min=-2.0, w_max=1.5, pre_trace=Trace(tau=17.0))
    for lag in LAGS:
        pre = math.exp(-lag / 17) * (lag >= 0)
        want = 0.07 * (pre * math.exp(-0.5) - 0.3 * math.exp(-2.5))
        assert weight_after_a_pair(rule, lag, w=0.25) - 0.25 == pytest.approx(want, abs=1e-6)


def test_pre_and_post_window():
    """Both events; the depression of the later one acts on the weight that the earlier one has left."""
    rule = PreAndPost(eta_pre=0.03, eta_post=0.07, x_tar=0.3, mu=0.5, w_min=-2.0, w_max=1.5, **TRACES)
    for lag in LAGS:
        w = 0.25
        before = w
        w += 0.07 * (math.exp(-lag / 17) * (lag >= 0) - 0.3) * (1.5 - w) ** 0.5
        left = before if lag == 0 else w
        w -= 0.03 * math.exp(lag / 31) * (lag <= 0) * (left + 2.0) ** 0.5
        assert weight_after_a_pair(rule, lag, w=0.25) == pytest.approx(w, abs=2e-6)


def test_triplet_needs_two_postsynaptic_spikes():
    """The pair changes nothing but for depression; a second postsynaptic spike counts exp(-gap / tau_slow)."""
    rule = Triplet(eta_pre=0.03, eta_post=0.07, **TRACES, **UNBOUNDED)
    for lag in LAGS:
        want = -0.03 * math.exp(lag / 31) * (lag <= 0)
        assert weight_after_a_pair(rule, lag) == pytest.approx(want, abs=1e-6)
    network = CompetitiveNetwork(
        n_input=2, n_neurons=1, neuron=IF(), rule=rule, norm=None, inhibition=DirectInhibition()
    )
    learned = Learned(weights=jnp.array([[100.0], [0.0]]), theta=jnp.zeros(1))
    raster = np.zeros((80, 1, 2), bool)
    raster[[20, 35], 0, 0] = True  # the neuron fires in steps 21 and 36
    raster[30, 0, 1] = True
    after, counts, _ = present(network, learned, raster, jnp.ones(1, bool), 1.0, jax.random.key(0))
    want = 0.07 * math.exp(-6 / 17) * math.exp(-15 / 40) - 0.03 * math.exp(-9 / 31)
    assert counts.item() == 2 and after.weights[1, 0].item() == pytest.approx(want, abs=1e-6)


@every_rule
def test_sum_over_a_batch_is_the_definition_of_a_rule(name):
    """dw[i, j] = sum_b s_pre[i] on_pre(w, pre, post) + s_post[j] on_post(w, pre, post): jsnn.core.protocols.Rule,
    literally.
    """
    rule = with_numbers(RULES[name], eta_pre=0.3, eta_post=0.5)
    w, s_pre, s_post, pre, post, fired = activity(4, 6, 5, seed=9)
    got = changed(rule, w, s_pre, s_post, pre, post, "sum", np.float32(4), fired.sum(axis=0))
    want = np.zeros_like(w)
    for b in range(4):
        for i in range(6):
            for j in range(5):
                if s_pre[b, i]:
                    want[i, j] += rule.on_pre(w[i, j], pre[b, i], post[b, j])
                if s_post[b, j]:
                    want[i, j] += rule.on_post(w[i, j], pre[b, i], post[b, j])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@every_rule
def test_reductions_of_one_presentation_are_the_same(name):
    w, s_pre, s_post, pre, post, fired = activity(1, 6, 5, seed=3)
    args = RULES[name], w, s_pre, s_post, pre, post
    results = [changed(*args, reduction, np.float32(1), fired.sum(axis=0)) for reduction in REDUCTIONS]
    for result in results:
        np.testing.assert_array_equal(result, results[0])
    assert results[0].any()


def test_reductions_differ():
    w, s_pre, s_post, pre, post, fired = activity(5, 6, 5, seed=0)
    results = [
        np.asarray(changed(STDP(eta_post=1.0), w, s_pre, s_post, pre, post, r, np.float32(5), fired.sum(axis=0)))
        for r in REDUCTIONS
    ]
    for i, one in enumerate(results):
        for other in results[:i]:
            assert np.abs(one - other).max() > 0.01
