"""The dense engine: the definition of what a presentation does, as a `lax.scan` over its time steps."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.network import Fast, Learned, Network
from jsnn.pytree import node
from jsnn.simulate import Online
from jsnn.simulate.plasticity import change


@node
class Recording:
    """What happened in every step, for pictures and for comparing engines."""

    spikes: Array  # bool[n_steps, batch, n_neurons]
    v: Array  # mV, [n_steps, batch, n_neurons], after resets


def delayed(raster: Array) -> Array:
    """The raster one step later: what arrives in each step."""
    return jnp.concatenate([jnp.zeros_like(raster[:1]), raster[:-1]])


@dataclasses.dataclass(frozen=True)
class Dense(Online):
    """The engine of this module: every network, and batches in lockstep. It has nothing to remember between them."""

    def start(self, network: Network, learned: Learned) -> tuple[()]:
        """Nothing."""
        del network, learned
        return ()

    def present(
        self,
        network: Network,
        learned: Learned,
        memo: tuple[()],
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, tuple[()], Array]:
        """See `jsnn.simulate.Engine`."""
        key = keys[0]
        if len(spikes) == 1:
            learned, counts, _ = present(network, learned, spikes[0][:, None], valid, dt, key, active[0])
        else:
            learned, counts, _ = present(network, learned, spread(spikes, active, network.n_input), valid, dt, key)
        return learned, memo, counts

    def respond(
        self,
        network: Network,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """See `jsnn.simulate.Responder`."""

        def one(raster, key):
            return respond(network, learned, raster[:, None], dt, key)[0][0]

        return jax.vmap(one, in_axes=(1, 0))(spread(spikes, active, network.n_input), keys)


def spread(spikes: Array, active: Array, n_input: int) -> Array:
    """Spikes of the inputs `active` int32[batch, n_active], bool[batch, n_steps, n_active], in their places among all
    inputs: bool[n_steps, batch, n_input]. A place of `n_input` or more is none.
    """
    n_active = active.shape[1]

    def one(spikes, active):
        place = jnp.full(n_input, n_active).at[active].set(jnp.arange(n_active), mode="drop")
        return spikes.at[:, place].get(mode="fill", fill_value=False)

    return jax.vmap(one, out_axes=1)(spikes, active)


def present(
    network: Network,
    learned: Learned,
    raster: Array,
    valid: Array,
    dt: Array | float,
    key: Array,
    active: Array | None = None,
) -> tuple[Learned, Array, Recording]:
    """Present a batch, with plasticity: `raster` bool[n_steps, batch, n_input] -> what was learned, and the counts.

    Per step: drive from the input spikes of the step before; theta's decay (if steps are its clock); membranes,
    tie-break, resets; theta's growth; traces; rule; bounds (so that the first step already brings weights that the
    normalisation has lifted over their bound back to it; `respond` uses them as they are).
    After the last step: theta's decay over the presentations (if that is its clock), synaptic scaling, normalisation of
    the columns.

    `valid` bool[batch] marks the real presentations of a batch that is not full: the others stay silent.
    Returns the new `Learned`, the output spike counts `float32[batch, n_neurons]` and a `Recording` (which costs
    nothing where it is not used).

    `active` int32[n_active], where given, says which inputs `raster` bool[n_steps, batch, n_active] is of; all others
    are silent, and so is a place that is no input (n_input or more). Only the weights of these are carried through
    the steps. Silent inputs drive nothing and, as on_post(w, 0, .) = 0, learn nothing but their bounds.
    """
    raster = raster & valid[:, None]
    if active is None:
        learned, counts, recording = _steps(network, learned, raster, valid, dt, key)
    else:
        some = dataclasses.replace(learned, weights=learned.weights.at[active].get(mode="fill", fill_value=0.0))
        some, counts, recording = _steps(network, some, raster, valid, dt, key)
        weights = jnp.clip(learned.weights, network.rule.w_min, network.rule.w_max)
        learned = dataclasses.replace(some, weights=weights.at[active].set(some.weights, mode="drop"))
    theta, adaptation, n_valid = learned.theta, network.neuron.adaptation, jnp.sum(valid).astype(learned.theta.dtype)
    if adaptation is not None:
        theta = adaptation.decay_presentations(theta, n_valid, raster.shape[0] * dt)
    scale = network.rescaled(learned.scale, jnp.sum(counts, axis=0), n_valid)
    return Learned(weights=network.normalise(learned.weights), theta=theta, scale=scale), counts, recording


def _steps(
    network: Network, learned: Learned, raster: Array, valid: Array, dt: Array | float, key: Array
) -> tuple[Learned, Array, Recording]:
    """All time steps of a presentation."""
    n_steps, batch, _ = raster.shape
    rule, adaptation = network.rule, network.neuron.adaptation
    n_valid, gains = jnp.sum(valid).astype(learned.weights.dtype), network.gains(learned)

    def step(carry, inputs):
        weights, theta, fast, pre, post, fired = carry
        arriving, s_pre, chance = inputs
        if adaptation is not None:
            theta = adaptation.decay_step(theta, dt)
        drive = gains * (arriving.astype(weights.dtype) @ weights)
        fast, was_reset = network.step(fast, drive, theta, dt, chance)
        fast = dataclasses.replace(fast, spikes=fast.spikes & valid[:, None])
        if adaptation is not None:
            theta = theta + adaptation.theta_plus * jnp.sum(was_reset & valid[:, None], axis=0)
        pre = rule.pre_trace.step(pre, s_pre, dt)
        post = rule.post_trace.step(post, fast.spikes, dt)
        fired = fired | fast.spikes
        dw = change(rule, weights, s_pre, fast.spikes, pre, post, network.reduction, n_valid, jnp.sum(fired, axis=0))
        weights = jnp.clip(weights + dw, rule.w_min, rule.w_max)
        return (weights, theta, fast, pre, post, fired), Recording(spikes=fast.spikes, v=fast.neuron.v)

    silent = jnp.zeros((batch, network.n_neurons), bool)
    start = (
        learned.weights,
        learned.theta,
        network.reset(batch),
        jnp.zeros(raster.shape[1:]),
        jnp.zeros(silent.shape),
        silent,
    )
    inputs = delayed(raster), raster, network.chance(key, n_steps, batch)
    (weights, theta, *_), recording = jax.lax.scan(step, start, inputs)
    counts = jnp.sum(recording.spikes, axis=0, dtype=float)
    return dataclasses.replace(learned, weights=weights, theta=theta), counts, recording


def respond(
    network: Network, learned: Learned, raster: Array, dt: Array | float, key: Array
) -> tuple[Array, Recording]:
    """Present a batch to the frozen network: counts `float32[batch, n_neurons]`, and a `Recording`.

    The weights do not change, so the drive of the whole presentation is one matrix product.
    """
    n_steps, batch, n_input = raster.shape
    arriving = delayed(raster).reshape(-1, n_input).astype(learned.weights.dtype)
    drive = (network.gains(learned) * (arriving @ learned.weights)).reshape(n_steps, batch, -1)

    def step(fast: Fast, inputs):
        drive, chance = inputs
        fast, _ = network.step(fast, drive, learned.theta, dt, chance)
        return fast, Recording(spikes=fast.spikes, v=fast.neuron.v)

    _, recording = jax.lax.scan(step, network.reset(batch), (drive, network.chance(key, n_steps, batch)))
    return jnp.sum(recording.spikes, axis=0, dtype=float), recording
