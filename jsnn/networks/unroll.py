"""All steps of a layer of neurons whose currents are known, and their gradient.

    V(t) = max(A[R(V(t-1), z(t-1))] + I(t), V_floor),    z(t) = theta(V(t) - V_threshold)

R is the reset (`fire`), A what a step leaves of a potential (`advance`); I counts where a neuron is not refractory. The
gradient of a loss, from the last step to the first (STBP, Wu et al. 2018, for any reset, and any surrogate psi of
theta's derivative):

    dV(t) = dz(t) psi + A'[dR/dV + dR/dz psi] dV(t+1) where V(t) > V_floor, else 0,    dI(t) = dV(t)

These loops are limited by the bytes they move. All that a gradient needs is found from the potentials (and, of neurons
with a refractory period, from what is left of it): so they are written over the currents, and their gradient over them,
and beside the spikes nothing as large is allotted, but for a current that is the same in every step. And what a step
finds is written down at the beginning of the next one: XLA would compute it twice otherwise, once to write it and once
to go on.
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
    """What happens in each step to neurons that add their currents as they are; their thresholds do not adapt."""

    neuron: IF | LIF
    surrogate: Surrogate
    dt: Array | float  # ms
    fires: bool = static(default=True)  # or integrates only
    detach_reset: bool = static(default=False)  # no gradient through the reset

    def integrate(self, state: Membrane, current: Array) -> Membrane:
        """One step, up to its spikes."""
        return self.neuron.integrate(state, current, jnp.zeros(()), self.dt, ())[0]

    def excess(self, v: Array) -> Array:
        """Over the threshold, mV, of potentials before the spikes."""
        return v - self.neuron.v_threshold

    def fire(self, state: Membrane) -> tuple[Membrane, Array]:
        """After the spikes of a step; and what other layers see of it: them, or the potentials if none fires."""
        if not self.fires:
            return state, state.v
        spikes = surrogates.spike(self.excess(state.v), self.surrogate)
        return self.neuron.fire(state, lax.stop_gradient(spikes) if self.detach_reset else spikes), spikes


def simulate_steps(
    dynamics: Dynamics, start: Membrane, current: Array, n_steps: int
) -> tuple[Membrane, Membrane, Array]:
    """`n_steps` from `start`, with `current` [n_steps, ...], or [1, ...] for the same in every step.

    Returns the states before the spikes of each step [n_steps, ...], the one after the last step, and what is seen of
    each step [n_steps, ...]. Raises TypeError for neurons other than IF and LIF.
    """
    if not isinstance(dynamics.neuron, IF | LIF):
        found = type(dynamics.neuron).__name__
        raise TypeError(f"the neurons of a layer that has gradients should be IF or LIF, not {found}")
    constant = len(current) == 1
    first = dynamics.integrate(start, current[0])
    states, seen = jax.tree.map(lambda x: jnp.zeros((n_steps, *x.shape), x.dtype), (first, first.v))
    if not constant:
        states = dataclasses.replace(states, v=current)

    def step(t: Array, carry: Any) -> Any:
        states, state, _, seen = carry
        states, (after, now) = _written(states, state, t), dynamics.fire(state)
        here = current[0] if constant else _read(states.v, t + 1)  # after the last step any: no one asks
        return states, dynamics.integrate(after, here), after, _written(seen, now, t)

    states, _, end, seen = lax.fori_loop(0, n_steps, step, (states, first, first, seen))
    return states, end, seen


def unroll(dynamics: Dynamics, start: Membrane, current: Array, n_steps: int) -> tuple[Membrane, Array]:
    """The state at the end, and what is seen of each step, as in `simulate_steps`.

    It has a gradient with respect to the currents, the potential at the start and the numbers of the dynamics, but for
    those of the surrogate, the floor and the refractory period.
    """
    dynamics = jax.tree.map(lambda x: jnp.asarray(x, start.v.dtype), dynamics)  # numbers may be Python's integers
    return _unroll(dynamics, start, current, n_steps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _unroll(dynamics: Dynamics, start: Membrane, current: Array, n_steps: int) -> Any:
    _, end, seen = simulate_steps(dynamics, start, current, n_steps)
    return end, seen


def _forwards(dynamics: Dynamics, start: Membrane, current: Array, n_steps: int) -> tuple[tuple[Membrane, Array], Any]:
    states, end, seen = simulate_steps(dynamics, start, current, n_steps)
    return (end, seen), (dynamics, start, states, current if len(current) == 1 else None)


def _backwards(n_steps: int, kept: Any, wanted: tuple[Membrane, Array]) -> tuple[Dynamics, Membrane, Array]:
    dynamics, start, states, constant = kept  # the current, where it is the same in every step
    of_end, of_seen = wanted

    def step(i: Array, carry: Any) -> Any:
        v, of_v, of_constant, of_dynamics = carry
        t = n_steps - 2 - i
        of_next_current = _of_current(dynamics, of_v, _read(states.refractory, t + 1))
        if constant is None:
            v = _written(v, of_next_current, t + 1)
        else:
            of_constant = of_constant + of_next_current
        here = Membrane(v=_read(v, t), refractory=_read(states.refractory, t))
        more, of_v = _pulled(_fire_and_go_on, dynamics, here, (of_v, _read(of_seen, t)))
        return v, _of_unfloored(dynamics, here.v, of_v), of_constant, jax.tree.map(jnp.add, of_dynamics, more)

    last = _read(states, n_steps - 1)
    of_dynamics, of_v = _pulled(_fire_and_end, dynamics, last, (of_end.v, of_seen[-1]))
    carry = states.v, _of_unfloored(dynamics, last.v, of_v), jnp.zeros_like(of_v), of_dynamics
    v, of_v, of_constant, of_dynamics = lax.fori_loop(0, n_steps - 1, step, carry)
    of_first_current = _of_current(dynamics, of_v, _read(states.refractory, 0))
    more, of_start = _pulled(_go_on, dynamics, start, of_v)
    return (
        jax.tree.map(jnp.add, of_dynamics, more),
        dataclasses.replace(jax.tree.map(jnp.zeros_like, start), v=of_start),
        _written(v, of_first_current, 0) if constant is None else (of_constant + of_first_current)[None],
    )


_unroll.defvjp(_forwards, _backwards)


def _read(x: Any, t: Array | int) -> Any:
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, t, keepdims=False), x)


def _written(x: Any, here: Any, t: Array | int) -> Any:
    return jax.tree.map(lambda x, here: lax.dynamic_update_index_in_dim(x, here, t, 0), x, here)


def _go_on(dynamics: Dynamics, state: Membrane) -> Array:
    """The potential a step later, without a current and were there no floor."""
    return dynamics.neuron.advance(state, jnp.zeros(()), 1, dynamics.dt).v


def _fire_and_go_on(dynamics: Dynamics, state: Membrane) -> tuple[Array, Array]:
    after, seen = dynamics.fire(state)
    return _go_on(dynamics, after), seen


def _fire_and_end(dynamics: Dynamics, state: Membrane) -> tuple[Array, Array]:
    after, seen = dynamics.fire(state)
    return after.v, seen


def _pulled(f: Callable[..., Any], dynamics: Dynamics, state: Membrane, wanted: Any) -> tuple[Dynamics, Array]:
    """From the gradient of what `f` makes of the dynamics and a state to that of the dynamics and of the potential."""
    return jax.vjp(lambda d, v: f(d, dataclasses.replace(state, v=v)), dynamics, state.v)[1](wanted)


def _of_current(dynamics: Dynamics, of_v: Array, left: Array | None) -> Array:
    """From the gradient of a potential to that of the step's current; `left` ms refractory at the end of the step."""
    if left is None:
        return of_v
    before = Membrane(v=of_v, refractory=left + dynamics.dt)
    return jnp.where(is_refractory(before, dynamics.dt), 0.0, of_v)


def _of_unfloored(dynamics: Dynamics, v: Array, of_v: Array) -> Array:
    """From the gradient of a potential to that of what it was before the floor."""
    return jnp.where(v > dynamics.neuron.v_floor, of_v, 0.0)
