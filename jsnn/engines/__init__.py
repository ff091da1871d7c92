"""Engines: algorithms that compute a presentation. They differ in cost, not in result; `dense` is the definition."""

from typing import Any, Protocol

import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Reduction
from jsnn.networks.competitive import CompetitiveNetwork, Learned


def combine(reduction: Reduction, total: Array, change: Array) -> Array:
    """Combine the weight changes of the presentations so far with those of one more.

    Args:
        reduction: "max" keeps the change that is larger in size, every other reduction adds.
        total: Combined changes so far.
        change: Changes of one more presentation, of the same shape.

    Returns:
        The combined changes.
    """
    if reduction == "max":
        return jnp.where(jnp.abs(change) > jnp.abs(total), change, total)
    return total + change


class Engine(Protocol):
    """An engine presents batches of images to a network that learns, one batch after the other.

    Engines are hashable: a jitted function takes its engine as a static argument.
    """

    def start(self, network: CompetitiveNetwork, learned: Learned) -> Any:
        """Create the engine state before the first presentation.

        Args:
            network: The network.
            learned: What it has learned so far.

        Returns:
            A pytree that each presentation passes on to the next, besides what was learned.
        """
        ...

    def present(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        engine_state: Any,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, Any, Array]:
        """Present one batch to a network that learns.

        Args:
            network: The network.
            learned: What it has learned before the batch.
            engine_state: From `start`, or from the presentation before.
            spikes: Spikes of the inputs in `active`, bool[batch, n_steps, n_active]; all other inputs are silent.
            active: Indices of these inputs, int32[batch, n_active]; n_input marks an unused place.
            valid: Which presentations are real, bool[batch]; the others fill up the batch and stay silent.
            dt: Time step, ms.
            keys: Random keys, one for each presentation, [batch]. A batch that learns in lockstep uses the first of
                them.

        Returns:
            What the network has learned after the batch, the engine state for the next batch, and the spike counts,
            float32[batch, n_neurons].
        """
        ...


class Online(Engine, Protocol):
    """An engine that presents one image at a time, and can also return the weight changes instead of the weights."""

    def change(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        within: Array,
        total: Array,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> tuple[Array, Array, Array]:
        """Compute the changes that one presentation makes, starting from weights within their bounds.

        Args:
            network: The network, without normalisation (`norm`).
            learned: What it has learned before the batch.
            within: The learned weights, clipped to their bounds, mV, [n_input, n_neurons].
            total: Combined weight changes of the presentations so far, mV, [n_input, n_neurons].
            spikes: Spikes of the inputs in `active`, bool[n_steps, n_active].
            active: Indices of these inputs, int32[n_active]; n_input marks an unused place.
            valid: Whether the presentation is real, bool[].
            dt: Time step, ms.
            key: Random key.

        Returns:
            `total` combined with the changes relative to `within` (`combine`), theta after the presentation, mV,
            [n_neurons], and the spike counts, [n_neurons].
        """
        engine_state = self.start(network, learned)
        after, _, counts = self.present(
            network, learned, engine_state, spikes[None], active[None], valid[None], dt, key[None]
        )
        return combine(network.reduction, total, after.weights - within), after.theta, counts[0]


class InferenceEngine(Protocol):
    """An engine that presents batches of images to a network that does not learn; it is hashable, as an `Engine` is."""

    def infer(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """Present one batch to a frozen network.

        Args:
            network: The network.
            learned: What it has learned.
            spikes: Spikes of the inputs in `active`, bool[batch, n_steps, n_active].
            active: Indices of these inputs, int32[batch, n_active]; n_input marks an unused place.
            dt: Time step, ms.
            keys: Random keys, one for each presentation, [batch]; so it does not matter which others are in the batch.

        Returns:
            The spike counts, float32[batch, n_neurons].
        """
        ...
