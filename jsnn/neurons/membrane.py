"""The state and the spike that all membranes with a refractory period share."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jsnn.pytree import node


@node
class Membrane:
    """Potential and what is left of the refractory period, each `float32[..., n_neurons]`."""

    v: Array  # mV
    refractory: Array  # ms left


def at(potential: Array | float, shape: tuple[int, ...]) -> Membrane:
    """Membranes at rest at `potential` mV, not refractory."""
    return Membrane(v=jnp.full(shape, potential, float), refractory=jnp.zeros(shape))


def is_refractory(state: Membrane, dt: Array | float) -> Array:
    """Which neurons drop their input in this step: those with time left that is more than rounding of float32."""
    return state.refractory > 1e-3 * dt


def ceiling(state: Membrane, left_alone: Array, v_floor: Array | float, total: Array, dt: Array | float) -> Array:
    """What the potential stays below while currents arrive whose positive parts sum to `total` mV, if there is no
    spike and it would end at `left_alone` without any current. Infinity for a membrane that is not linear now:
    refractory, or with a floor.
    """
    linear = (v_floor == -jnp.inf) & ~is_refractory(state, dt)
    return jnp.where(linear, jnp.maximum(state.v, left_alone) + total, jnp.inf)


def reset(state: Membrane, spikes: Array, v_reset: Array | float, refractory: Array | float) -> Membrane:
    """Membranes after `spikes`: at `v_reset`, refractory for `refractory` ms."""
    return dataclasses.replace(
        state, v=jnp.where(spikes, v_reset, state.v), refractory=jnp.where(spikes, refractory, state.refractory)
    )
