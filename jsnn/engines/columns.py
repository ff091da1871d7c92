"""Functions shared by the engines that read and write only the weight columns of neurons that fire."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jsnn.core.protocols import Rule
from jsnn.engines import plasticity
from jsnn.networks.competitive import CompetitiveNetwork, Learned

SLACK = 1e-2  # mV between a bound and a threshold: more than the rounding of float32


def apply_bounds(
    rule: Rule, columns: Array, at_active: Array, active: Array, n_spikes: Array, in_first_step: Array
) -> Array:
    """Finish the weight columns of a presentation, within their bounds.

    Args:
        rule: The learning rule.
        columns: Columns before the presentation, mV, [n_input, n].
        at_active: Weights of the active inputs after it, mV, [n, n_active].
        active: Indices of the active inputs, int32[n_active]; n_input marks an unused place.
        n_spikes: Spikes of each neuron, [n].
        in_first_step: Whether each neuron fired in the first step, bool[n].

    Returns:
        Columns after the presentation, mV, [n_input, n]: `at_active` where inputs were active; elsewhere what silent
        inputs learn (`jsnn.engines.plasticity.update_silent_inputs`).
    """
    columns = plasticity.update_silent_inputs(rule, columns, n_spikes, in_first_step)
    return columns.at[active].set(at_active.T, mode="drop")


def select_if(fits: Array, after: Learned, before: Learned) -> Learned:
    """Select thresholds and scales after a presentation if it fits into its engine, and those before it otherwise.

    Args:
        fits: Whether the presentation fits, bool[].
        after: What the network has learned after it.
        before: What the network has learned before it.

    Returns:
        `before` with theta and scale of `after` where `fits`; the weights are always those of `before`.
    """
    new, old = (after.theta, after.scale), (before.theta, before.scale)
    theta, scale = jax.tree.map(lambda a, b: jnp.where(fits, a, b), new, old)
    return dataclasses.replace(before, theta=theta, scale=scale)


def columns_to_correct(network: CompetitiveNetwork, weights: Array) -> Array:
    """Find the weight columns that the bounds or the normalisation would change.

    Args:
        network: The network.
        weights: mV, [n_input, n].

    Returns:
        bool[n].
    """
    outside = jnp.any((weights < network.rule.w_min) | (weights > network.rule.w_max), axis=0)
    if network.norm is None:
        return outside
    length = network.length(weights)
    rounding = 256 * jnp.finfo(weights.dtype).eps
    return outside | ((length != 0) & (jnp.abs(length - network.norm) > rounding * network.norm))


def inhibits_without_spikes(network: CompetitiveNetwork) -> str | None:
    """Say whether neurons are inhibited although none has fired.

    Args:
        network: The network, with numbers that are not traced.

    Returns:
        The reason in one line; None if they are not.
    """
    silent = jnp.zeros((1, 2), bool)
    state = network.inhibition.init(silent.shape)
    for _ in range(5):
        state, current = network.inhibition.step(state, silent, 1.0)
        if np.any(np.asarray(current) != 0):
            return f"{type(network.inhibition).__name__} inhibits although no neuron has fired"
    return None


def changes_silent_neurons(network: CompetitiveNetwork) -> str | None:
    """Say whether the rule changes the weights of a neuron that has not fired.

    Args:
        network: The network, with numbers that are not traced.

    Returns:
        The reason in one line; None if it does not.
    """
    weights = jnp.array([-0.5, 0.0, 0.5, 1.0])
    if np.all(np.asarray(network.rule.on_pre(weights, 0.0, 0.0)) == 0):
        return None
    name = type(network.rule).__name__
    return f"{name} moves weights at a presynaptic spike although the postsynaptic neuron has not fired"
