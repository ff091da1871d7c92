"""Surrogate gradients against closed forms: slopes, Heaviside's step, and neurons differentiated by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jsnn import surrogates
from jsnn.networks.feedforward import Feedforward
from jsnn.neurons import IF, LIF
from jsnn.surrogates import SURROGATES, ArcTan, FastSigmoid, Rectangular, Triangular

X = np.array([-2.0, -1.5, -0.3, 0.0, 0.3, 1.0, 1.5, 2.0])
WIDTH, HEIGHT = 1.5, 0.7
SLOPES = {  # of width 1.5 and height 0.7
    Rectangular: lambda x: HEIGHT if abs(x) < WIDTH else 0.0,
    ArcTan: lambda x: HEIGHT * WIDTH**2 / (WIDTH**2 + x**2),
    FastSigmoid: lambda x: HEIGHT * WIDTH**2 / (WIDTH + abs(x)) ** 2,
    Triangular: lambda x: HEIGHT / WIDTH * (WIDTH - abs(x)) if abs(x) < WIDTH else 0.0,
}
PRIMITIVES = {  # whose derivative is the slope, of the same width and height
    ArcTan: lambda x: HEIGHT * WIDTH * jnp.arctan(x / WIDTH),
    FastSigmoid: lambda x: HEIGHT * x / (1 + jnp.abs(x) / WIDTH),
    Triangular: lambda x: HEIGHT * (x - x * jnp.abs(x) / (2 * WIDTH)),
}
ALL = pytest.mark.parametrize("name", SURROGATES)


# ---------------------------------------------------------------- slopes


@pytest.mark.parametrize("kind", SLOPES)
def test_slopes_are_the_formulas(kind):
    slope = kind(width=WIDTH, height=HEIGHT).slope(jnp.asarray(X))
    np.testing.assert_allclose(slope, [SLOPES[kind](x) for x in X], rtol=1e-6)


@ALL
def test_slopes_are_bumps(name):
    """Even, highest at 0, where they are `height`, and falling on both sides; never negative."""
    slope = SURROGATES[name].slope(jnp.linspace(0.0, 3.0, 301))
    np.testing.assert_array_equal(slope, SURROGATES[name].slope(-jnp.linspace(0.0, 3.0, 301)))
    assert slope[0] == 1.0 and np.all(np.diff(slope) <= 0) and np.all(slope >= 0)


@pytest.mark.parametrize(
    ("one", "integral"),
    [(Rectangular(), 1.0), (ArcTan(), 1.0), (FastSigmoid(), 0.2), (Triangular(), 1.0)],
    ids=lambda x: type(x).__name__,
)
def test_what_the_defaults_integrate_to(one, integral):
    """As much as Heaviside's derivative, but for SuperSpike, which is not normalised: 2 width."""
    x = np.concatenate([np.linspace(0, 2, 100_000), np.geomspace(2, 1e4, 10_000)[1:]])
    assert 2 * np.trapezoid(one.slope(x), x) == pytest.approx(integral, rel=1e-3)


@pytest.mark.parametrize("kind", PRIMITIVES)
def test_spikes_have_the_gradient_of_the_relaxation(kind):
    """Of the smooth function whose derivative the slope is."""
    x = jnp.asarray([-1.2, -0.3, 0.4, 1.1])
    got = jax.vmap(jax.grad(lambda x: surrogates.spike(x, kind(width=WIDTH, height=HEIGHT))))(x)
    np.testing.assert_allclose(got, jax.vmap(jax.grad(PRIMITIVES[kind]))(x), rtol=1e-5)


# ---------------------------------------------------------------- spike


@ALL
def test_spikes_are_heavisides_step(name):
    tiny = float(np.finfo(np.float32).tiny)
    x = jnp.asarray([-np.inf, -1.0, -tiny, -0.0, 0.0, tiny, 1.0, np.inf])
    spikes = surrogates.spike(x, SURROGATES[name])
    assert spikes.dtype == x.dtype
    np.testing.assert_array_equal(spikes, [0, 0, 0, 1, 1, 1, 1, 1])


@ALL
def test_the_gradient_is_the_slope_in_both_modes(name):
    """And what is above takes it: f(spike(x)) has the gradient f' slope."""
    one = SURROGATES[name]
    x, above = jnp.asarray(X), jnp.linspace(-1.0, 2.0, len(X))
    backward = jax.grad(lambda x: jnp.sum(above * surrogates.spike(x, one)))(x)
    np.testing.assert_allclose(backward, above * one.slope(x), rtol=1e-6)
    _, forward = jax.jvp(lambda x: surrogates.spike(x, one), (x,), (above,))
    np.testing.assert_array_equal(forward, backward)


@ALL
def test_no_gradient_goes_to_the_surrogate(name):
    def f(one):
        return jnp.sum(surrogates.spike(jnp.asarray(X), one))

    assert all(leaf == 0 for leaf in jax.tree.leaves(jax.grad(f)(SURROGATES[name])))


@ALL
def test_widths_and_heights_can_be_mapped(name):
    widths = jnp.asarray([0.1, 0.5, 2.0])
    x = jnp.asarray(X)

    def gradient(width):
        one = dataclasses.replace(SURROGATES[name], width=width)
        return jax.vmap(jax.grad(lambda x: surrogates.spike(x, one)))(x)

    each = [gradient(width) for width in widths]
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(widths), jnp.stack(each), rtol=1e-6)
    assert not np.allclose(each[0], each[2])


