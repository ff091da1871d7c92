"""The ahead engine: online learning of any network, the drives of all neurons computed ahead of the steps.

It computes what `jsnn.engines.dense` defines, for one presentation at a time. A neuron's weights change only once it
has fired, so the drives of a presentation follow from its input spikes and the weights it starts with, spike by spike,
but for the few *touched* neurons that fire in it. Their columns are carried in slots. Where the rule learns at
postsynaptic spikes alone, the rest of a touched neuron's drive is computed again at each of its spikes; otherwise its
weights may change in every step, and so each step has a small product of its own.

Every membrane takes every step, whatever neuron, synapse and inhibition do there: it is the engine for conductances,
which nothing can coast through, and for delays. Only when the last input has arrived, and no membrane can reach its
threshold any more, are the steps left out that remain: most of an image's rest. A presentation in which more than
`capacity` neurons fire is left to another engine, whole.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Settling, State
from jsnn.core.pytree import node
from jsnn.engines import Online, plasticity
from jsnn.engines.arrivals import CHUNK, drives_of, events_of, traces_at, traces_of
from jsnn.engines.columns import SLACK, if_it, moves_silent, restless, settled, unsettled_columns
from jsnn.engines.dense import Dense
from jsnn.engines.frozen import frozen
from jsnn.engines.plasticity import PostTraces
from jsnn.networks.competitive import CompetitiveNetwork, Learned

PIECE = 50  # steps, at most, after which it is looked whether anything can happen any more


@node
class Touched:
    """The neurons that have fired, in slots, of which `n` are in use."""

    index: Array  # int32[capacity]; n_neurons in a free slot
    n: Array  # int32; more than there are slots: the presentation does not fit
    gains: Array  # of the drives, [capacity]
    weights: Array  # mV, [capacity, n_active]
    delay: Array | None  # uint8[capacity, n_active], steps
    post: PostTraces  # [capacity]
    spikes: Array  # bool[1, capacity + 1], of the step before; the last one is a neuron that has not fired
    counts: Array  # [capacity]
    at_first: Array  # bool[capacity], whether they have fired in the first step
    drive: Array | None  # [n_steps, capacity], of the steps to come; None if every step has its own product


@dataclasses.dataclass(frozen=True)
class Ahead(Online):
    """The engine of this module. `capacity`: the most neurons that fire in a presentation; `larger`: the engine for
    those that do not fit.
    """

    capacity: int = 16
    larger: Online = Dense()

    def start(self, network: CompetitiveNetwork, learned: Learned) -> Array:
        """Whether the bounds or the normalisation would move a column that does not fire."""
        return jnp.any(unsettled_columns(network, learned.weights))

    def present(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        memo: Array,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, Array, Array]:
        """See `jsnn.engines.Engine`; the batch is one."""
        touched, theta = self.attempt(network, learned, spikes[0], active[0], valid[0], dt, keys[0])
        fits = touched.n <= self.capacity
        index = jnp.where(fits, touched.index, network.n_neurons)
        counts = jnp.zeros(network.n_neurons).at[index].set(touched.counts, mode="drop")
        columns = learned.weights.at[:, index].get(mode="fill", fill_value=0.0)
        columns = settled(network.rule, columns, touched.weights, active[0], touched.counts, touched.at_first)
        columns = network.normalise(columns)
        weights = learned.weights.at[:, index].set(columns, mode="drop")

        def settle(carry):
            whole = network.normalise(jnp.clip(learned.weights, network.rule.w_min, network.rule.w_max))
            whole = whole.at[:, index].set(columns, mode="drop")
            return jnp.array(False), whole, jnp.any(unsettled_columns(network, whole))

        # Loops of one turn at most: a `cond` would copy the weights, here and in every presentation.
        moved = jnp.any(unsettled_columns(network, columns))
        _, weights, unsettled = jax.lax.while_loop(lambda c: c[0], settle, (memo & fits, weights, moved))
        rested = network.homeostasis(learned, theta, counts, valid[0], spikes.shape[1] * dt)
        after = dataclasses.replace(if_it(fits, rested, learned), weights=weights)

        def in_full(carry):
            before = self.larger.start(network, carry[1])
            learned, _, counts = self.larger.present(network, carry[1], before, spikes, active, valid, dt, keys)
            return jnp.array(True), learned, self.start(network, learned), counts

        carry = fits, after, unsettled, counts[None]
        return jax.lax.while_loop(lambda carry: ~carry[0], in_full, carry)[1:]

    def respond(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """See `jsnn.engines.Responder`: nothing is touched."""
        still, n_steps = frozen(network, -jnp.inf), spikes.shape[1]

        def one(presentation):
            raster, active, key = presentation
            events = events_of(raster)
            drives = network.gains(learned) * drives_of(still, learned, events, active, n_steps)

            def step(carry, inputs):
                fast, counts = carry
                drive, chance = inputs
                fast, _, _ = still.step(fast, drive[None], learned.theta, dt, chance)
                return (fast, counts + fast.spikes[0]), ()

            def quiet(carry):
                return at_rest(still, (carry[0].neuron, carry[0].synapse), learned.theta, dt)

            start, xs = (still.reset(1), jnp.zeros(network.n_neurons)), (drives, still.chance(key, n_steps, 1))
            return steps(step, start, xs, events.last + 1 + network.longest_delay, quiet)[0][1]

        return jax.lax.map(one, (spikes, active, keys))

    def attempt(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        raster: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> tuple[Touched, Array]:
        """Present `raster` bool[n_steps, n_active], as far as there are slots for it: the touched neurons at its end,
        and theta [n_neurons].
        """
        n_steps, n_active = raster.shape
        n_neurons, capacity = network.n_neurons, self.capacity
        rule, adaptation, dtype = network.rule, network.neuron.adaptation, learned.weights.dtype
        gains = jnp.broadcast_to(network.gains(learned), (n_neurons,))
        raster = raster & valid
        events = events_of(raster)
        drives = gains * drives_of(network, learned, events, active, n_steps)
        traces = traces_of(rule, raster, network.longest_delay, dt)

        def decayed(theta: Array, n: Array | int) -> Array:
            if adaptation is None or adaptation.clock != "step":
                return theta
            decay = adaptation.decay_step
            return jax.lax.fori_loop(0, n, lambda _, theta: decay(theta, dt), theta)

        def column(x: Array, j: Array) -> Array:
            return x.at[active, j].get(mode="fill", fill_value=0)

        def touch(touched: Touched, new: Array, t: Array) -> Touched:
            """Slots for the neurons in `new` (bool[n_neurons]), who fire in step t for the first time. After the first
            step of all, weights are within their bounds.
            """

            def one(carry):
                touched, new = carry
                j, k = jnp.argmax(new).astype(jnp.int32), touched.n
                delay = touched.delay
                if delay is not None and learned.delay is not None:
                    delay = delay.at[k].set(column(learned.delay, j), mode="drop")
                w = column(learned.weights, j)
                w = jnp.where(t == 0, w, jnp.clip(w, rule.w_min, rule.w_max))
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

                row = jax.lax.fori_loop(0, -(-events.n // CHUNK), add, jnp.zeros(n_steps, dtype))
                return drive.at[:, k].set(touched.gains[k] * row), left.at[k].set(False)

            drive = jax.lax.while_loop(lambda c: jnp.any(c[1]), one, (touched.drive, spikes))[0]
            return dataclasses.replace(touched, drive=drive)

        def learn(touched: Touched, fired: Array, arrived: Array, t: Array) -> Touched:
            """The slots after step t, in which the neurons in `fired` (bool[n_neurons]) do, and learn."""
            known = jnp.zeros(n_neurons, bool).at[touched.index].set(True, mode="drop")
            touched = touch(touched, fired & ~known, t)
            spikes = fired.at[touched.index].get(mode="fill", fill_value=False)
            post, size = plasticity.after(rule, touched.post, spikes, dt)
            w = touched.weights
            dw = size[:, None] * rule.on_post(w, traces_at(traces, t, touched.delay, network.longest_delay), 0.0)
            if post.fast is not None:
                dw = dw + jnp.where(reached(arrived, touched), rule.on_pre(w, 0.0, post.fast[:, None]), 0.0)
            touched = dataclasses.replace(
                touched,
                weights=jnp.clip(w + dw, rule.w_min, rule.w_max),
                post=post,
                spikes=jnp.pad(spikes, (0, 1))[None],
                counts=touched.counts + spikes,
                at_first=touched.at_first | (spikes & (t == 0)),
            )
            return touched if touched.drive is None else foresee(touched, spikes)

        def wait(touched: Touched, arrived: Array, really: Array) -> Touched:
            """The slots after a step without a spike, if it `really` (bool) is one: otherwise `learn` follows."""
            post, _ = plasticity.after(rule, touched.post, jnp.zeros(capacity, bool), dt)
            post = jax.tree.map(lambda new, old: jnp.where(really, new, old), post, touched.post)
            touched = dataclasses.replace(touched, post=post, spikes=jnp.zeros_like(touched.spikes))
            if post.fast is None:
                return touched
            w = touched.weights
            lower = jnp.clip(w + rule.on_pre(w, 0.0, post.fast[:, None]), rule.w_min, rule.w_max)
            return dataclasses.replace(touched, weights=jnp.where(reached(arrived, touched) & really, lower, w))

        def step(carry, inputs):
            layer, inhibition, theta, touched, recent = carry
            drive, s_pre, t, chance = inputs
            if adaptation is not None:
                theta = adaptation.decay_step(theta, dt)
            if touched.drive is None:
                own = touched.gains * jnp.sum(jnp.where(reached(recent, touched), touched.weights, 0.0), axis=1)
            else:
                own = jax.lax.dynamic_index_in_dim(touched.drive, t, 0, keepdims=False)
            drive = drive.at[touched.index].set(own, mode="drop")
            inhibition, current = network.inhibition.step(inhibition, touched.spikes, dt)
            lateral = jnp.broadcast_to(current[:, -1:], (1, n_neurons))
            lateral = lateral.at[0, touched.index].set(current[0, :-1], mode="drop")
            layer, spikes, was_reset, _ = network.move(layer, drive[None], lateral, theta, dt, chance)
            fired, was_reset = spikes[0] & valid, was_reset[0] & valid
            recent = recent << 1 | s_pre.astype(jnp.uint32)
            happened = jnp.any(was_reset)
            touched = wait(touched, recent, ~happened)

            # A loop of one turn at most: a `cond` would copy the slots in every step.
            def happens(carry):
                _, touched, theta = carry
                if adaptation is not None:
                    theta = theta + adaptation.theta_plus * was_reset
                return ~happened, learn(touched, fired, recent, t), theta

            _, touched, theta = jax.lax.while_loop(lambda c: c[0], happens, (happened, touched, theta))
            return (layer, inhibition, theta, touched, recent), ()

        pre_events, slots = rule.post_trace is not None, (capacity, n_active)
        touched = Touched(
            index=jnp.full(capacity, n_neurons, jnp.int32),
            n=jnp.zeros((), jnp.int32),
            gains=jnp.zeros(capacity, dtype),
            weights=jnp.zeros(slots, dtype),
            delay=None if learned.delay is None else jnp.zeros(slots, learned.delay.dtype),
            post=plasticity.at_rest(rule, (capacity,)),
            spikes=jnp.zeros((1, capacity + 1), bool),
            counts=jnp.zeros(capacity),
            at_first=jnp.zeros(capacity, bool),
            drive=None if pre_events else jnp.zeros((n_steps, capacity), dtype),
        )
        fast = network.reset(1)
        inhibition = network.inhibition.init((1, capacity + 1))
        recent = jnp.zeros(n_active, jnp.uint32)
        carry: Any = (fast.neuron, fast.synapse), inhibition, learned.theta, touched, recent
        xs = drives, raster, jnp.arange(n_steps), network.chance(key, n_steps, 1)

        def quiet(carry):
            layer, _, theta, *_ = carry
            return at_rest(network, layer, decayed(theta, n_steps), dt)

        carry, n = steps(step, carry, xs, events.last + 1 + network.longest_delay, quiet)
        _, _, theta, touched, _ = carry
        return touched, decayed(theta, n_steps - n)


def refusal(network: CompetitiveNetwork) -> str | None:
    """Why this engine cannot train a network, in a line; None if it can."""
    return moves_silent(network) or restless(network)


def steps(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, last: Array, quiet: Callable[[Any], Array]
) -> tuple[Any, Array]:
    """`lax.scan`, until after the step `last` nothing can happen any more: the carry, and how many steps there were."""
    n_steps = len(jax.tree.leaves(xs)[0])
    length = max(n for n in range(1, PIECE + 1) if n_steps % n == 0)

    def more(state):
        n, carry = state
        return (n < n_steps) & ((n <= last) | ~quiet(carry))

    def piece(state):
        n, carry = state
        some = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, n, length), xs)
        return n + length, jax.lax.scan(step, carry, some)[0]

    n, carry = jax.lax.while_loop(more, piece, (jnp.zeros((), jnp.int32), carry))
    return carry, n


def at_rest(network: CompetitiveNetwork, layer: tuple[State, State], theta: Array, dt: Array | float) -> Array:
    """Whether no neuron can fire any more if nothing arrives and no threshold sinks below `theta`; False if it cannot
    be told.
    """
    neuron, synapse = layer
    if not isinstance(network.neuron, Settling):
        return jnp.array(False)
    charge = network.synapse.charge(synapse, neuron.v, dt)
    peak = network.neuron.peak(neuron, charge, dt)
    return jnp.all(peak + SLACK < network.neuron.v_threshold + theta)


def reached(recent: Array, touched: Touched) -> Array:
    """Which input spikes reach the touched neurons now: bool[capacity, n_active]. Bit k of `recent` uint32[n_active]
    is whether the input fired k steps ago.
    """
    ago = jnp.zeros((), jnp.uint32) if touched.delay is None else touched.delay.astype(jnp.uint32)
    return jnp.broadcast_to((recent >> ago) & 1 != 0, touched.weights.shape)
