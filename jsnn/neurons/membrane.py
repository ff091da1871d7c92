"""The state and the spike that all membranes share."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jax import Array

from jsnn import surrogates
from jsnn.core.pytree import node

Reset = Literal["hard", "soft"]  # a spike puts the potential to v_reset, or takes v_threshold - v_reset from it


@node
class Membrane:
    """Potential and what is left of the refractory period, each `float32[..., n_neurons]`."""

    v: Array  # mV
    refractory: Array | None  # ms left; None: a neuron without refractory period


def at(potential: Array | float, shape: tuple[int, ...], refractory: Array | float | None) -> Membrane:
    """Membranes at rest at `potential` mV, not refractory; `refractory` is their period."""
    return Membrane(v=jnp.full(shape, potential, float), refractory=None if refractory is None else jnp.zeros(shape))


def after(state: Membrane, v: Array, dt: Array | float, n_steps: int = 1) -> Membrane:
    """Membranes `n_steps` steps of `dt` ms later, at `v` mV.

    What is left of a refractory period is a whole number of steps: a period of 50 ms is 500 steps of 0.1 ms, although
    0.1 taken 500 times from 50 leaves something over in float32.
    """
    left = state.refractory
    return Membrane(v=v, refractory=None if left is None else (steps_left(left, dt) - n_steps) * dt)


def steps_left(time: Array, dt: Array | float) -> Array:
    """How many steps of `dt` ms `time` (ms) lasts: a step that has begun counts, unless it is rounding of float32 (a
    thousandth of a step, or 4e-7 of the time).
    """
    n = time * (1.0 / dt)
    return jnp.ceil(n - jnp.maximum(1e-3, 4e-7 * n))


def is_refractory(state: Membrane, dt: Array | float) -> Array:
    """Which neurons drop their input in this step: those with time left that is more than rounding of float32."""
    return jnp.array(False) if state.refractory is None else state.refractory > 1e-3 * dt


def linear_potential_bound(
    state: Membrane, without_input: Array, v_floor: Array | float, total: Array, dt: Array | float
) -> Array:
    """What the potential stays below while currents arrive whose positive parts sum to `total` mV, if there is no
    spike and it would end at `without_input` without any current. Infinity for a membrane that is not linear now:
    refractory, or with a floor.
    """
    linear = (v_floor == -jnp.inf) & ~is_refractory(state, dt)
    return jnp.where(linear, jnp.maximum(state.v, without_input) + total, jnp.inf)


def reset(state: Membrane, spikes: Array, v: Array | float, refractory: Array | float | None) -> Membrane:
    """Membranes after `spikes` (bool, or 0 and 1 to be differentiated): at `v` mV, refractory for `refractory` ms."""
    left = state.refractory
    if left is not None and refractory is not None:
        left = jnp.where(spikes > 0, refractory, left)
    return dataclasses.replace(state, v=surrogates.where(spikes, v, state.v), refractory=left)
