"""What engines that touch few columns of the weights share: what becomes of those, and of the others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core.protocols import Rule
from jsnn.engines import plasticity
from jsnn.networks.competitive import CompetitiveNetwork, Learned

SLACK = 1e-2  # mV, between a bound and a threshold: more than the rounding of float32


def apply_bounds(
    rule: Rule, columns: Array, at_active: Array, active: Array, n_spikes: Array, in_first_step: Array
) -> Array:
    """Columns [n_input, n] after a presentation, within their bounds: `at_active` [n, n_active] at the inputs that were
    `active`, and elsewhere what silent inputs learn from `n_spikes` [n] and `in_first_step` bool[n].
    """
    columns = plasticity.update_silent_inputs(rule, columns, n_spikes, in_first_step)
    return columns.at[active].set(at_active.T, mode="drop")


def select_if(fits: Array, after: Learned, before: Learned) -> Learned:
    """`before`, with the thresholds and scales of `after` if a presentation fits into its engine."""
    new, old = (after.theta, after.scale), (before.theta, before.scale)
    theta, scale = jax.tree.map(lambda a, b: jnp.where(fits, a, b), new, old)
    return dataclasses.replace(before, theta=theta, scale=scale)


def columns_to_correct(network: CompetitiveNetwork, weights: Array) -> Array:
    """Whether the bounds or the normalisation would move a column of weights `[n_input, n]`: bool[n]."""
    outside = jnp.any((weights < network.rule.w_min) | (weights > network.rule.w_max), axis=0)
    if network.norm is None:
        return outside
    length = network.length(weights)
    rounding = 256 * jnp.finfo(weights.dtype).eps
    return outside | ((length != 0) & (jnp.abs(length - network.norm) > rounding * network.norm))


def inhibits_without_spikes(network: CompetitiveNetwork) -> str | None:
    """Whether neurons are inhibited although none has fired, in a line; None if they are not."""
    silent = jnp.zeros((1, 2), bool)
    state = network.inhibition.init(silent.shape)
    for _ in range(5):
        state, current = network.inhibition.step(state, silent, 1.0)
        if np.any(np.asarray(current) != 0):
            return f"{type(network.inhibition).__name__} inhibits although no neuron has fired"
    return None


def changes_silent_neurons(network: CompetitiveNetwork) -> str | None:
    """Whether the rule moves the weights of a neuron that has not fired, in a line; None if it does not."""
    weights = jnp.array([-0.5, 0.0, 0.5, 1.0])
    if np.all(np.asarray(network.rule.on_pre(weights, 0.0, 0.0)) == 0):
        return None
    name = type(network.rule).__name__
    return f"{name} moves weights at a presynaptic spike although the postsynaptic neuron has not fired"
