"""Engines: ways to compute what a presentation does. `dense` is the definition."""

from typing import Any, Protocol

import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Reduction
from jsnn.networks.competitive import CompetitiveNetwork, Learned


def combine(reduction: Reduction, total: Array, change: Array) -> Array:
    """Changes of the presentations so far, and of one more. "max": the larger in size; the others: the sum."""
    if reduction == "max":
        return jnp.where(jnp.abs(change) > jnp.abs(total), change, total)
    return total + change


class Engine(Protocol):
    """A way to present batches one after the other. Engines differ in cost, not in what they compute.

    They are hashable: a jitted function takes its engine as a static argument.
    """

    def start(self, network: CompetitiveNetwork, learned: Learned) -> Any:
        """What the first presentation has to know, apart from what was learned: a pytree, passed on from each to the
        next.
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
        """One batch, with plasticity: what was learned, the memo for the next one, and the counts
        `float32[batch, n_neurons]`.

        `spikes` bool[batch, n_steps, n_active] are those of the inputs `active` int32[batch, n_active] (n_input: none);
        all others are silent. `valid` bool[batch] marks the real presentations of a batch that is not full. `keys`
        [batch] are for random numbers, a presentation; one that learns in lockstep with others has the first of them.
        """
        ...


class Online(Engine, Protocol):
    """An engine that presents a batch of one, and can say what it would change."""

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
        """`total` [n_input, n_neurons], combined with the changes that one presentation makes to the weights
        (`combine`), counted from `within`: the weights it starts with, put into their bounds; its theta; and its counts
        [n_neurons].

        `spikes` bool[n_steps, n_active], `active` int32[n_active], `valid` bool[]. The network has no `norm`.
        """
        engine_state = self.start(network, learned)
        after, _, counts = self.present(
            network, learned, engine_state, spikes[None], active[None], valid[None], dt, key[None]
        )
        return combine(network.reduction, total, after.weights - within), after.theta, counts[0]


class InferenceEngine(Protocol):
    """An engine that also presents batches to frozen networks. Hashable, as an `Engine`."""

    def infer(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """The counts `float32[batch, n_neurons]` of one batch; `spikes` and `active` as in `Engine.present`.

        `keys` [batch]: a presentation draws its random numbers from its own, so that it does not matter which others it
        is in a batch with.
        """
        ...
