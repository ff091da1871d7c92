"""The gradient written for a layer of neurons is the one that JAX finds for a plain scan over its steps, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jsnn import surrogate
from jsnn.evolution import Dynamics, evolve, run
from jsnn.neurons import IF, LIF, EulerLIF
from jsnn.surrogate import ArcTan

N_STEPS, SHAPE, DT = 30, (3, 4), 0.5
KNOWN = {"v_rest": 0.1, "v_threshold": 1.0, "v_reset": -0.2}
NEURONS = {
    "lif_hard": LIF(tau_m=3.0, refractory=None, **KNOWN),
    "lif_soft": LIF(tau_m=3.0, refractory=None, reset="soft", **KNOWN),
    "lif_refractory": LIF(tau_m=3.0, refractory=1.5, **KNOWN),
    "lif_floor": LIF(tau_m=3.0, refractory=None, v_floor=-0.4, reset="soft", **KNOWN),
    "if_soft": IF(refractory=None, reset="soft", v_threshold=1.0, v_reset=-0.2),
    "if_refractory_floor": IF(refractory=1.0, v_floor=-0.4, v_threshold=1.0, v_reset=-0.2),
}


def scanned(dynamics, start, current, n_steps):
    """`evolve`, by a scan over the steps that JAX differentiates."""

    def step(state, here):
        neuron = dynamics.neuron
        state, excess = neuron.integrate(state, here, jnp.zeros(()), dynamics.dt, ())
        if not dynamics.fires:
            return state, state.v
        spikes = surrogate.spike(excess, dynamics.surrogate)
        return neuron.fire(state, jax.lax.stop_gradient(spikes) if dynamics.detach_reset else spikes), spikes

    return jax.lax.scan(step, start, jnp.broadcast_to(current, (n_steps, *SHAPE)))


def differentiated(f, dynamics, start, current, n_steps):
    """What `f` makes, and the gradients of a loss in which each number of it counts differently."""
    weight = jax.random.normal(jax.random.key(2), (n_steps, *SHAPE))

    def loss(dynamics, v, current):
        end, seen = f(dynamics, dataclasses.replace(start, v=v), current, n_steps)
        return jnp.sum(weight * seen) + jnp.sum(jnp.sin(end.v)), (end, seen)

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(dynamics, start.v, current)


def compared(dynamics, n_steps=N_STEPS, constant=False):
    """Both, from a start that is another one for each neuron; asserted to be the same."""
    with jax.enable_x64(True):
        dynamics = jax.tree.map(lambda x: jnp.asarray(x, float), dynamics)
        start = dynamics.neuron.init(SHAPE)
        start = dataclasses.replace(start, v=start.v + 0.3 * jax.random.normal(jax.random.key(0), SHAPE))
        current = 0.6 * jax.random.normal(jax.random.key(1), (1 if constant else n_steps, *SHAPE)) + 0.2
        got, (end, seen) = differentiated(evolve, dynamics, start, current, n_steps)
        wanted, (wanted_end, wanted_seen) = differentiated(scanned, dynamics, start, current, n_steps)
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
    assert all(np.abs(leaf).min() >= 0 and leaf.any() for leaf in gradient[1:])


@pytest.mark.parametrize("name", ["lif_soft", "lif_refractory", "if_refractory_floor"])
def test_of_neurons_that_do_not_fire(name):
    compared(Dynamics(neuron=NEURONS[name], surrogate=ArcTan(), dt=DT, fires=False))


@pytest.mark.parametrize("name", ["lif_hard", "lif_soft"])
def test_without_a_gradient_through_the_reset(name):
    dynamics = Dynamics(neuron=NEURONS[name], surrogate=ArcTan(), dt=DT, detach_reset=True)
    _, detached = compared(dynamics)
    _, through = compared(dataclasses.replace(dynamics, detach_reset=False))
    assert not np.allclose(detached[2], through[2])


@pytest.mark.parametrize("n_steps", [1, 2])
def test_of_few_steps(n_steps):
    compared(Dynamics(neuron=NEURONS["lif_soft"], surrogate=ArcTan(), dt=DT), n_steps=n_steps)


def test_what_is_lost_has_no_gradient():
    """A current that comes while a neuron is refractory, or below the floor: of neurons that do not fire, so that
    nothing else is between them and the end.
    """
    neuron = LIF(tau_m=3.0, refractory=1.0, v_floor=-0.4, **KNOWN)
    start = neuron.init((2,))
    start = dataclasses.replace(start, refractory=jnp.asarray([1.0, 0.0]))  # the first neuron, for two steps
    current = jnp.zeros((4, 2)).at[1, 1].set(-2.0)  # takes the second to its floor in the second step
    dynamics = Dynamics(neuron=neuron, surrogate=ArcTan(), dt=DT, fires=False)
    gradient = jax.grad(lambda current: jnp.sum(evolve(dynamics, start, current, 4)[0].v))(current)
    kept = np.exp(-DT / 3.0)
    np.testing.assert_allclose(gradient, [[0, 0], [0, 0], [kept, kept], [1, 1]], rtol=1e-6)


def test_states_are_those_before_the_spikes():
    """Where there is a spike, the potential is at the threshold or above; the gradient needs it so."""
    dynamics = Dynamics(neuron=NEURONS["lif_hard"], surrogate=ArcTan(), dt=DT)
    current = 0.6 * jax.random.normal(jax.random.key(1), (N_STEPS, *SHAPE)) + 0.2
    states, _, seen = run(dynamics, dynamics.neuron.init(SHAPE), current, N_STEPS)
    np.testing.assert_array_equal(seen, states.v >= 1.0)


def test_other_neurons_are_refused():
    """EulerLIF scales its current by a number of its own, whose gradient would need the current."""
    dynamics = Dynamics(neuron=EulerLIF(refractory=None), surrogate=ArcTan(), dt=DT)
    with pytest.raises(TypeError, match="the neurons of a layer that has gradients should be IF or LIF, not EulerLIF"):
        evolve(dynamics, dynamics.neuron.init(SHAPE), jnp.zeros((2, *SHAPE)), 2)
