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

from jsnn.core.protocols import BoundedPotential, State
from jsnn.core.pytree import node
from jsnn.engines import Online, plasticity
from jsnn.engines.arrivals import CHUNK, drives_of, input_spikes_of, traces_at, traces_of
from jsnn.engines.columns import (
    SLACK,
    apply_bounds,
    changes_silent_neurons,
    columns_to_correct,
    inhibits_without_spikes,
    select_if,
)
from jsnn.engines.dense import Dense
from jsnn.engines.frozen import frozen
from jsnn.engines.plasticity import PostTraces
from jsnn.networks.competitive import CompetitiveNetwork, Learned

SEGMENT = 50  # steps, at most, after which it is looked whether anything can happen any more


@node
class ActiveSet:
    """The neurons that have fired, in slots, of which `n` are in use."""

    index: Array  # int32[capacity]; n_neurons in a free slot
    n: Array  # int32; more than there are slots: the presentation does not fit
    gains: Array  # of the drives, [capacity]
    weights: Array  # mV, [capacity, n_active]
    delay: Array | None  # uint8[capacity, n_active], steps
    post: PostTraces  # [capacity]
    spikes: Array  # bool[1, capacity + 1], of the step before; the last one is a neuron that has not fired
    counts: Array  # [capacity]
    in_first_step: Array  # bool[capacity], whether they have fired in the first step
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
        return jnp.any(columns_to_correct(network, learned.weights))

    def present(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        engine_state: Array,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, Array, Array]:
        """See `jsnn.engines.Engine`; the batch is one."""
        active_set, theta = self.simulate(network, learned, spikes[0], active[0], valid[0], dt, keys[0])
        fits = active_set.n <= self.capacity
        index = jnp.where(fits, active_set.index, network.n_neurons)
        counts = jnp.zeros(network.n_neurons).at[index].set(active_set.counts, mode="drop")
        columns = learned.weights.at[:, index].get(mode="fill", fill_value=0.0)
        columns = apply_bounds(
            network.rule, columns, active_set.weights, active[0], active_set.counts, active_set.in_first_step
        )
        columns = network.normalise(columns)
        weights = learned.weights.at[:, index].set(columns, mode="drop")

        def settle(carry):
            whole = network.normalise(jnp.clip(learned.weights, network.rule.w_min, network.rule.w_max))
            whole = whole.at[:, index].set(columns, mode="drop")
            return jnp.array(False), whole, jnp.any(columns_to_correct(network, whole))

        # Loops of one turn at most: a `cond` would copy the weights, here and in every presentation.
        moved = jnp.any(columns_to_correct(network, columns))
        _, weights, unsettled = jax.lax.while_loop(lambda c: c[0], settle, (engine_state & fits, weights, moved))
        rested = network.homeostasis(learned, theta, counts, valid[0], spikes.shape[1] * dt)
        after = dataclasses.replace(select_if(fits, rested, learned), weights=weights)

        def fallback(carry):
            before = self.larger.start(network, carry[1])
            learned, _, counts = self.larger.present(network, carry[1], before, spikes, active, valid, dt, keys)
            return jnp.array(True), learned, self.start(network, learned), counts

        carry = fits, after, unsettled, counts[None]
        return jax.lax.while_loop(lambda carry: ~carry[0], fallback, carry)[1:]

    def infer(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        spikes: Array,
        active: Array,
        dt: Array | float,
        keys: Array,
    ) -> Array:
        """See `jsnn.engines.InferenceEngine`: nothing is touched."""
        frozen_network, n_steps = frozen(network, -jnp.inf), spikes.shape[1]

        def one(presentation):
            raster, active, key = presentation
            events = input_spikes_of(raster)
            drives = network.gains(learned) * drives_of(frozen_network, learned, events, active, n_steps)

            def step(carry, inputs):
                fast, counts = carry
                drive, draws = inputs
                fast, _, _ = frozen_network.step(fast, drive[None], learned.theta, dt, draws)
                return (fast, counts + fast.spikes[0]), ()

            def quiet(carry):
                return cannot_fire(frozen_network, (carry[0].neuron, carry[0].synapse), learned.theta, dt)

            start, xs = (
                (frozen_network.reset(1), jnp.zeros(network.n_neurons)),
                (drives, frozen_network.draws(key, n_steps, 1)),
            )
            return scan_until_quiet(step, start, xs, events.last + 1 + network.longest_delay, quiet)[0][1]

        return jax.lax.map(one, (spikes, active, keys))

    def simulate(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        raster: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> tuple[ActiveSet, Array]:
        """Present `raster` bool[n_steps, n_active], as far as there are slots for it: the touched neurons at its end,
        and theta [n_neurons].
        """
        n_steps, n_active = raster.shape
        n_neurons, capacity = network.n_neurons, self.capacity
        rule, adaptation, dtype = network.rule, network.neuron.adaptation, learned.weights.dtype
        gains = jnp.broadcast_to(network.gains(learned), (n_neurons,))
        raster = raster & valid
        events = input_spikes_of(raster)
        drives = gains * drives_of(network, learned, events, active, n_steps)
        traces = traces_of(rule, raster, network.longest_delay, dt)

        def decay_theta(theta: Array, n: Array | int) -> Array:
            if adaptation is None or adaptation.clock != "step":
                return theta
            decay = adaptation.decay_step
            return jax.lax.fori_loop(0, n, lambda _, theta: decay(theta, dt), theta)

        def column(x: Array, j: Array) -> Array:
            return x.at[active, j].get(mode="fill", fill_value=0)

        def activate(active_set: ActiveSet, new: Array, t: Array) -> ActiveSet:
            """Slots for the neurons in `new` (bool[n_neurons]), who fire in step t for the first time. After the first
            step of all, weights are within their bounds.
            """

            def one(carry):
                active_set, new = carry
                j, k = jnp.argmax(new).astype(jnp.int32), active_set.n
                delay = active_set.delay
                if delay is not None and learned.delay is not None:
                    delay = delay.at[k].set(column(learned.delay, j), mode="drop")
                w = column(learned.weights, j)
                w = jnp.where(t == 0, w, jnp.clip(w, rule.w_min, rule.w_max))
                active_set = dataclasses.replace(
                    active_set,
                    index=active_set.index.at[k].set(j, mode="drop"),
                    n=k + 1,
                    gains=active_set.gains.at[k].set(gains[j], mode="drop"),
                    weights=active_set.weights.at[k].set(w, mode="drop"),
                    delay=delay,
                )
                return active_set, new.at[j].set(False)

            return jax.lax.while_loop(lambda c: jnp.any(c[1]) & (c[0].n <= capacity), one, (active_set, new))[0]

        def precompute_drive(active_set: ActiveSet, spikes: Array) -> ActiveSet:
            """The drives of the neurons in `spikes` (bool[capacity]), from their weights as they are now."""

            def one(carry):
                drive, left = carry
                k = jnp.argmax(left)
                weights = active_set.weights[k]

                def add(chunk, row):
                    first = chunk * CHUNK
                    i, sent = (jax.lax.dynamic_slice_in_dim(x, first, CHUNK) for x in (events.input, events.step))
                    arrives = sent + 1 + (0 if active_set.delay is None else active_set.delay[k][i])
                    return row.at[arrives].add(weights[i], mode="drop")

                row = jax.lax.fori_loop(0, -(-events.n // CHUNK), add, jnp.zeros(n_steps, dtype))
                return drive.at[:, k].set(active_set.gains[k] * row), left.at[k].set(False)

            drive = jax.lax.while_loop(lambda c: jnp.any(c[1]), one, (active_set.drive, spikes))[0]
            return dataclasses.replace(active_set, drive=drive)

        def learn(active_set: ActiveSet, fired: Array, arrived: Array, t: Array) -> ActiveSet:
            """The slots after step t, in which the neurons in `fired` (bool[n_neurons]) do, and learn."""
            known = jnp.zeros(n_neurons, bool).at[active_set.index].set(True, mode="drop")
            active_set = activate(active_set, fired & ~known, t)
            spikes = fired.at[active_set.index].get(mode="fill", fill_value=False)
            post, size = plasticity.update_traces(rule, active_set.post, spikes, dt)
            w = active_set.weights
            dw = size[:, None] * rule.on_post(w, traces_at(traces, t, active_set.delay, network.longest_delay), 0.0)
            if post.fast is not None:
                dw = dw + jnp.where(arriving(arrived, active_set), rule.on_pre(w, 0.0, post.fast[:, None]), 0.0)
            active_set = dataclasses.replace(
                active_set,
                weights=jnp.clip(w + dw, rule.w_min, rule.w_max),
                post=post,
                spikes=jnp.pad(spikes, (0, 1))[None],
                counts=active_set.counts + spikes,
                in_first_step=active_set.in_first_step | (spikes & (t == 0)),
            )
            return active_set if active_set.drive is None else precompute_drive(active_set, spikes)

        def decay(active_set: ActiveSet, arrived: Array, really: Array) -> ActiveSet:
            """The slots after a step without a spike, if it `really` (bool) is one: otherwise `learn` follows."""
            post, _ = plasticity.update_traces(rule, active_set.post, jnp.zeros(capacity, bool), dt)
            post = jax.tree.map(lambda new, old: jnp.where(really, new, old), post, active_set.post)
            active_set = dataclasses.replace(active_set, post=post, spikes=jnp.zeros_like(active_set.spikes))
            if post.fast is None:
                return active_set
            w = active_set.weights
            lower = jnp.clip(w + rule.on_pre(w, 0.0, post.fast[:, None]), rule.w_min, rule.w_max)
            return dataclasses.replace(active_set, weights=jnp.where(arriving(arrived, active_set) & really, lower, w))

        def step(carry, inputs):
            layer, inhibition, theta, active_set, recent = carry
            drive, s_pre, t, draws = inputs
            if adaptation is not None:
                theta = adaptation.decay_step(theta, dt)
            if active_set.drive is None:
                own = active_set.gains * jnp.sum(
                    jnp.where(arriving(recent, active_set), active_set.weights, 0.0), axis=1
                )
            else:
                own = jax.lax.dynamic_index_in_dim(active_set.drive, t, 0, keepdims=False)
            drive = drive.at[active_set.index].set(own, mode="drop")
            inhibition, current = network.inhibition.step(inhibition, active_set.spikes, dt)
            lateral = jnp.broadcast_to(current[:, -1:], (1, n_neurons))
            lateral = lateral.at[0, active_set.index].set(current[0, :-1], mode="drop")
            layer, spikes, was_reset, _ = network.move(layer, drive[None], lateral, theta, dt, draws)
            fired, was_reset = spikes[0] & valid, was_reset[0] & valid
            recent = recent << 1 | s_pre.astype(jnp.uint32)
            happened = jnp.any(was_reset)
            active_set = decay(active_set, recent, ~happened)

            # A loop of one turn at most: a `cond` would copy the slots in every step.
            def happens(carry):
                _, active_set, theta = carry
                if adaptation is not None:
                    theta = theta + adaptation.theta_plus * was_reset
                return ~happened, learn(active_set, fired, recent, t), theta

            _, active_set, theta = jax.lax.while_loop(lambda c: c[0], happens, (happened, active_set, theta))
            return (layer, inhibition, theta, active_set, recent), ()

        pre_events, slots = rule.post_trace is not None, (capacity, n_active)
        active_set = ActiveSet(
            index=jnp.full(capacity, n_neurons, jnp.int32),
            n=jnp.zeros((), jnp.int32),
            gains=jnp.zeros(capacity, dtype),
            weights=jnp.zeros(slots, dtype),
            delay=None if learned.delay is None else jnp.zeros(slots, learned.delay.dtype),
            post=plasticity.initial_traces(rule, (capacity,)),
            spikes=jnp.zeros((1, capacity + 1), bool),
            counts=jnp.zeros(capacity),
            in_first_step=jnp.zeros(capacity, bool),
            drive=None if pre_events else jnp.zeros((n_steps, capacity), dtype),
        )
        fast = network.reset(1)
        inhibition = network.inhibition.init((1, capacity + 1))
        recent = jnp.zeros(n_active, jnp.uint32)
        carry: Any = (fast.neuron, fast.synapse), inhibition, learned.theta, active_set, recent
        xs = drives, raster, jnp.arange(n_steps), network.draws(key, n_steps, 1)

        def quiet(carry):
            layer, _, theta, *_ = carry
            return cannot_fire(network, layer, decay_theta(theta, n_steps), dt)

        carry, n = scan_until_quiet(step, carry, xs, events.last + 1 + network.longest_delay, quiet)
        _, _, theta, active_set, _ = carry
        return active_set, decay_theta(theta, n_steps - n)


def refusal(network: CompetitiveNetwork) -> str | None:
    """Why this engine cannot train a network, in a line; None if it can."""
    return changes_silent_neurons(network) or inhibits_without_spikes(network)


def scan_until_quiet(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, last: Array, quiet: Callable[[Any], Array]
) -> tuple[Any, Array]:
    """`lax.scan`, until after the step `last` nothing can happen any more: the carry, and how many steps there were."""
    n_steps = len(jax.tree.leaves(xs)[0])
    length = max(n for n in range(1, SEGMENT + 1) if n_steps % n == 0)

    def more(state):
        n, carry = state
        return (n < n_steps) & ((n <= last) | ~quiet(carry))

    def segment(state):
        n, carry = state
        some = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, n, length), xs)
        return n + length, jax.lax.scan(step, carry, some)[0]

    n, carry = jax.lax.while_loop(more, segment, (jnp.zeros((), jnp.int32), carry))
    return carry, n


def cannot_fire(network: CompetitiveNetwork, layer: tuple[State, State], theta: Array, dt: Array | float) -> Array:
    """Whether no neuron can fire any more if nothing arrives and no threshold sinks below `theta`; False if it cannot
    be told.
    """
    neuron, synapse = layer
    if not isinstance(network.neuron, BoundedPotential):
        return jnp.array(False)
    current_bound = network.synapse.current_bound(synapse, neuron.v, dt)
    potential_bound = network.neuron.potential_bound(neuron, current_bound, dt)
    return jnp.all(potential_bound + SLACK < network.neuron.v_threshold + theta)


def arriving(recent: Array, active_set: ActiveSet) -> Array:
    """Which input spikes reach the touched neurons now: bool[capacity, n_active]. Bit k of `recent` uint32[n_active]
    is whether the input fired k steps ago.
    """
    ago = jnp.zeros((), jnp.uint32) if active_set.delay is None else active_set.delay.astype(jnp.uint32)
    return jnp.broadcast_to((recent >> ago) & 1 != 0, active_set.weights.shape)
