"""A network that does not learn, for inference by engines that are made for learning."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import node
from jsnn.core.trace import Trace
from jsnn.networks.competitive import CompetitiveNetwork


@node
class Frozen:
    """The rule of a network that does not learn."""

    w_min: Array | float  # mV, a lower bound of the weights
    w_max: float = float("inf")
    pre_trace: Trace = Trace()
    post_trace = None
    slow_trace = None
    updates_silent_inputs = False

    def on_pre(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Return zeros; see `jsnn.core.protocols.Rule.on_pre`."""
        return jnp.zeros_like(w)

    def on_post(self, w: Array, pre: Array | float, post: Array | float) -> Array | float:
        """Return zeros; see `jsnn.core.protocols.Rule.on_post`."""
        return jnp.zeros_like(w)


def frozen(network: CompetitiveNetwork, w_min: Array | float = 0.0) -> CompetitiveNetwork:
    """Replace everything in a network that learns, so that it only responds.

    Args:
        network: The network.
        w_min: A bound that no weight is below, mV.

    Returns:
        The network without plasticity, adaptation and normalisation.
    """
    neuron = network.neuron
    if neuron.adaptation is not None:
        neuron = dataclasses.replace(neuron, adaptation=None)  # pyright: ignore[reportArgumentType]
    return dataclasses.replace(network, neuron=neuron, rule=Frozen(w_min=w_min), norm=None)
