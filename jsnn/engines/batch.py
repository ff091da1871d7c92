"""The batch engine: presentations that start from the same weights and learn on their own, reduced at the end.

It is what a batch does in a network that is not `lockstep`. Each presentation runs as it would online, from the weights
and thresholds W that the batch starts with, and arrives at W_b; then

    W <- normalise(clip(V + R_b (W_b - V)))        V = clip(W); R: the network's `reduction`
    theta <- decay(theta + sum_b (theta_b - theta))          scale: by the spikes of all of them

So a batch of one is online learning. Presentations need not wait for each other: the event engine computes them, the
weights of those that fired apart from all others', and devices can share them. In a lockstep network (BindsNET's batch)
they meet in every step, which costs three products of batch x n_input x n_neurons a step instead.

Memory: the weights, as they are and within their bounds, their changes, and the result: four arrays of
n_input x n_neurons on each device, whatever the batch, besides the rasters of a block and the drives of one
presentation (n_steps x n_neurons). Devices that share a batch (`axis`) each sum the changes of their own presentations;
then they agree, up to rounding with what one would do.
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
    """The network without what happens between presentations: normalisation, scaling, theta's decay over them."""
    neuron, adaptation = network.neuron, network.neuron.adaptation
    if adaptation is not None and adaptation.clock == "presentation":
        adaptation = dataclasses.replace(adaptation, tau_theta=jnp.inf)  # pyright: ignore[reportArgumentType]
        neuron = dataclasses.replace(neuron, adaptation=adaptation)  # pyright: ignore[reportArgumentType]
    return dataclasses.replace(network, neuron=neuron, norm=None, scaling=None)


def reduced(reduction: Reduction, total: Array, n_valid: Array, n_fired: Array) -> Array:
    """The combined changes -> the change of the batch; `n_fired` [n_neurons]: in how many presentations each fired."""
    if reduction == "mean":
        return total / jnp.maximum(n_valid, 1)
    if reduction == "mean_fired":
        return total / jnp.maximum(n_fired, 1)
    if reduction in ("sum", "max"):
        return total
    assert_never(reduction)


@dataclasses.dataclass(frozen=True)
class Batch:
    """The engine of this module, on top of one that presents online.

    `axis`: the name of a mesh axis over which the presentations of a batch are divided; None: they are all here.
    """

    online: Online
    axis: str | None = None

    def start(self, network: CompetitiveNetwork, learned: Learned) -> tuple[()]:
        """Nothing."""
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
        """See `jsnn.engines.Engine`."""
        rule, adaptation, reduction = network.rule, network.neuron.adaptation, network.reduction
        one = without_slow_homeostasis(network)
        within = jnp.clip(learned.weights, rule.w_min, rule.w_max)
        batch, n_steps, _ = spikes.shape
        still = learned.theta  # of a neuron that does not fire
        if adaptation is not None:
            still = jax.lax.fori_loop(0, n_steps, lambda _, theta: adaptation.decay_step(theta, dt), still)

        def add(b, carry):
            total, theta, counts = carry
            shown = spikes[b], active[b], valid[b], dt, keys[b]
            changed, own_theta, c = self.online.change(one, learned, within, total, *shown)
            return changed, theta + (own_theta - still), counts.at[b].set(c)

        start = jnp.zeros_like(within), jnp.zeros_like(still), jnp.zeros((batch, network.n_neurons))
        total, grown, counts = jax.lax.fori_loop(0, batch, add, start)
        n_valid, n_fired, n_spikes = jnp.sum(valid), jnp.sum(counts > 0, axis=0), jnp.sum(counts, axis=0)
        if self.axis is not None:
            grown, n_valid, n_fired, n_spikes = jax.lax.psum((grown, n_valid, n_fired, n_spikes), self.axis)
            if reduction == "max":
                least, most = jax.lax.pmin(total, self.axis), jax.lax.pmax(total, self.axis)
                total = combine(reduction, most, least)
            else:
                total = jax.lax.psum(total, self.axis)
        weights = jnp.clip(within + reduced(reduction, total, n_valid, n_fired), rule.w_min, rule.w_max)
        after = network.homeostasis(learned, still + grown, n_spikes, n_valid, n_steps * dt)
        return dataclasses.replace(after, weights=network.normalise(weights)), engine_state, counts
