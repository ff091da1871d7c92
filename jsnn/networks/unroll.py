"""All time steps of a layer of neurons whose currents are known, and their gradient.

    V(t) = max(A[R(V(t-1), z(t-1))] + I(t), V_floor),    z(t) = theta(V(t) - V_threshold)

R is the reset (`fire`), A what a step leaves of a potential (`advance`); I counts where a neuron is not refractory. The
gradient of a loss, from the last step to the first (STBP, Wu et al. 2018, for any reset, and any surrogate psi of
theta's derivative):

    dV(t) = dz(t) psi + A'[dR/dV + dR/dz psi] dV(t+1) where V(t) > V_floor, else 0,    dI(t) = dV(t)

These loops are limited by the bytes they move. All that a gradient needs follows from the potentials (and, for neurons
with a refractory period, from its remaining time): so the potentials are written over the currents, and their gradient
over the potentials, and besides the spikes nothing as large is allocated, except for a current that is the same in
every step. And the result of a step is written at the beginning of the next one: otherwise XLA would compute it twice,
once to write it and once to continue.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jsnn import surrogates
from jsnn.core.pytree import node, static
from jsnn.neurons import IF, LIF
from jsnn.neurons.membrane import Membrane, is_refractory
from jsnn.surrogates import Surrogate


@node
class Dynamics:
    """The dynamics of one layer in each step: neurons with fixed thresholds that add their currents directly."""

    neuron: IF | LIF
    surrogate: Surrogate
    dt: Array | float  # ms
    fires: bool = static(default=True)  # False: integrates without firing
    detach_reset: bool = static(default=False)  # no gradient through the reset

    def integrate(self, state: Membrane, current: Array) -> Membrane:
        """Advance by one time step, up to its spikes.

        Args:
            state: Membranes before the step.
            current: Input of the step, mV, of their shape.

        Returns:
            Membranes before the spikes of the step.
        """
        return self.neuron.integrate(state, current, jnp.zeros(()), self.dt, ())[0]

    def excess(self, v: Array) -> Array:
        """Compute by how many mV potentials before the spikes exceed the threshold."""
        return v - self.neuron.v_threshold

    def fire(self, state: Membrane) -> tuple[Membrane, Array]:
        """Apply the spikes of a step.

        Args:
            state: Membranes before the spikes.

        Returns:
            Membranes after the spikes, and the output of the layer: its spikes, or its potentials if it does not fire.
        """
        if not self.fires:
            return state, state.v
        spikes = surrogates.spike(self.excess(state.v), self.surrogate)
        return self.neuron.fire(state, lax.stop_gradient(spikes) if self.detach_reset else spikes), spikes


def simulate_steps(
    dynamics: Dynamics, start: Membrane, current: Array, n_steps: int
) -> tuple[Membrane, Membrane, Array]:
    """Simulate all time steps of a layer.

    Args:
        dynamics: The dynamics.
        start: Membranes at the start.
        current: Inputs, mV, [n_steps, ...], or [1, ...] for the same in every step.
        n_steps: Number of time steps.

    Returns:
        Membranes before the spikes of each step, [n_steps, ...]; those after the last step; and the output of each
            step,
        [n_steps, ...].

    Raises:
        TypeError: The neurons are not IF or LIF.
    """
    if not isinstance(dynamics.neuron, IF | LIF):
        name = type(dynamics.neuron).__name__
        raise TypeError(f"the neurons of a layer that has gradients should be IF or LIF, not {name}")
    constant = len(current) == 1
    first = dynamics.integrate(start, current[0])
    states, outputs = jax.tree.map(lambda x: jnp.zeros((n_steps, *x.shape), x.dtype), (first, first.v))
    if not constant:
        states = dataclasses.replace(states, v=current)

    def step(t: Array, carry: Any) -> Any:
        states, state, _, outputs = carry
        states, (after, output) = _written(states, state, t), dynamics.fire(state)
        next_current = current[0] if constant else _read(states.v, t + 1)  # unused after the last step
        return states, dynamics.integrate(after, next_current), after, _written(outputs, output, t)

    states, _, end, outputs = lax.fori_loop(0, n_steps, step, (states, first, first, outputs))
    return states, end, outputs


def unroll(dynamics: Dynamics, start: Membrane, current: Array, n_steps: int) -> tuple[Membrane, Array]:
    """Simulate all time steps of a layer, with a gradient.

    There is a gradient with respect to the currents, the potential at the start and the numbers of the dynamics, except
    those of the surrogate, the floor and the refractory period.

    Args:
        dynamics: The dynamics.
        start: Membranes at the start.
        current: Inputs, mV, [n_steps, ...], or [1, ...] for the same in every step.
        n_steps: Number of time steps.

    Returns:
        Membranes after the last step, and the output of each step, [n_steps, ...].

    Raises:
        TypeError: The neurons are not IF or LIF.
    """
    dynamics = jax.tree.map(lambda x: jnp.asarray(x, start.v.dtype), dynamics)  # numbers may be Python integers
    return _unroll(dynamics, start, current, n_steps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _unroll(dynamics: Dynamics, start: Membrane, current: Array, n_steps: int) -> Any:
    _, end, outputs = simulate_steps(dynamics, start, current, n_steps)
    return end, outputs


def _forwards(dynamics: Dynamics, start: Membrane, current: Array, n_steps: int) -> tuple[tuple[Membrane, Array], Any]:
    states, end, outputs = simulate_steps(dynamics, start, current, n_steps)
    return (end, outputs), (dynamics, start, states, current if len(current) == 1 else None)


def _backwards(n_steps: int, residuals: Any, cotangents: tuple[Membrane, Array]) -> tuple[Dynamics, Membrane, Array]:
    dynamics, start, states, constant = residuals  # constant: the current if it is the same in every step, else None
    of_end, of_outputs = cotangents

    def step(i: Array, carry: Any) -> Any:
        v, of_v, of_constant, of_dynamics = carry
        t = n_steps - 2 - i
        of_next_current = _of_current(dynamics, of_v, _read(states.refractory, t + 1))
        if constant is None:
            v = _written(v, of_next_current, t + 1)
        else:
            of_constant = of_constant + of_next_current
        membrane_t = Membrane(v=_read(v, t), refractory=_read(states.refractory, t))
        of_step, of_v = _vjp(_fire_and_advance, dynamics, membrane_t, (of_v, _read(of_outputs, t)))
        return (
            v,
            _through_floor(dynamics, membrane_t.v, of_v),
            of_constant,
            jax.tree.map(jnp.add, of_dynamics, of_step),
        )

    last = _read(states, n_steps - 1)
    of_dynamics, of_v = _vjp(_fire_and_end, dynamics, last, (of_end.v, of_outputs[-1]))
    carry = states.v, _through_floor(dynamics, last.v, of_v), jnp.zeros_like(of_v), of_dynamics
    v, of_v, of_constant, of_dynamics = lax.fori_loop(0, n_steps - 1, step, carry)
    of_first_current = _of_current(dynamics, of_v, _read(states.refractory, 0))
    of_step, of_start = _vjp(_advance, dynamics, start, of_v)
    return (
        jax.tree.map(jnp.add, of_dynamics, of_step),
        dataclasses.replace(jax.tree.map(jnp.zeros_like, start), v=of_start),
        _written(v, of_first_current, 0) if constant is None else (of_constant + of_first_current)[None],
    )


_unroll.defvjp(_forwards, _backwards)


def _read(x: Any, t: Array | int) -> Any:
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, t, keepdims=False), x)


def _written(x: Any, value: Any, t: Array | int) -> Any:
    return jax.tree.map(lambda x, value: lax.dynamic_update_index_in_dim(x, value, t, 0), x, value)


def _advance(dynamics: Dynamics, state: Membrane) -> Array:
    """Compute the potential one step later, without a current and without the floor."""
    return dynamics.neuron.advance(state, jnp.zeros(()), 1, dynamics.dt).v


def _fire_and_advance(dynamics: Dynamics, state: Membrane) -> tuple[Array, Array]:
    after, outputs = dynamics.fire(state)
    return _advance(dynamics, after), outputs


def _fire_and_end(dynamics: Dynamics, state: Membrane) -> tuple[Array, Array]:
    after, outputs = dynamics.fire(state)
    return after.v, outputs


def _vjp(f: Callable[..., Any], dynamics: Dynamics, state: Membrane, cotangents: Any) -> tuple[Dynamics, Array]:
    """Pull the gradient of what `f` returns back to the dynamics and to the potential."""
    return jax.vjp(lambda d, v: f(d, dataclasses.replace(state, v=v)), dynamics, state.v)[1](cotangents)


def _of_current(dynamics: Dynamics, of_v: Array, remaining: Array | None) -> Array:
    """Compute the gradient of a step's current from that of its potential.

    `remaining` is what remains of the refractory period at the end of the step, ms.
    """
    if remaining is None:
        return of_v
    before = Membrane(v=of_v, refractory=remaining + dynamics.dt)
    return jnp.where(is_refractory(before, dynamics.dt), 0.0, of_v)


def _through_floor(dynamics: Dynamics, v: Array, of_v: Array) -> Array:
    """Pull the gradient of a potential back to its value before the floor."""
    return jnp.where(v > dynamics.neuron.v_floor, of_v, 0.0)