# ---------------------------------------------------------------- where


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_where_is_exact(dtype):
    """silent + spike * (fired - silent) would lose the second value, and make a NaN of the third."""
    spikes = jnp.asarray([True, True, True, False]).astype(dtype)
    fired, silent = jnp.asarray([0.1, 1e-9, 2.0, 3.0]), jnp.asarray([5.0, 1e9, -np.inf, 0.7])
    np.testing.assert_array_equal(surrogates.where(spikes, fired, silent), [*fired[:3], silent[3]])


def test_the_derivatives_of_where():
    spikes, fired, silent = jnp.asarray([1.0, 0.0]), jnp.asarray([0.3, 0.4]), jnp.asarray([2.0, 3.0])
    gradients = jax.grad(lambda *a: jnp.sum(surrogates.where(*a)), argnums=(0, 1, 2))(spikes, fired, silent)
    np.testing.assert_array_equal(gradients[0], fired - silent)
    np.testing.assert_array_equal(gradients[1], [1.0, 0.0])
    np.testing.assert_array_equal(gradients[2], [0.0, 1.0])


def test_where_of_other_spikes_than_its_own():
    """Where the spikes are given, it is piecewise linear, and its gradient is that of finite differences."""
    with jax.enable_x64(True):
        spikes = jnp.asarray([True, False, True])
        check_grads(lambda f, s: surrogates.where(spikes, f, s) ** 2, (jnp.ones(3), 2.0 * jnp.ones(3)), order=2)


# ---------------------------------------------------------------- neurons by hand

DECAY, TAU = 0.8, -1 / math.log(0.8)
SURROGATE = ArcTan(width=0.6, height=0.9)


def slope(x):
    return 0.9 / (1 + (x / 0.6) ** 2)


def two_steps(w, detach, reset, x=(1.3, 0.9)):
    """The spikes of one neuron under the currents w x, and their sum weighted 1 and 2."""
    neuron = LIF(tau_m=TAU, v_rest=0.0, v_threshold=1.0, v_reset=0.0, refractory=None, reset=reset)
    network = Feedforward(architecture="1", input_shape=(1,), neuron=neuron, surrogate=SURROGATE, detach_reset=detach)
    params = network.init(jax.random.key(0))
    params["synapses"][0]["Dense_0"]["kernel"] = jnp.reshape(w, (1, 1))
    spikes = network.respond(params, jnp.reshape(jnp.asarray(x), (2, 1, 1)), 2, 1.0).output[:, 0, 0]
    return spikes[0] + 2.0 * spikes[1]


@pytest.mark.parametrize("w", [0.5, 1.1], ids=["silent first", "fires first"])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("detach", [False, True])
def test_two_steps_of_a_neuron_by_hand(w, detach, reset):
    """With u1 = w x1, s1 = step(u1 - 1), u2 = d r + w x2, and r what the reset leaves of u1:

    hard  r = (1 - s1) u1,  dr/dw = (1 - s1) x1 - u1 s1'   (the last not if detached)
    soft  r = u1 - s1,      dr/dw = x1 - s1'
    """
    x1, x2 = 1.3, 0.9
    u1 = w * x1
    s1 = float(u1 >= 1)
    through = 0.0 if detach else slope(u1 - 1) * x1
    if reset == "hard":
        r, dr = (1 - s1) * u1, (1 - s1) * x1 - u1 * through
    else:
        r, dr = u1 - s1, x1 - through
    u2 = DECAY * r + w * x2
    wanted = slope(u1 - 1) * x1 + 2 * slope(u2 - 1) * (DECAY * dr + x2)
    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(two_steps)(jnp.asarray(w), detach, reset)
    assert float(value) == s1 + 2 * float(u2 >= 1)
    assert float(gradient) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_potentials_have_the_gradient_of_finite_differences(reset):
    """Where the spikes do not change, a neuron without gradient through them is linear in its current."""
    neuron = IF(v_threshold=1.0, v_reset=0.0, refractory=None, reset=reset)

    def potentials(currents):
        state, out = neuron.init(currents.shape[1:]), []
        for current in currents:
            state, excess = neuron.integrate(state, current, jnp.zeros(()), 1.0, ())
            state = neuron.fire(state, jax.lax.stop_gradient(surrogates.spike(excess, SURROGATE)))
            out.append(state.v)
        return jnp.stack(out)

    with jax.enable_x64(True):
        currents = jnp.asarray(np.random.default_rng(0).uniform(0, 0.9, (6, 4)))
        check_grads(potentials, (currents,), order=1)


def test_a_spike_gives_the_same_in_and_out_of_gradients():
    """Forwards nothing is relaxed: spikes as numbers leave the membranes where spikes as bool do."""
    for neuron in (LIF(refractory=None), LIF(refractory=None, reset="soft"), LIF()):
        state = dataclasses.replace(neuron.init((3,)), v=jnp.asarray([-50.123, -53.1, -52.0]))
        spikes = jnp.asarray([1.0, 0.0, 1.0])
        one, other = neuron.fire(state, spikes), neuron.fire(state, spikes > 0)
        np.testing.assert_array_equal(one.v, other.v)
        if one.refractory is not None:
            np.testing.assert_array_equal(one.refractory, other.refractory)
