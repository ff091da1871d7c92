"""The sparse engine: online learning spike by spike, for networks in which many neurons fire.

It computes what `jsnn.engines.dense` defines, for one presentation at a time. In each step only the rows of the inputs
that fire and the columns of the neurons that fire are changed, one after the other, in place: the cost is one addition
and one application of the rule's functions for each synaptic event. As the rows of this step are the drive of the next
one, they are summed on the way.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.engines import Online, plasticity
from jsnn.networks.competitive import CompetitiveNetwork, Learned


def refusal(network: CompetitiveNetwork) -> str | None:
    """Say why this engine cannot train a network.

    Args:
        network: The network.

    Returns:
        The reason in one line; None if the engine can train it.
    """
    return "its synapses have delays" if network.longest_delay else None


@dataclasses.dataclass(frozen=True)
class Sparse(Online):
    """The sparse engine; see `jsnn.engines.sparse`."""

    def start(self, network: CompetitiveNetwork, learned: Learned) -> tuple[()]:
        """Return (): this engine has no state between presentations."""
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
        """Present one image to a network that learns; see `jsnn.engines.Engine.present`. The batch is one."""
        rule, adaptation = network.rule, network.neuron.adaptation
        raster = spikes[0] & valid[0]
        n_steps, n_active = raster.shape
        gains = network.gains(learned)
        weights = learned.weights.at[active[0]].get(mode="fill", fill_value=0.0)

        # The inputs that fire, in order of time: step t has those from first[t] to first[t + 1].
        firing = jnp.nonzero(raster.ravel(), size=raster.size, fill_value=0)[0] % n_active
        per_step = jnp.sum(raster, axis=1)
        first = jnp.concatenate([jnp.zeros(1, per_step.dtype), jnp.cumsum(per_step)])

        def clipped(w: Array) -> Array:
            return jnp.clip(w, rule.w_min, rule.w_max)

        def step(carry, inputs):
            weights, theta, fast, drive, pre, post = carry
            s_pre, t, draws = inputs
            if adaptation is not None:
                theta = adaptation.decay_step(theta, dt)
            fast, was_reset, _ = network.step(fast, gains * drive[None], theta, dt, draws)
            fast = dataclasses.replace(fast, spikes=fast.spikes & valid[0])
            if adaptation is not None:
                theta = theta + adaptation.theta_plus * (was_reset[0] & valid[0])
            fired = fast.spikes[0]
            pre = rule.pre_trace.step(pre, s_pre, dt)
            post, size = plasticity.update_traces(rule, post, fired, dt)

            def neuron_fired(carry):
                weights, remaining = carry
                j = jnp.argmax(remaining)
                w = jax.lax.dynamic_slice(weights, (0, j), (n_active, 1))[:, 0]
                dw = size[j] * rule.on_post(w, pre, 0.0)
                if post.fast is not None:
                    dw = dw + jnp.where(s_pre, rule.on_pre(w, 0.0, post.fast[j]), 0.0)
                w = clipped(w + dw)
                return jax.lax.dynamic_update_slice(weights, w[:, None], (0, j)), remaining.at[j].set(False)

            def input_fired(k, carry):
                weights, drive = carry
                i = firing[k]
                w = jax.lax.dynamic_slice(weights, (i, 0), (1, drive.size))[0]
                if post.fast is not None:
                    w = jnp.where(fired, w, clipped(w + rule.on_pre(w, 0.0, post.fast)))  # fired: done above
                    weights = jax.lax.dynamic_update_slice(weights, w[None], (i, 0))
                return weights, drive + jax.lax.dynamic_slice(weights, (i, 0), (1, drive.size))[0]

            weights = jax.lax.while_loop(lambda c: jnp.any(c[1]), neuron_fired, (weights, fired))[0]
            carry = weights, jnp.zeros_like(drive)
            weights, drive = jax.lax.fori_loop(first[t], first[t + 1], input_fired, carry)
            return (weights, theta, fast, drive, pre, post), fired

        start = (
            weights,
            learned.theta,
            network.reset(1),
            jnp.zeros_like(learned.theta),
            jnp.zeros(n_active, weights.dtype),
            plasticity.initial_traces(rule, learned.theta.shape),
        )
        steps = raster, jnp.arange(n_steps), network.draws(keys[0], n_steps, 1)
        # The first step also clips the weights of inputs that do not fire in it; nothing drives the network yet.
        (weights, theta, fast, _, *traces), fired = step(start, jax.tree.map(lambda x: x[0], steps))
        weights = clipped(weights)
        drive = jnp.sum(jnp.where(raster[0][:, None], weights, 0.0), axis=0)
        later = jax.tree.map(lambda x: x[1:], steps)
        (weights, theta, *_), all_fired = jax.lax.scan(step, (weights, theta, fast, drive, *traces), later)
        counts = fired + jnp.sum(all_fired, axis=0, dtype=float)

        updated = plasticity.update_silent_inputs(rule, learned.weights, counts, fired)
        updated = updated.at[active[0]].set(weights, mode="drop")
        after = network.homeostasis(learned, theta, counts, valid[0], n_steps * dt)
        return dataclasses.replace(after, weights=network.normalise(updated)), engine_state, counts[None]
