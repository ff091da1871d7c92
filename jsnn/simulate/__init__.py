"""Engines: ways to compute what a presentation does. `dense` is the definition."""

from typing import Any, Protocol

from jax import Array

from jsnn.network import Learned, Network


class Engine(Protocol):
    """A way to present batches one after the other. Engines differ in cost, not in what they compute.

    They are hashable: a jitted function takes its engine as a static argument.
    """

    def start(self, network: Network, learned: Learned) -> Any:
        """What the first presentation has to know, apart from what was learned: a pytree, passed on from each to the
        next.
        """
        ...

    def present(
        self,
        network: Network,
        learned: Learned,
        memo: Any,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> tuple[Learned, Any, Array]:
        """One batch, with plasticity: what was learned, the memo for the next one, and the counts
        `float32[batch, n_neurons]`.

        `spikes` bool[n_steps, batch, n_active] are those of the inputs `active` int32[batch, n_active] (n_input: none);
        all others are silent. `valid` bool[batch] marks the real presentations of a batch that is not full.
        """
        ...
