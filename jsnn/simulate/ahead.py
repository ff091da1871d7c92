"""The ahead engine: online learning of any network, the drives of all neurons computed ahead of the steps.

It computes what `jsnn.simulate.dense` defines, for one presentation at a time. A neuron's weights change only once it
has fired, so the drives of a presentation follow from its input spikes and the weights it starts with, spike by spike,
but for the few *touched* neurons that fire in it. Their columns are carried in slots. Where the rule learns at
postsynaptic spikes alone, the rest of a touched neuron's drive is computed again at each of its spikes; otherwise its
weights may change in every step, and so each step has a small product of its own.

Every membrane takes every step, whatever neuron, synapse and inhibition do there: it is the engine for conductances,
which nothing can coast through, and for delays. A presentation in which more than `capacity` neurons fire is left to
another engine, whole.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.network import Learned, Network
from jsnn.pytree import node
from jsnn.simulate import Online, plasticity
from jsnn.simulate.dense import Dense
from jsnn.simulate.event import unsettled_columns
from jsnn.simulate.frozen import Frozen, frozen
from jsnn.simulate.plasticity import PostTraces

CHUNK = 256  # input spikes that are added up at once
WORD = 32  # bits


@node
class Events:
    """The input spikes of a presentation, in order of time: `n` of them, in arrays that end in a chunk of others."""

    step: Array  # int32[size]; of the others: beyond the presentation
    input: Array  # int32[size], places in `active`
    n: Array  # int32


@node
class Touched:
    """The neurons that have fired, in slots, of which `n` are in use."""

    index: Array  # int32[capacity]; n_neurons in a free slot
    n: Array  # int32; more than there are slots: the presentation does not fit
    gains: Array  # of the drives, [capacity]
    weights: Array  # mV, [capacity, n_active]
    delay: Array | None  # uint8[capacity, n_active], steps
    post: PostTraces  # [capacity]
    arrived: Array | None  # bool[capacity, n_active]: input spikes of the step before; None if the rule ignores them
    drive: Array | None  # [n_steps, capacity], of the steps to come; None if every step has its own product


@dataclasses.dataclass(frozen=True)
class Ahead(Online):
    """The engine of this module. `capacity`: the most neurons that fire in a presentation; `larger`: the engine for
    those that do not fit.
    """

    capacity: int = 16
    larger: Online = Dense()

    def start(self, network: Network, learned: Learned) -> Array:
        """Whether the bounds or the normalisation would move a column that does not fire."""
        return jnp.any(unsettled_columns(network, learned.weights))

    def present(
        self,
        network: Network,
        learned: Learned,
        memo: Array,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, Array, Array]:
        """See `jsnn.simulate.Engine`; the batch is one."""
        rule, adaptation = network.rule, network.neuron.adaptation
        touched, theta, counts = self.attempt(network, learned, spikes[0], active[0], valid[0], dt, keys[0])
        fits = touched.n <= self.capacity
        index = jnp.where(fits, touched.index, network.n_neurons)
        columns = jnp.clip(learned.weights.at[:, index].get(mode="fill", fill_value=0.0), rule.w_min, rule.w_max)
        if rule.unpaired:
            columns = plasticity.unheard(rule, columns, counts.at[index].get(mode="fill", fill_value=0.0))
        columns = columns.at[active[0]].set(touched.weights.T, mode="drop")
        weights = learned.weights.at[:, index].set(network.normalise(columns), mode="drop")

        def settle(carry):
            w = jnp.clip(learned.weights, rule.w_min, rule.w_max).at[:, index].set(columns, mode="drop")
            w = network.normalise(w)
            return jnp.array(False), w, jnp.any(unsettled_columns(network, w))

        # Loops of one turn at most: a `cond` would copy the weights, here and in every presentation.
        moved = jnp.any(unsettled_columns(network, network.normalise(columns)))
        _, weights, unsettled = jax.lax.while_loop(lambda c: c[0], settle, (memo & fits, weights, moved))
        if adaptation is not None:
            theta = adaptation.decay_presentations(theta, valid[0].astype(theta.dtype), spikes.shape[1] * dt)
        theta = jnp.where(fits, theta, learned.theta)
        scale = network.rescaled(learned.scale, counts, valid[0].astype(theta.dtype))
        scale = jax.tree.map(lambda new, old: jnp.where(fits, new, old), scale, learned.scale)
        after = dataclasses.replace(learned, weights=weights, theta=theta, scale=scale)

        def in_full(carry):
            before = self.larger.start(network, carry[1])
            learned, _, counts = self.larger.present(network, carry[1], before, spikes, active, valid, dt, keys)
            return jnp.array(True), learned, self.start(network, learned), counts

        carry = fits, after, unsettled, counts[None]
        return jax.lax.while_loop(lambda carry: ~carry[0], in_full, carry)[1:]

    def respond(
        self,
        network: Network,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """See `jsnn.simulate.Responder`: no neuron needs a slot."""
        still = frozen(network, -jnp.inf)

        def one(presentation):
            raster, active, key = presentation
            return self.attempt(still, learned, raster, active, jnp.array(True), dt, key)[2]

        return jax.lax.map(one, (spikes, active, keys))

    def attempt(
        self,
        network: Network,
        learned: Learned,
        raster: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> tuple[Touched, Array, Array]:
        """Present `raster` bool[n_steps, n_active], as far as there are slots for it: the touched neurons at its end,
        theta, and the counts, each [n_neurons].
        """
        n_steps, n_active = raster.shape
        n_neurons, capacity = network.n_neurons, self.capacity
        rule, adaptation, dtype = network.rule, network.neuron.adaptation, learned.weights.dtype
        raster = raster & valid
        gains = jnp.broadcast_to(network.gains(learned), (n_neurons,))
        learning = not isinstance(rule, Frozen)
        pre_events = learning and rule.post_trace is not None
        events = events_of(raster)
        drives = gains * drives_of(network, learned, raster, events, active)
        longest = network.longest_delay
        before = jnp.zeros((longest, n_active), bool)
        history = jnp.concatenate([before, raster])  # of the input spikes, so that a delay never leads out of it
        traces = jnp.zeros(())
        if learning:
            start = jnp.zeros(n_active, dtype)

            def later(trace, spikes):
                trace = rule.pre_trace.step(trace, spikes, dt)
                return trace, trace

            traces = jax.lax.scan(later, start, history)[1]

        def seen(past: Array, t: Array, delay: Array | None) -> Array:
            """What has reached the touched neurons by step t of a `past` [longest + n_steps, n_active]:
            [capacity, n_active], or [n_active] for all of them.
            """
            return past[t + longest] if delay is None else past[t + longest - delay.astype(int), jnp.arange(n_active)]

        def column(x: Array, j: Array) -> Array:
            return x.at[active, j].get(mode="fill", fill_value=0)

        def touch(touched: Touched, new: Array) -> Touched:
            """Slots for the neurons in `new` (bool[n_neurons])."""

            def one(carry):
                touched, new = carry
                j, k = jnp.argmax(new).astype(jnp.int32), touched.n
                w = jnp.clip(column(learned.weights, j), rule.w_min, rule.w_max)
                delay = touched.delay
                if delay is not None and learned.delay is not None:
                    delay = delay.at[k].set(column(learned.delay, j), mode="drop")
                touched = dataclasses.replace(
                    touched,
                    index=touched.index.at[k].set(j, mode="drop"),
                    n=k + 1,
                    gains=touched.gains.at[k].set(gains[j], mode="drop"),
                    weights=touched.weights.at[k].set(w, mode="drop"),
                    delay=delay,
                )
                return touched, new.at[j].set(False)

            return jax.lax.while_loop(lambda c: jnp.any(c[1]) & (c[0].n <= capacity), one, (touched, new))[0]

        def foresee(touched: Touched, spikes: Array) -> Touched:
            """The drives of the neurons in `spikes` (bool[capacity]), from their weights as they are now."""

            def one(carry):
                drive, left = carry
                k = jnp.argmax(left)
                weights = touched.weights[k]

                def add(chunk, row):
                    first = chunk * CHUNK
                    i, sent = (jax.lax.dynamic_slice_in_dim(x, first, CHUNK) for x in (events.input, events.step))
                    arrives = sent + 1 + (0 if touched.delay is None else touched.delay[k][i])
                    return row.at[arrives].add(weights[i], mode="drop")

                n_chunks = -(-events.n // CHUNK)
                row = jax.lax.fori_loop(0, n_chunks, add, jnp.zeros(n_steps, dtype))
                return drive.at[:, k].set(touched.gains[k] * row), left.at[k].set(False)

            drive = jax.lax.while_loop(lambda c: jnp.any(c[1]), one, (touched.drive, spikes))[0]
            return dataclasses.replace(touched, drive=drive)

        def spike(touched: Touched, fired: Array, t: Array) -> Touched:
            """The slots after step t, in which the neurons in `fired` (bool[n_neurons]) do."""
            known = jnp.zeros(n_neurons, bool).at[touched.index].set(True, mode="drop")
            touched = touch(touched, fired & ~known)
            spikes = fired.at[touched.index].get(mode="fill", fill_value=False)
            post, size = plasticity.after(rule, touched.post, spikes, dt)
            w, arrived = touched.weights, touched.arrived
            dw = size[:, None] * rule.on_post(w, seen(traces, t, touched.delay), 0.0)
            if pre_events and post.fast is not None:
                arrived = jnp.broadcast_to(seen(history, t, touched.delay), w.shape)
                dw = dw + jnp.where(arrived, rule.on_pre(w, 0.0, post.fast[:, None]), 0.0)
            w = jnp.clip(w + dw, rule.w_min, rule.w_max)
            touched = dataclasses.replace(touched, weights=w, post=post, arrived=arrived)
            return touched if touched.drive is None else foresee(touched, spikes)

        def quiet(touched: Touched, t: Array, really: Array) -> Touched:
            """The slots after step t without a spike, if it `really` (bool) has none."""
            post, _ = plasticity.after(rule, touched.post, jnp.zeros(capacity, bool), dt)
            post = jax.tree.map(lambda new, old: jnp.where(really, new, old), post, touched.post)
            if not pre_events or post.fast is None:
                return dataclasses.replace(touched, post=post)
            w = touched.weights
            arrived = jnp.broadcast_to(seen(history, t, touched.delay), w.shape)
            after = jnp.clip(w + rule.on_pre(w, 0.0, post.fast[:, None]), rule.w_min, rule.w_max)
            w = jnp.where(arrived & really, after, w)
            return dataclasses.replace(touched, weights=w, post=post, arrived=arrived)

        def step(carry, inputs):
            fast, theta, touched, counts = carry
            drive, t, chance = inputs
            if adaptation is not None:
                theta = adaptation.decay_step(theta, dt)
            if learning:
                if touched.drive is not None:
                    own = jax.lax.dynamic_index_in_dim(touched.drive, t, 0, keepdims=False)
                else:
                    own = touched.gains * jnp.sum(jnp.where(touched.arrived, touched.weights, 0.0), axis=1)
                drive = drive.at[touched.index].set(own, mode="drop")
            fast, was_reset = network.step(fast, drive[None], theta, dt, chance)
            fast = dataclasses.replace(fast, spikes=fast.spikes & valid)
            fired = fast.spikes[0]
            if adaptation is not None:
                theta = theta + adaptation.theta_plus * (was_reset[0] & valid)
            if learning:
                spiked = jnp.any(fired)
                touched = quiet(touched, t, ~spiked)
                # A loop of one turn at most: a `cond` would copy the slots in every step.
                once = spiked, touched
                _, touched = jax.lax.while_loop(lambda c: c[0], lambda c: (~c[0], spike(c[1], fired, t)), once)
            return (fast, theta, touched, counts + fired), ()

        slots = (capacity, n_active)
        touched = Touched(
            index=jnp.full(capacity, n_neurons, jnp.int32),
            n=jnp.zeros((), jnp.int32),
            gains=jnp.zeros(capacity, dtype),
            weights=jnp.zeros(slots, dtype),
            delay=None if learned.delay is None else jnp.zeros(slots, learned.delay.dtype),
            post=plasticity.at_rest(rule, (capacity,)),
            arrived=jnp.zeros(slots, bool) if pre_events else None,
            drive=None if pre_events else jnp.zeros((n_steps, capacity), dtype),
        )
        carry: Any = network.reset(1), learned.theta, touched, jnp.zeros(n_neurons)
        xs = drives, jnp.arange(n_steps), network.chance(key, n_steps, 1)
        (_, theta, touched, counts), _ = jax.lax.scan(step, carry, xs)
        return touched, theta, counts


def events_of(raster: Array) -> Events:
    """The spikes of `raster` bool[n_steps, n_active], row by row: bit by bit of words of 32 of them, most of which are
    0 (thirty times as fast as `jnp.nonzero` on a CPU).
    """
    n_steps, n_active = raster.shape
    n_words = -(-n_active // WORD)
    bits = jnp.pad(raster, ((0, 0), (0, n_words * WORD - n_active))).reshape(-1, WORD).astype(jnp.uint32)
    words = jnp.sum(bits << jnp.arange(WORD, dtype=jnp.uint32), axis=1, dtype=jnp.uint32)

    def word(q, events):
        def lowest_bit(carry):
            events, left = carry
            i = jax.lax.population_count((left & -left) - jnp.uint32(1)).astype(jnp.int32)
            events = Events(
                step=events.step.at[events.n].set(q // n_words, mode="drop"),
                input=events.input.at[events.n].set(q % n_words * WORD + i, mode="drop"),
                n=events.n + 1,
            )
            return events, left & (left - jnp.uint32(1))

        return jax.lax.while_loop(lambda carry: carry[1] != 0, lowest_bit, (events, words[q]))[0]

    size = -(-raster.size // CHUNK) * CHUNK
    none = Events(step=jnp.full(size, n_steps, jnp.int32), input=jnp.zeros(size, jnp.int32), n=jnp.zeros((), jnp.int32))
    return jax.lax.fori_loop(0, len(words), word, none)


def drives_of(network: Network, learned: Learned, raster: Array, events: Events, active: Array) -> Array:
    """The sum of the weights, within their bounds, whose spikes arrive in each step: `float32[n_steps, n_neurons]`."""
    n_steps, longest = raster.shape[0], network.longest_delay
    delay, rule = learned.delay, network.rule
    rows = longest + 1

    def add(k, drives):
        i, t = active[events.input[k]], events.step[k] + 1
        w = jnp.clip(learned.weights[i], rule.w_min, rule.w_max)
        if delay is None:
            w = w[None]
        else:
            w = jnp.where(delay[i] == jnp.arange(rows, dtype=delay.dtype)[:, None], w, 0.0)
        some = jax.lax.dynamic_slice_in_dim(drives, t, rows)
        return jax.lax.dynamic_update_slice_in_dim(drives, some + w, t, axis=0)

    drives = jnp.zeros((n_steps + rows, network.n_neurons), learned.weights.dtype)
    return jax.lax.fori_loop(0, events.n, add, drives)[:n_steps]
