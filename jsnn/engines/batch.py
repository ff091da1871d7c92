"""The batch engine: presentations start from the same weights, learn on their own, and are combined at the end.

It computes a batch of a network that is not `lockstep`. Each presentation b runs as it would online, from the weights
and thresholds W that the batch starts with, and ends with W_b; then

    W <- normalise(clip(V + R_b (W_b - V)))        V = clip(W); R: the network's `reduction`
    theta <- decay(theta + sum_b (theta_b - theta))          scale: by the spikes of all of them

So a batch of one is online learning. Presentations need not wait for each other: the event engine computes them, the
weights of those that fired apart from all others', and devices can share them. In a lockstep network (BindsNET's batch)
they meet in every step, which costs three products of batch x n_input x n_neurons a step instead.

Memory: the weights, as they are and within their bounds, their changes, and the result: four arrays of n_input x
n_neurons on each device, whatever the batch, besides the rasters of a chunk and the drives of one presentation (n_steps
x n_neurons). Devices that share a batch (`axis`) each sum the changes of their own presentations; the result agrees, up
to rounding, with that of one device.
"""

import dataclasses
from typing import assert_never

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Reduction
from jsnn.engines import Online, combine
from jsnn.networks.competitive import CompetitiveNetwork, Learned


def without_slow_homeostasis(network: CompetitiveNetwork) -> CompetitiveNetwork:
    """Remove what happens between presentations: normalisation, synaptic scaling and theta's decay over presentations.

    Args:
        network: The network.

    Returns:
        The network without them.
    """
    neuron, adaptation = network.neuron, network.neuron.adaptation
    if adaptation is not None and adaptation.clock == "presentation":
        adaptation = dataclasses.replace(adaptation, tau_theta=jnp.inf)  # pyright: ignore[reportArgumentType]
        neuron = dataclasses.replace(neuron, adaptation=adaptation)  # pyright: ignore[reportArgumentType]
    return dataclasses.replace(network, neuron=neuron, norm=None, scaling=None)


def reduced(reduction: Reduction, total: Array, n_valid: Array, n_fired: Array) -> Array:
    """Reduce the combined changes of a batch to the change of the weights.

    Args:
        reduction: The network's reduction.
        total: Combined changes, mV, [n_input, n_neurons].
        n_valid: Number of real presentations.
        n_fired: Number of presentations in which each neuron fired, [n_neurons].

    Returns:
        The change of the weights before their bounds, mV, [n_input, n_neurons].
    """
    if reduction == "mean":
        return total / jnp.maximum(n_valid, 1)
    if reduction == "mean_fired":
        return total / jnp.maximum(n_fired, 1)
    if reduction in ("sum", "max"):
        return total
    assert_never(reduction)


@dataclasses.dataclass(frozen=True)
class Batch:
    """The batch engine, on top of an engine that presents online; see `jsnn.engines.batch`.

    Attributes:
        online: Engine for the single presentations.
        axis: Name of a mesh axis over which the presentations of a batch are divided; None if all are on this device.
    """

    online: Online
    axis: str | None = None

    def start(self, network: CompetitiveNetwork, learned: Learned) -> tuple[()]:
        """Return (): this engine has no state between batches."""
        del network, learned
        return ()

    def present(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        engine_state: tuple[()],
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, tuple[()], Array]:
        """Present one batch to a network that learns; see `jsnn.engines.Engine.present`."""
        rule, adaptation, reduction = network.rule, network.neuron.adaptation, network.reduction
        single = without_slow_homeostasis(network)
        within = jnp.clip(learned.weights, rule.w_min, rule.w_max)
        batch, n_steps, _ = spikes.shape
        theta_silent = learned.theta  # theta of a neuron that does not fire
        if adaptation is not None:
            theta_silent = jax.lax.fori_loop(
                0, n_steps, lambda _, theta: adaptation.decay_step(theta, dt), theta_silent
            )

        def add(b, carry):
            total, theta, counts = carry
            presentation = spikes[b], active[b], valid[b], dt, keys[b]
            changed, theta_b, c = self.online.change(single, learned, within, total, *presentation)
            return changed, theta + (theta_b - theta_silent), counts.at[b].set(c)

        start = jnp.zeros_like(within), jnp.zeros_like(theta_silent), jnp.zeros((batch, network.n_neurons))
        total, theta_growth, counts = jax.lax.fori_loop(0, batch, add, start)
        n_valid, n_fired, n_spikes = jnp.sum(valid), jnp.sum(counts > 0, axis=0), jnp.sum(counts, axis=0)
        if self.axis is not None:
            theta_growth, n_valid, n_fired, n_spikes = jax.lax.psum(
                (theta_growth, n_valid, n_fired, n_spikes), self.axis
            )
            if reduction == "max":
                smallest, largest = jax.lax.pmin(total, self.axis), jax.lax.pmax(total, self.axis)
                total = combine(reduction, largest, smallest)
            else:
                total = jax.lax.psum(total, self.axis)
        weights = jnp.clip(within + reduced(reduction, total, n_valid, n_fired), rule.w_min, rule.w_max)
        after = network.homeostasis(learned, theta_silent + theta_growth, n_spikes, n_valid, n_steps * dt)
        return dataclasses.replace(after, weights=network.normalise(weights)), engine_state, counts
