"""What gradients make small: functions of a network's output [n_steps, batch, n_classes] and the labels int[batch].

The output is spikes (readout "rate") or potentials (readout "membrane"); its mean over the steps is the answer.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array


def mean_squared(output: Array, labels: Array) -> Array:
    """Squared distance of the mean output to 1 for the right class and to 0 for all others (Wu et al. 2018, eq. 15)."""
    answer = jnp.mean(output, axis=0)
    return jnp.mean(jnp.square(answer - jax.nn.one_hot(labels, answer.shape[-1])))


def cross_entropy(output: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the mean output."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(jnp.mean(output, axis=0), labels))


def count_cross_entropy(output: Array, labels: Array) -> Array:
    """Cross-entropy of the softmax of the summed output: of spike counts."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(jnp.sum(output, axis=0), labels))


def stepwise_cross_entropy(output: Array, labels: Array) -> Array:
    """Mean over the steps of the cross-entropy of each: every step has to know (TET, Deng et al. 2022, eq. 7)."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(output, labels[None]))


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "mean_squared": mean_squared,
    "cross_entropy": cross_entropy,
    "count_cross_entropy": count_cross_entropy,
    "stepwise_cross_entropy": stepwise_cross_entropy,
}
