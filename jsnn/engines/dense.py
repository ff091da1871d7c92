"""The dense engine: the definition of what a presentation does, as a `lax.scan` over its time steps."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.engines import Online, plasticity
from jsnn.networks.competitive import CompetitiveNetwork, Fast, Learned


@node
class Recording(Node):
    """Spikes, potentials and thresholds in every step, for figures and for comparing engines."""

    spikes: Array  # bool[n_steps, batch, n_neurons]
    v: Array  # mV, [n_steps, batch, n_neurons], after resets
    v_before: Array  # mV, likewise, before resets: where a neuron fires, it is at its threshold or above
    theta: Array  # mV, [n_steps, n_neurons]: the adaptive part of the thresholds that v_before was compared with


def delayed(raster: Array) -> Array:
    """Delay a raster by one step: the spikes that arrive in each step, of the shape of `raster` [n_steps, ...]."""
    return jnp.concatenate([jnp.zeros_like(raster[:1]), raster[:-1]])


@dataclasses.dataclass(frozen=True)
class Dense(Online):
    """The dense engine, for every network and for batches in lockstep; see `jsnn.engines.dense`."""

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
        """Present one batch to a network that learns; see `jsnn.engines.Engine.present`."""
        key = keys[0]
        if len(spikes) == 1:
            learned, counts, _ = present(network, learned, spikes[0][:, None], valid, dt, key, active[0])
        else:
            learned, counts, _ = present(network, learned, spread(spikes, active, network.n_input), valid, dt, key)
        return learned, engine_state, counts

    def infer(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """Present a batch to a frozen network; see `jsnn.engines.InferenceEngine.infer`."""

        def one(raster, key):
            return infer(network, learned, raster[:, None], dt, key)[0][0]

        return jax.vmap(one, in_axes=(1, 0))(spread(spikes, active, network.n_input), keys)


def spread(spikes: Array, active: Array, n_input: int) -> Array:
    """Put the spikes of active inputs in their places among all inputs.

    Args:
        spikes: bool[batch, n_steps, n_active].
        active: Indices of these inputs, int32[batch, n_active]; n_input or more marks an unused place.
        n_input: Number of inputs.

    Returns:
        bool[n_steps, batch, n_input].
    """
    n_active = active.shape[1]

    def one(spikes, active):
        place = jnp.full(n_input, n_active).at[active].set(jnp.arange(n_active), mode="drop")
        return spikes.at[:, place].get(mode="fill", fill_value=False)

    return jax.vmap(one, out_axes=1)(spikes, active)


def present(
    network: CompetitiveNetwork,
    learned: Learned,
    raster: Array,
    valid: Array,
    dt: Array | float,
    key: Array,
    active: Array | None = None,
) -> tuple[Learned, Array, Recording]:
    """Present a batch to a network that learns.

    Per step: drive from the input spikes of the step before; theta's decay (if steps are its clock); membranes,
    winner-take-all, resets; theta's growth; traces; rule; bounds. So weights that the normalisation has lifted over
    their bound are back within it after the first step, before anything drives a neuron through them; a spike in that
    very step still changes them from where they are. `infer` uses them as they are.

    After the last step: theta's decay over the presentations (if that is its clock), synaptic scaling, normalisation of
    the columns.

    With `active`, only the weights of these inputs are carried through the steps. Silent inputs drive nothing, and what
    they learn depends only on how often a neuron spikes.

    Args:
        network: The network.
        learned: What it has learned before the batch.
        raster: Input spikes, bool[n_steps, batch, n_input], or of the inputs in `active` bool[n_steps, 1, n_active].
        valid: Which presentations are real, bool[batch]; the others fill up the batch and stay silent.
        dt: Time step, ms.
        key: Random key.
        active: Indices of the inputs of which `raster` is, int32[n_active], for a batch of one; n_input or more
            marks an unused place. By default all inputs.

    Returns:
        What the network has learned after the batch, the spike counts, float32[batch, n_neurons], and a `Recording`,
        which costs nothing where it is not used.
    """
    raster = raster & valid[:, None]
    if active is None:
        learned, counts, recording = _steps(network, learned, raster, valid, dt, key)
    else:
        values = jax.tree.map(lambda x: x.at[active].get(mode="fill", fill_value=0), (learned.weights, learned.delay))
        at_active = dataclasses.replace(learned, weights=values[0], delay=values[1])
        at_active, counts, recording = _steps(network, at_active, raster, valid, dt, key)
        n_spikes, in_first_step = jnp.sum(counts, axis=0), recording.spikes[0, 0]
        weights = plasticity.update_silent_inputs(network.rule, learned.weights, n_spikes, in_first_step)
        weights = weights.at[active].set(at_active.weights, mode="drop")
        learned = dataclasses.replace(at_active, weights=weights, delay=learned.delay)
    n_valid, duration = jnp.sum(valid), raster.shape[0] * dt
    after = network.homeostasis(learned, learned.theta, jnp.sum(counts, axis=0), n_valid, duration)
    return dataclasses.replace(after, weights=network.normalise(learned.weights)), counts, recording


def _steps(
    network: CompetitiveNetwork, learned: Learned, raster: Array, valid: Array, dt: Array | float, key: Array
) -> tuple[Learned, Array, Recording]:
    """All time steps of a presentation.

    A spike that input i sends in step t reaches the synapse (i, j), and its plasticity, in the same step, or as many
    steps later as its delay, and the membrane in the step after.
    """
    n_steps, batch, n_input = raster.shape
    rule, adaptation, delay = network.rule, network.neuron.adaptation, learned.delay
    n_valid, gains = jnp.sum(valid).astype(learned.weights.dtype), network.gains(learned)
    assert delay is None or batch == 1, "synapses with delays learn from one presentation at a time"

    def step(carry, inputs):
        weights, theta, fast, pre, post, fired, past, arrived = carry
        s_pre, draws = inputs
        if adaptation is not None:
            theta = adaptation.decay_step(theta, dt)
        if delay is None:
            drive = arrived.astype(weights.dtype) @ weights
        else:
            drive = jnp.sum(jnp.where(arrived, weights, 0.0), axis=0, keepdims=True)
        theta_compared = theta
        fast, was_reset, v = network.step(fast, gains * drive, theta, dt, draws)
        fast = dataclasses.replace(fast, spikes=fast.spikes & valid[:, None])
        if adaptation is not None:
            theta = theta + adaptation.theta_plus * jnp.sum(was_reset & valid[:, None], axis=0)
        if delay is None:
            arrived = s_pre
        else:
            past = jnp.concatenate([s_pre, past[:-1]])  # past[d]: the input spikes d steps ago
            arrived = past[delay.astype(int), jnp.arange(n_input)[:, None]]
        pre = rule.pre_trace.step(pre, arrived, dt)
        post, size = plasticity.update_traces(rule, post, fast.spikes, dt)
        fired = fired | fast.spikes
        if delay is None:
            n_fired = jnp.sum(fired, axis=0)
            dw = plasticity.change(rule, weights, arrived, size, pre, post.fast, network.reduction, n_valid, n_fired)
        else:
            dw = plasticity.change_per_synapse(rule, weights, arrived, size, pre, post.fast)
        weights = jnp.clip(weights + dw, rule.w_min, rule.w_max)
        carry = weights, theta, fast, pre, post, fired, past, arrived
        return carry, Recording(spikes=fast.spikes, v=fast.neuron.v, v_before=v, theta=theta_compared)

    silent = jnp.zeros((batch, network.n_neurons), bool)
    arrived = jnp.zeros((batch, n_input) if delay is None else delay.shape, bool)
    start = (
        learned.weights,
        learned.theta,
        network.reset(batch),
        jnp.zeros(arrived.shape),
        plasticity.initial_traces(rule, silent.shape),
        silent,
        jnp.zeros((network.longest_delay + 1, n_input), bool),
        arrived,
    )
    (weights, theta, *_), recording = jax.lax.scan(step, start, (raster, network.draws(key, n_steps, batch)))
    counts = jnp.sum(recording.spikes, axis=0, dtype=float)
    return dataclasses.replace(learned, weights=weights, theta=theta), counts, recording


def drives(learned: Learned, raster: Array) -> Array:
    """Sum the weights of the spikes that arrive in every step.

    Args:
        learned: What the network has learned.
        raster: Input spikes, bool[n_steps, batch, n_input].

    Returns:
        The drives before gains, mV, [n_steps, batch, n_neurons].
    """
    n_steps, batch, n_input = raster.shape
    weights, delay = learned.weights, learned.delay
    if delay is None:
        arriving = delayed(raster).reshape(-1, n_input).astype(weights.dtype)
        return (arriving @ weights).reshape(n_steps, batch, -1)

    def step(t):
        sent = t - 1 - delay.astype(int)
        arrived = raster.at[sent, :, jnp.arange(n_input)[:, None]].get(mode="fill", fill_value=False)
        return jnp.sum(jnp.where(arrived & (sent >= 0)[..., None], weights[..., None], 0.0), axis=0).T

    return jax.lax.map(step, jnp.arange(n_steps))


def infer(
    network: CompetitiveNetwork, learned: Learned, raster: Array, dt: Array | float, key: Array
) -> tuple[Array, Recording]:
    """Present a batch to a frozen network.

    The weights do not change, so the drive of the whole presentation is one matrix product.

    Args:
        network: The network.
        learned: What it has learned.
        raster: Input spikes, bool[n_steps, batch, n_input].
        dt: Time step, ms.
        key: Random key.

    Returns:
        The spike counts, float32[batch, n_neurons], and a `Recording`.
    """
    n_steps, batch, _ = raster.shape
    drive = network.gains(learned) * drives(learned, raster)

    def step(fast: Fast, inputs):
        drive, draws = inputs
        fast, _, v = network.step(fast, drive, learned.theta, dt, draws)
        return fast, Recording(spikes=fast.spikes, v=fast.neuron.v, v_before=v, theta=learned.theta)

    _, recording = jax.lax.scan(step, network.reset(batch), (drive, network.draws(key, n_steps, batch)))
    return jnp.sum(recording.spikes, axis=0, dtype=float), recording
