"""The precomputed-drive engine: online learning of any network; the drives of all steps are computed in advance.

It computes what `jsnn.engines.dense` defines, for one presentation at a time. A neuron's weights cannot change before
its first spike. So the drives of a presentation follow, input spike by input spike, from the weights that it starts
with, except for the few neurons that fire in it: the active set, whose weight columns are kept in an array of
`capacity` places. Where the rule learns at postsynaptic spikes alone, the remaining drive of an active neuron is
computed again at each of its spikes; otherwise its weights may change in every step, and each step has a small product
of its own.

Every membrane takes every step, whatever neuron, synapse and inhibition do there: it is the engine for conductances,
which have no closed form over several steps, and for delays. Once the last input has arrived and no membrane can reach
its threshold any more, the remaining steps are skipped: most of the rest after an image. A presentation in which more
than `capacity` neurons fire is left to another engine as a whole.
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

SEGMENT = 50  # largest number of steps between two checks of whether anything can still happen


@node
class ActiveSet:
    """The neurons that have fired in a presentation, in an array of `capacity` places."""

    index: Array  # int32[capacity]; n_neurons in a free place
    n: Array  # int32, number of neurons; more than `capacity`: the presentation does not fit
    gains: Array  # factors of the drives, [capacity]
    weights: Array  # mV, [capacity, n_active]
    delay: Array | None  # uint8[capacity, n_active], steps
    post: PostTraces  # [capacity]
    spikes: Array  # bool[1, capacity + 1], spikes of the step before; the last is a neuron that has not fired
    counts: Array  # [capacity], spikes so far
    in_first_step: Array  # bool[capacity], whether they fired in the first step
    drive: Array | None  # mV, [n_steps, capacity]; None if every step has its own product


@dataclasses.dataclass(frozen=True)
class Ahead(Online):
    """The precomputed-drive engine; see `jsnn.engines.ahead`.

    Attributes:
        capacity: Largest number of neurons that may fire in a presentation.
        larger: The engine for presentations in which more neurons fire.
    """

    capacity: int = 16
    larger: Online = Dense()

    def start(self, network: CompetitiveNetwork, learned: Learned) -> Array:
        """Find out whether the bounds or the normalisation would change a column that does not fire, bool[]."""
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
        """Present one image to a network that learns; see `jsnn.engines.Engine.present`. The batch is one."""
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

        def correct_all(carry):
            corrected = network.normalise(jnp.clip(learned.weights, network.rule.w_min, network.rule.w_max))
            corrected = corrected.at[:, index].set(columns, mode="drop")
            return jnp.array(False), corrected, jnp.any(columns_to_correct(network, corrected))

        # Loops of at most one turn: a `cond` would copy the weights, here and in every presentation.
        changed = jnp.any(columns_to_correct(network, columns))
        _, weights, to_correct = jax.lax.while_loop(
            lambda c: c[0], correct_all, (engine_state & fits, weights, changed)
        )
        after_homeostasis = network.homeostasis(learned, theta, counts, valid[0], spikes.shape[1] * dt)
        after = dataclasses.replace(select_if(fits, after_homeostasis, learned), weights=weights)

        def fallback(carry):
            before = self.larger.start(network, carry[1])
            learned, _, counts = self.larger.present(network, carry[1], before, spikes, active, valid, dt, keys)
            return jnp.array(True), learned, self.start(network, learned), counts

        carry = fits, after, to_correct, counts[None]
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
        """Present a batch to a frozen network; see `jsnn.engines.InferenceEngine.infer`. The active set stays empty."""
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
        """Present one image, as far as the active set has capacity for it.

        Args:
            network: The network.
            learned: What it has learned before the presentation.
            raster: Spikes of the inputs in `active`, bool[n_steps, n_active].
            active: Indices of these inputs, int32[n_active]; n_input marks an unused place.
            valid: Whether the presentation is real, bool[].
            dt: Time step, ms.
            key: Random key.

        Returns:
            The active set at the end, and theta, mV, [n_neurons]. If the active set counts more neurons than its
                capacity,
            the presentation does not fit and both are meaningless.
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
            """Add the neurons in `new` (bool[n_neurons]), which fire in step t for the first time.

            After the first step of the presentation, weights are within their bounds.
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
            """Compute the drives of the neurons in `spikes` (bool[capacity]) from their weights as they are now."""

            def one(carry):
                drive, pending = carry
                k = jnp.argmax(pending)
                weights = active_set.weights[k]

                def add(chunk, row):
                    first = chunk * CHUNK
                    i, sent = (jax.lax.dynamic_slice_in_dim(x, first, CHUNK) for x in (events.input, events.step))
                    arrives = sent + 1 + (0 if active_set.delay is None else active_set.delay[k][i])
                    return row.at[arrives].add(weights[i], mode="drop")

                row = jax.lax.fori_loop(0, -(-events.n // CHUNK), add, jnp.zeros(n_steps, dtype))
                return drive.at[:, k].set(active_set.gains[k] * row), pending.at[k].set(False)

            drive = jax.lax.while_loop(lambda c: jnp.any(c[1]), one, (active_set.drive, spikes))[0]
            return dataclasses.replace(active_set, drive=drive)

        def learn(active_set: ActiveSet, fired: Array, arrived: Array, t: Array) -> ActiveSet:
            """Apply the spikes `fired` (bool[n_neurons]) of step t, and what they learn, to the active set."""
            is_active = jnp.zeros(n_neurons, bool).at[active_set.index].set(True, mode="drop")
            active_set = activate(active_set, fired & ~is_active, t)
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

        def decay(active_set: ActiveSet, arrived: Array, without_spikes: Array) -> ActiveSet:
            """Advance the active set by a step if it is `without_spikes` (bool); otherwise `learn` does."""
            post, _ = plasticity.update_traces(rule, active_set.post, jnp.zeros(capacity, bool), dt)
            post = jax.tree.map(lambda new, old: jnp.where(without_spikes, new, old), post, active_set.post)
            active_set = dataclasses.replace(active_set, post=post, spikes=jnp.zeros_like(active_set.spikes))
            if post.fast is None:
                return active_set
            w = active_set.weights
            after_pre = jnp.clip(w + rule.on_pre(w, 0.0, post.fast[:, None]), rule.w_min, rule.w_max)
            return dataclasses.replace(
                active_set, weights=jnp.where(arriving(arrived, active_set) & without_spikes, after_pre, w)
            )

        def step(carry, inputs):
            layer, inhibition, theta, active_set, recent_spikes = carry
            drive, s_pre, t, draws = inputs
            if adaptation is not None:
                theta = adaptation.decay_step(theta, dt)
            if active_set.drive is None:
                active_drive = active_set.gains * jnp.sum(
                    jnp.where(arriving(recent_spikes, active_set), active_set.weights, 0.0), axis=1
                )
            else:
                active_drive = jax.lax.dynamic_index_in_dim(active_set.drive, t, 0, keepdims=False)
            drive = drive.at[active_set.index].set(active_drive, mode="drop")
            inhibition, current = network.inhibition.step(inhibition, active_set.spikes, dt)
            lateral = jnp.broadcast_to(current[:, -1:], (1, n_neurons))
            lateral = lateral.at[0, active_set.index].set(current[0, :-1], mode="drop")
            layer, spikes, was_reset, _ = network.move(layer, drive[None], lateral, theta, dt, draws)
            fired, was_reset = spikes[0] & valid, was_reset[0] & valid
            recent_spikes = recent_spikes << 1 | s_pre.astype(jnp.uint32)
            any_reset = jnp.any(was_reset)
            active_set = decay(active_set, recent_spikes, ~any_reset)

            # A loop of at most one turn: a `cond` would copy the active set in every step.
            def apply_spikes(carry):
                _, active_set, theta = carry
                if adaptation is not None:
                    theta = theta + adaptation.theta_plus * was_reset
                return ~any_reset, learn(active_set, fired, recent_spikes, t), theta

            _, active_set, theta = jax.lax.while_loop(lambda c: c[0], apply_spikes, (any_reset, active_set, theta))
            return (layer, inhibition, theta, active_set, recent_spikes), ()

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
        recent_spikes = jnp.zeros(n_active, jnp.uint32)
        carry: Any = (fast.neuron, fast.synapse), inhibition, learned.theta, active_set, recent_spikes
        xs = drives, raster, jnp.arange(n_steps), network.draws(key, n_steps, 1)

        def quiet(carry):
            layer, _, theta, *_ = carry
            return cannot_fire(network, layer, decay_theta(theta, n_steps), dt)

        carry, n = scan_until_quiet(step, carry, xs, events.last + 1 + network.longest_delay, quiet)
        _, _, theta, active_set, _ = carry
        return active_set, decay_theta(theta, n_steps - n)


def refusal(network: CompetitiveNetwork) -> str | None:
    """Say why this engine cannot train a network.

    Args:
        network: The network, with numbers that are not traced.

    Returns:
        The reason in one line; None if the engine can train it.
    """
    return changes_silent_neurons(network) or inhibits_without_spikes(network)


def scan_until_quiet(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, last: Array, quiet: Callable[[Any], Array]
) -> tuple[Any, Array]:
    """Scan over time steps as `lax.scan` does, but stop once nothing can happen any more.

    Args:
        step: Function of a carry and the inputs of a step, as for `lax.scan`.
        carry: Carry before the first step.
        xs: Inputs of the steps, a pytree of arrays [n_steps, ...].
        last: Last step in which an input arrives, int32[].
        quiet: Function of the carry: whether nothing can happen without further input, bool[].

    Returns:
        The carry at the end, and the number of steps taken, int32[].
    """
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
    """Find out whether no neuron can fire any more, if nothing arrives and no threshold sinks below `theta`.

    Args:
        network: The network.
        layer: States of the neurons and of the synapses.
        theta: Adaptive part of the thresholds, mV, [n_neurons].
        dt: Time step, ms.

    Returns:
        bool[]; False where it is not known.
    """
    neuron, synapse = layer
    if not isinstance(network.neuron, BoundedPotential):
        return jnp.array(False)
    current_bound = network.synapse.current_bound(synapse, neuron.v, dt)
    potential_bound = network.neuron.potential_bound(neuron, current_bound, dt)
    return jnp.all(potential_bound + SLACK < network.neuron.v_threshold + theta)


def arriving(recent_spikes: Array, active_set: ActiveSet) -> Array:
    """Find the input spikes that arrive at the synapses of the active set now.

    Args:
        recent_spikes: Spikes of the last steps as bits, uint32[n_active]: bit k tells whether the input fired k steps
            ago.
        active_set: The active set.

    Returns:
        bool[capacity, n_active].
    """
    delay = jnp.zeros((), jnp.uint32) if active_set.delay is None else active_set.delay.astype(jnp.uint32)
    return jnp.broadcast_to((recent_spikes >> delay) & 1 != 0, active_set.weights.shape)
