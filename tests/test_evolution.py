"""The gradient written for a layer of neurons is the one that JAX finds for a plain scan over its steps, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn import surrogates
from jsnn.networks.unroll import Dynamics, simulate_steps, unroll
from jsnn.neurons import IF, LIF, EulerLIF
from jsnn.surrogates import ArcTan

N_STEPS, SHAPE, DT = 30, (3, 4), 0.5
KNOWN = {"v_rest": 0.1, "v_threshold": 1.0, "v_reset": -0.2}
NEURONS = {
    "lif_hard": LIF(tau_m=3.0, refractory=None, **KNOWN),
    "lif_soft": LIF(tau_m=3.0, refractory=None, reset="soft", **KNOWN),
    "lif_hard_refractory": LIF(tau_m=3.0, refractory=1.5, **KNOWN),
    "lif_soft_refractory": LIF(tau_m=3.0, refractory=1.5, reset="soft", **KNOWN),
    "lif_hard_floor": LIF(tau_m=3.0, refractory=None, v_floor=-0.4, **KNOWN),
    "lif_soft_refractory_floor": LIF(tau_m=3.0, refractory=1.0, v_floor=-0.4, reset="soft", **KNOWN),
    "if_soft": IF(refractory=None, reset="soft", v_threshold=1.0, v_reset=-0.2),
    "if_hard_refractory": IF(refractory=1.0, v_threshold=1.0, v_reset=-0.2),
    "if_hard_floor": IF(refractory=None, v_floor=-0.4, v_threshold=1.0, v_reset=-0.2),
}


def scanned(dynamics, start, current, n_steps):
    """`unroll`, by a scan over the steps that JAX differentiates."""

    def step(state, here):
        neuron = dynamics.neuron
        state, excess = neuron.integrate(state, here, jnp.zeros(()), dynamics.dt, ())
        if not dynamics.fires:
            return state, state.v
        spikes = surrogates.spike(excess, dynamics.surrogate)
        return neuron.fire(state, jax.lax.stop_gradient(spikes) if dynamics.detach_reset else spikes), spikes

    return jax.lax.scan(step, start, jnp.broadcast_to(current, (n_steps, *SHAPE)))


def differentiated(f, dynamics, start, current, n_steps):
    """What `f` makes, and the gradients of a loss in which each number of it counts differently."""
    weight = jax.random.normal(jax.random.key(2), (n_steps, *SHAPE))

    def loss(dynamics, v, current):
        end, seen = f(dynamics, dataclasses.replace(start, v=v), current, n_steps)
        return jnp.sum(weight * seen) + jnp.sum(jnp.sin(end.v)), (end, seen)

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(dynamics, start.v, current)


def started(neuron):
    """Another potential for each neuron; some are refractory, where neurons can be."""
    start = neuron.init(SHAPE)
    left = None if start.refractory is None else jnp.zeros(SHAPE).at[:, :2].set(4 * DT)
    return dataclasses.replace(start, v=start.v + 0.3 * jax.random.normal(jax.random.key(0), SHAPE), refractory=left)


def compared(dynamics, n_steps=N_STEPS, constant=False):
    """Both, from a start that is another one for each neuron; asserted to be the same."""
    with jax.enable_x64(True):
        dynamics = jax.tree.map(lambda x: jnp.asarray(x, float), dynamics)
        start = started(dynamics.neuron)
        current = 0.6 * jax.random.normal(jax.random.key(1), (1 if constant else n_steps, *SHAPE)) + 0.2
        got, (end, seen) = differentiated(unroll, dynamics, start, current, n_steps)
        wanted, (wanted_end, wanted_seen) = differentiated(scanned, dynamics, start, current, n_steps)
        states, v_floor = jax.tree.map(
            np.asarray, (simulate_steps(dynamics, start, current, n_steps)[0], dynamics.neuron.v_floor)
        )
    assert states.refractory is None or (states.refractory > 0).any()
    assert np.isinf(v_floor) or (states.v == v_floor).any()
    np.testing.assert_array_equal(seen, wanted_seen)
    np.testing.assert_allclose(end.v, wanted_end.v, rtol=1e-12)
    neuron = {field.name for field in dataclasses.fields(dynamics.neuron)} - {"v_floor", "refractory", "reset"}
    for name in neuron - {"adaptation", "v_init"}:
        pair = (getattr(gradient[0].neuron, name) for gradient in (got, wanted))
        np.testing.assert_allclose(*pair, rtol=1e-9, atol=1e-12, err_msg=name)
    for i in (1, 2):
        np.testing.assert_allclose(got[i], wanted[i], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got[0].dt, wanted[0].dt, rtol=1e-9)
    return np.asarray(seen), jax.tree.map(np.asarray, got)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("name", NEURONS)
def test_gradients_are_those_of_a_scan(name, constant):
    seen, gradient = compared(Dynamics(neuron=NEURONS[name], surrogate=ArcTan(), dt=DT), constant=constant)
    assert 0.02 < seen.mean() < 0.8
    assert all(np.isfinite(leaf).all() and leaf.any() for leaf in gradient[1:])


@pytest.mark.parametrize("name", ["lif_soft", "lif_hard_refractory", "if_hard_floor"])
def test_of_neurons_that_do_not_fire(name):
    compared(Dynamics(neuron=NEURONS[name], surrogate=ArcTan(), dt=DT, fires=False))


@pytest.mark.parametrize("name", ["lif_hard", "lif_soft", "lif_soft_refractory_floor"])
def test_without_a_gradient_through_the_reset(name):
    dynamics = Dynamics(neuron=NEURONS[name], surrogate=ArcTan(), dt=DT, detach_reset=True)
    _, detached = compared(dynamics)
    _, through = compared(dataclasses.replace(dynamics, detach_reset=False))
    assert not np.allclose(detached[2], through[2])


@pytest.mark.parametrize("n_steps", [1, 2])
def test_of_few_steps(n_steps):
    """The current of a single step is a constant one."""
    compared(Dynamics(neuron=NEURONS["lif_soft"], surrogate=ArcTan(), dt=DT), n_steps=n_steps)


def test_in_pieces_and_for_many_dynamics_at_once():
    """Three pieces, each computed again backwards; the state goes on from one to the next. All numbers are mapped."""

    def pieces(dynamics, start, current, n_steps):
        piece = jax.checkpoint(lambda state, current: unroll(dynamics, state, current, n_steps // 3))
        end, seen = jax.lax.scan(piece, start, current.reshape(3, -1, *SHAPE))
        return end, seen.reshape(n_steps, *SHAPE)

    with jax.enable_x64(True):
        one = Dynamics(neuron=NEURONS["lif_soft_refractory"], surrogate=ArcTan(), dt=DT)
        many = jax.tree.map(lambda x: x * jnp.asarray([1.0, 0.9, 1.2]), one)
        current = 0.6 * jax.random.normal(jax.random.key(1), (N_STEPS, *SHAPE)) + 0.2
        start = started(one.neuron)
        got, wanted = (
            jax.vmap(lambda d, f=f: differentiated(f, d, start, current, N_STEPS)[0])(many) for f in (pieces, scanned)
        )
    for name in ("tau_m", "v_rest", "v_threshold", "v_reset"):
        pair = (getattr(gradient[0].neuron, name) for gradient in (got, wanted))
        np.testing.assert_allclose(*pair, rtol=1e-9, err_msg=name)
    for a, b in zip((got[0].dt, *got[1:]), (wanted[0].dt, *wanted[1:]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_numbers_may_be_integers():
    current = 0.6 * jax.random.normal(jax.random.key(1), (N_STEPS, *SHAPE)) + 0.2

    def gradient(tau_m, dt):
        neuron = LIF(tau_m=tau_m, refractory=None, **KNOWN)
        dynamics = Dynamics(neuron=neuron, surrogate=ArcTan(), dt=dt)
        return jax.grad(lambda current: jnp.sum(unroll(dynamics, neuron.init(SHAPE), current, N_STEPS)[1]))(current)

    np.testing.assert_array_equal(gradient(2, 1), gradient(2.0, 1.0))


def test_what_is_lost_has_no_gradient():
    """A current that comes while a neuron is refractory, or below the floor: of neurons that do not fire, so that
    nothing else is between them and the end.
    """
    neuron = LIF(tau_m=3.0, refractory=1.0, v_floor=-0.4, **KNOWN)
    start = neuron.init((2,))
    start = dataclasses.replace(start, refractory=jnp.asarray([1.0, 0.0]))  # the first neuron, for two steps
    current = jnp.zeros((4, 2)).at[1, 1].set(-2.0)  # takes the second to its floor in the second step
    dynamics = Dynamics(neuron=neuron, surrogate=ArcTan(), dt=DT, fires=False)
    gradient = jax.grad(lambda current: jnp.sum(unroll(dynamics, start, current, 4)[0].v))(current)
    kept = np.exp(-DT / 3.0)
    np.testing.assert_allclose(gradient, [[0, 0], [0, 0], [kept, kept], [1, 1]], rtol=1e-6)


def test_states_are_those_before_the_spikes():
    """Where there is a spike, the potential is at the threshold or above; the gradient needs it so."""
    dynamics = Dynamics(neuron=NEURONS["lif_hard"], surrogate=ArcTan(), dt=DT)
    current = 0.6 * jax.random.normal(jax.random.key(1), (N_STEPS, *SHAPE)) + 0.2
    states, _, seen = simulate_steps(dynamics, dynamics.neuron.init(SHAPE), current, N_STEPS)
    np.testing.assert_array_equal(seen, states.v >= 1.0)


def test_other_neurons_are_refused():
    """EulerLIF scales its current by a number of its own, whose gradient would need the current."""
    dynamics = Dynamics(neuron=EulerLIF(refractory=None), surrogate=ArcTan(), dt=DT)
    with pytest.raises(TypeError, match="the neurons of a layer that has gradients should be IF or LIF, not EulerLIF"):
        unroll(dynamics, dynamics.neuron.init(SHAPE), jnp.zeros((2, *SHAPE)), 2)
