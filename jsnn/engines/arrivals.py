"""Drives and traces of a whole presentation, computed in advance from its input spikes."""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Rule
from jsnn.core.pytree import node
from jsnn.networks.competitive import CompetitiveNetwork, Learned

CHUNK = 256  # input spikes that are summed at once
WORD = 32  # bits
ROWS = 64  # rows of the weights in one block of a product


@node
class InputSpikes:
    """The input spikes of a presentation in order of time; only the first `n` entries are used."""

    step: Array  # int32[size], time step; n_steps in unused entries
    input: Array  # int32[size], index into `active`
    n: Array  # int32, number of spikes
    last: Array  # int32, time step of the last spike; -1 if there is none


def input_spikes_of(raster: Array) -> InputSpikes:
    """List the spikes of a raster, row by row.

    It goes through words of 32 bits, most of which are 0, bit by bit (thirty times as fast as `jnp.nonzero` on a CPU).

    Args:
        raster: bool[n_steps, n_active].

    Returns:
        The input spikes.
    """
    n_steps, n_active = raster.shape
    n_words = -(-n_active // WORD)
    bits = jnp.pad(raster, ((0, 0), (0, n_words * WORD - n_active))).reshape(-1, WORD).astype(jnp.uint32)
    words = jnp.sum(bits << jnp.arange(WORD, dtype=jnp.uint32), axis=1, dtype=jnp.uint32)

    def word(q, events):
        def lowest_bit(carry):
            events, left = carry
            i = jax.lax.population_count((left & -left) - jnp.uint32(1)).astype(jnp.int32)
            events = InputSpikes(
                step=events.step.at[events.n].set(q // n_words, mode="drop"),
                input=events.input.at[events.n].set(q % n_words * WORD + i, mode="drop"),
                n=events.n + 1,
                last=(q // n_words).astype(jnp.int32),
            )
            return events, left & (left - jnp.uint32(1))

        return jax.lax.while_loop(lambda carry: carry[1] != 0, lowest_bit, (events, words[q]))[0]

    size = -(-raster.size // CHUNK) * CHUNK
    none = InputSpikes(
        step=jnp.full(size, n_steps, jnp.int32),
        input=jnp.zeros(size, jnp.int32),
        n=jnp.zeros((), jnp.int32),
        last=jnp.full((), -1, jnp.int32),
    )
    return jax.lax.fori_loop(0, len(words), word, none)


def drives_of(network: CompetitiveNetwork, learned: Learned, events: InputSpikes, active: Array, n_steps: int) -> Array:
    """Sum the weights, clipped to their bounds, of the spikes that arrive in each step.

    Args:
        network: The network.
        learned: What it has learned before the presentation.
        events: The input spikes.
        active: Indices of the inputs, int32[n_active].
        n_steps: Number of time steps.

    Returns:
        The drives before gains, mV, float32[n_steps, n_neurons].
    """
    delay, rule = learned.delay, network.rule
    rows = network.longest_delay + 1

    def add(k, drives):
        i, t = active[events.input[k]], events.step[k] + 1
        w = jnp.clip(learned.weights[i], rule.w_min, rule.w_max)
        if delay is None:
            w = w[None]
        else:
            w = jnp.where(delay[i] == jnp.arange(rows, dtype=delay.dtype)[:, None], w, 0.0)
        part = jax.lax.dynamic_slice_in_dim(drives, t, rows)
        return jax.lax.dynamic_update_slice_in_dim(drives, part + w, t, axis=0)

    drives = jnp.zeros((n_steps + rows, network.n_neurons), learned.weights.dtype)
    return jax.lax.fori_loop(0, events.n, add, drives)[:n_steps]


def traces_of(rule: Rule, raster: Array, longest: int, dt: Array | float) -> Array:
    """Compute the presynaptic traces of all inputs after each step.

    Args:
        rule: The learning rule.
        raster: Input spikes, bool[n_steps, n_active].
        longest: Longest delay, in steps; the traces begin so many steps before the first one.
        dt: Time step, ms.

    Returns:
        float32[longest + n_steps, n_active].
    """

    def step(trace, spikes):
        trace = rule.pre_trace.step(trace, spikes, dt)
        return trace, trace

    return jax.lax.scan(step, jnp.zeros(raster.shape[1]), jnp.pad(raster, ((longest, 0), (0, 0))))[1]


def traces_at(traces: Array, t: Array, delay: Array | None, longest: int) -> Array:
    """Look up the presynaptic traces that delayed synapses see in one step.

    Args:
        traces: From `traces_of`.
        t: The step, int32[].
        delay: Delays in steps, [n, n_active]; None without delays.
        longest: Longest delay, in steps.

    Returns:
        [n, n_active], or [n_active] for all synapses where there are no delays.
    """
    if delay is None:
        return traces[t + longest]
    return traces[t + longest - delay.astype(int), jnp.arange(delay.shape[1])]


def product(left: Array, active: Array, weights: Array) -> Array:
    """Multiply by the weights of the active inputs: left @ weights[active].

    The product is computed in blocks of rows, as many as this presentation needs: most images have far fewer bright
    pixels than the brightest, and the weights of a large network are not copied.

    Args:
        left: [m, n_active].
        active: Indices of the inputs in ascending order, int32[n_active]; n_input marks an unused place.
        weights: [n_input, n_neurons].

    Returns:
        [m, n_neurons].
    """
    n_input, n_neurons = weights.shape
    size = -(-left.shape[1] // ROWS) * ROWS
    left = jnp.pad(left, ((0, 0), (0, size - left.shape[1])))
    active = jnp.pad(active, (0, size - active.shape[0]), constant_values=n_input)

    def add(block, total):
        rows = jax.lax.dynamic_slice(active, (block * ROWS,), (ROWS,))
        part = jax.lax.dynamic_slice(left, (0, block * ROWS), (left.shape[0], ROWS))
        return total + part @ weights.at[rows].get(mode="fill", fill_value=0.0)

    n_blocks = -(-jnp.sum(active < n_input) // ROWS)
    return jax.lax.fori_loop(0, n_blocks, add, jnp.zeros((left.shape[0], n_neurons), weights.dtype))
