"""The state of a membrane and its reset, shared by all neurons."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
from jax import Array

from jsnn import surrogates
from jsnn.core.pytree import node

Reset = Literal["hard", "soft"]  # a spike sets v to v_reset, or subtracts v_threshold - v_reset


@node
class Membrane:
    """State of membranes: the potential and what remains of the refractory period, each float32[..., n_neurons]."""

    v: Array  # mV
    refractory: Array | None  # remaining time, ms; None: a neuron without refractory period


def at(potential: Array | float, shape: tuple[int, ...], refractory: Array | float | None) -> Membrane:
    """Create membranes that are not refractory.

    Args:
        potential: Potential, mV.
        shape: Shape of the layer.
        refractory: Refractory period, ms; None for neurons without one.

    Returns:
        Membranes of that shape.
    """
    return Membrane(v=jnp.full(shape, potential, float), refractory=None if refractory is None else jnp.zeros(shape))


def after(state: Membrane, v: Array, dt: Array | float, n_steps: int = 1) -> Membrane:
    """Advance the refractory period by `n_steps` time steps.

    What remains of a refractory period is a whole number of steps: a period of 50 ms is 500 steps of 0.1 ms, although
    0.1 subtracted 500 times from 50 leaves a remainder in float32.

    Args:
        state: Membranes before these steps.
        v: Potential after them, mV, of the same shape.
        dt: Time step, ms.
        n_steps: Number of steps.

    Returns:
        Membranes after these steps.
    """
    remaining = state.refractory
    return Membrane(v=v, refractory=None if remaining is None else (steps_left(remaining, dt) - n_steps) * dt)


def steps_left(time: Array, dt: Array | float) -> Array:
    """Count the time steps of which a period of time consists.

    A step that has begun counts, unless it is rounding of float32 (a thousandth of a step, or 4e-7 of the time).

    Args:
        time: Period of time, ms.
        dt: Time step, ms.

    Returns:
        The number of steps, as floats of the shape of `time`.
    """
    n = time * (1.0 / dt)
    return jnp.ceil(n - jnp.maximum(1e-3, 4e-7 * n))


def is_refractory(state: Membrane, dt: Array | float) -> Array:
    """Find the neurons that drop their input in this step.

    A neuron is refractory if more time remains than rounding of float32.

    Args:
        state: Membranes before the step.
        dt: Time step, ms.

    Returns:
        bool[..., n_neurons], or bool[] for neurons without refractory period.
    """
    return jnp.array(False) if state.refractory is None else state.refractory > 1e-3 * dt


def linear_potential_bound(
    state: Membrane, without_input: Array, v_floor: Array | float, total: Array, dt: Array | float
) -> Array:
    """Bound the potential of membranes that sum their input linearly, as long as they do not spike.

    Args:
        state: Membranes now.
        without_input: Potential at the end of the steps in question, if there were no input, mV.
        v_floor: Floor of the potential, mV.
        total: Sum of the positive inputs in these steps, mV.
        dt: Time step, ms.

    Returns:
        An upper bound, mV; infinity for a membrane that is not linear now: refractory, or with a floor.
    """
    linear = (v_floor == -jnp.inf) & ~is_refractory(state, dt)
    return jnp.where(linear, jnp.maximum(state.v, without_input) + total, jnp.inf)


def reset(state: Membrane, spikes: Array, v: Array | float, refractory: Array | float | None) -> Membrane:
    """Reset the neurons that spiked and make them refractory.

    Args:
        state: Membranes before the reset.
        spikes: Neurons to reset: bool, or 0 and 1 as floats, which can be differentiated.
        v: Potential after a spike, mV.
        refractory: Refractory period, ms; None for neurons without one.

    Returns:
        Membranes after the reset.
    """
    remaining = state.refractory
    if remaining is not None and refractory is not None:
        remaining = jnp.where(spikes > 0, refractory, remaining)
    return dataclasses.replace(state, v=surrogates.where(spikes, v, state.v), refractory=remaining)
