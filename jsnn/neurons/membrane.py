"""The state and the spike that all membranes with a refractory period share."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jsnn.pytree import node


@node
class Membrane:
    """Potential and what is left of the refractory period, each `float32[..., n_neurons]`."""

    v: Array  # mV
    refractory: Array  # ms left; input is dropped while it is > 0


def at(potential: Array | float, shape: tuple[int, ...]) -> Membrane:
    """Membranes at rest at `potential` mV, not refractory."""
    return Membrane(v=jnp.full(shape, potential, jnp.float32), refractory=jnp.zeros(shape, jnp.float32))


def reset(state: Membrane, spikes: Array, v_reset: Array | float, refractory: Array | float) -> Membrane:
    """Membranes after `spikes`: at `v_reset`, refractory for `refractory` ms."""
    return dataclasses.replace(
        state, v=jnp.where(spikes, v_reset, state.v), refractory=jnp.where(spikes, refractory, state.refractory)
    )
