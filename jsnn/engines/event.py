"""The event engine: exact online learning at the cost of its events.

It computes what `jsnn.engines.dense` defines, for one presentation at a time, from three observations.

A neuron's weights cannot change before its first spike: until then its trace is zero, and a local rule does nothing at
a presynaptic spike while the postsynaptic trace is zero. So all drives of a presentation are a matrix product with the
weights it starts with, except for the few neurons that fire in it: the *active set*. Their columns are carried as a
small block `[n_active, capacity]`, to which the rule's own two functions apply in every step.

Neurons that have not fired are inhibited alike. So inhibition is computed among the active set and one silent neuron,
which stands for all inactive ones.

Once the winners have silenced the rest, no other neuron can reach its threshold for a while, and this can be told in
advance from the sum of its drives over a segment of the presentation. Such a segment is computed step by step for the
active set only; the inactive neurons are advanced over it in closed form, as their membranes are linear.

What does not fit is left to the sparse engine as a whole: a presentation in which more than `capacity` neurons fire,
and one before which the bounds or the normalisation would change more than `capacity` columns although they do not
fire.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import LinearSubthreshold, State
from jsnn.core.pytree import node
from jsnn.engines import Online, combine, dense, plasticity
from jsnn.engines.arrivals import product
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
from jsnn.engines.sparse import Sparse
from jsnn.networks.competitive import CompetitiveNetwork, Learned, RandomDraws
from jsnn.networks.winner_take_all import winners
from jsnn.synapses import Delta


@node
class EventState:
    """The engine state: weight columns that the next presentation has to correct, whether or not their neurons fire."""

    index: Array  # int32[capacity]; n_neurons in a free place
    n: Array  # int32, number of columns; more than `capacity`: the next presentation does not fit


@node
class ActiveSet:
    """The neurons whose weights a presentation changes, in an array of `capacity` places."""

    index: Array  # int32[capacity]; n_neurons in a free place
    n: Array  # int32, number of neurons; more than `capacity`: the presentation does not fit
    weights: Array  # mV, [capacity, n_active]: one row for each neuron, as its weights change together
    theta: Array  # mV, [capacity]; infinity in a free place
    gains: Array  # factors of the drives, [capacity]
    membranes: State  # [1, capacity]
    post: PostTraces  # [capacity]
    spikes: Array  # bool[1, capacity + 1], spikes of the step before; the last is the silent neuron


@node
class InactiveNeurons:
    """All other neurons; active ones have an infinite theta here."""

    theta: Array  # mV, [n_neurons]
    membranes: State  # [1, n_neurons]


@node
class ActiveSetResult:
    """The result of a presentation; it is meaningless if the active set exceeds its capacity."""

    active_set: ActiveSet  # at the end of the presentation
    theta: Array  # mV, [n_neurons]
    spikes: Array  # bool[n_steps, capacity]
    advanced: Array  # bool[n_segments]: the segments over which inactive neurons were advanced at once


@dataclasses.dataclass(frozen=True)
class Event(Online):
    """The event engine; see `jsnn.engines.event`.

    Attributes:
        capacity: Largest number of neurons that may fire in a presentation.
        segment: Longest segment, in steps, over which inactive neurons are advanced at once; reduced to a divisor
            of the presentation. None: never.
        min_neurons: With fewer neurons than this, a step costs less than finding out whether it can be skipped.
    """

    capacity: int = 6
    segment: int | None = None
    min_neurons: int = 0

    def start(self, network: CompetitiveNetwork, learned: Learned) -> EventState:
        """Find the columns that the first presentation has to correct; see `jsnn.engines.Engine.start`."""
        to_correct = columns_to_correct(network, learned.weights)
        index = jnp.nonzero(to_correct, size=self.capacity, fill_value=network.n_neurons)[0]
        return EventState(index=index.astype(jnp.int32), n=jnp.sum(to_correct, dtype=jnp.int32))

    def present(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        engine_state: EventState,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, EventState, Array]:
        """Present one image to a network that learns; see `jsnn.engines.Engine.present`. The batch is one."""
        result = self.simulate(network, learned, engine_state, spikes[0], active[0], valid[0], dt, keys[0])
        return self.commit(network, learned, result, spikes, active, valid, dt, keys)

    def commit(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        result: ActiveSetResult,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, EventState, Array]:
        """Write the result of a presentation into the weights, or repeat it by the sparse engine if it did not fit.

        Args:
            network: The network.
            learned: What it has learned before the presentation.
            result: From `simulate`.
            spikes: As in `present`, a batch of one.
            active: As in `present`.
            valid: As in `present`.
            dt: Time step, ms.
            keys: As in `present`.

        Returns:
            As `present`.
        """
        active_set, n_spikes = result.active_set, jnp.sum(result.spikes, axis=0)
        fits = active_set.n <= self.capacity
        index = jnp.where(fits, active_set.index, network.n_neurons)
        columns = learned.weights.at[:, index].get(mode="fill", fill_value=0.0)
        columns = apply_bounds(network.rule, columns, active_set.weights, active[0], n_spikes, result.spikes[0])
        columns = network.normalise(columns)
        weights = learned.weights.at[:, index].set(columns, mode="drop")
        to_correct = columns_to_correct(network, columns) & (index < network.n_neurons)
        after = EventState(
            index=jnp.where(to_correct, index, network.n_neurons)[jnp.argsort(~to_correct)],
            n=jnp.sum(to_correct, dtype=jnp.int32),
        )
        counts = jnp.zeros((1, network.n_neurons)).at[0, index].set(n_spikes, mode="drop")
        after_homeostasis = network.homeostasis(learned, result.theta, counts[0], valid[0], spikes.shape[1] * dt)

        def fallback(carry):
            learned, _, counts = Sparse().present(network, carry[1], (), spikes, active, valid, dt, keys)
            return jnp.array(True), learned, self.start(network, learned), counts

        # A loop of at most one turn: a `cond` would copy the weights, here and in every presentation that fits.
        carry = fits, dataclasses.replace(select_if(fits, after_homeostasis, learned), weights=weights), after, counts
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
        """Present a batch to a frozen network; see `jsnn.engines.InferenceEngine.infer`."""
        frozen_network = frozen(network, jnp.min(learned.weights))
        none = self.no_columns_to_correct(network)

        def one(presentation):
            raster, active, key = presentation
            result = self.simulate(frozen_network, learned, none, raster, active, jnp.array(True), dt, key)
            counts = jnp.zeros(network.n_neurons)
            counts = counts.at[result.active_set.index].set(jnp.sum(result.spikes, axis=0), mode="drop")

            def fallback(_):
                some = raster[None], active[None], dt, key[None]
                return jnp.array(True), Dense().infer(network, learned, *some)[0]

            return jax.lax.while_loop(lambda c: ~c[0], fallback, (result.active_set.n <= self.capacity, counts))[1]

        return jax.lax.map(one, (spikes, active, keys))

    def no_columns_to_correct(self, network: CompetitiveNetwork) -> EventState:
        """Create the engine state in which no column has to be corrected."""
        return EventState(index=jnp.full(self.capacity, network.n_neurons, jnp.int32), n=jnp.zeros((), jnp.int32))

    def change(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        within: Array,
        total: Array,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> tuple[Array, Array, Array]:
        """Compute the changes that one presentation makes; see `jsnn.engines.Online.change`.

        Only the columns of the neurons that fired are read or written. Here a presentation does not fit, either, if a
        neuron fires in its first step whose weights are outside their bounds.
        """
        bounded = dataclasses.replace(learned, weights=within)
        result = self.simulate(network, bounded, self.no_columns_to_correct(network), spikes, active, valid, dt, key)
        active_set, in_first_step, rule = result.active_set, result.spikes[0], network.rule
        rows = slice(None) if rule.updates_silent_inputs else active[:, None]  # the inputs whose weights may change
        columns = rows, active_set.index
        unclipped, before = (x.at[columns].get(mode="fill", fill_value=0.0) for x in (learned.weights, within))
        fits = (active_set.n <= self.capacity) & ~jnp.any(in_first_step & jnp.any(unclipped != before, axis=0))
        index = jnp.where(fits, active_set.index, network.n_neurons)
        n_spikes, place = jnp.sum(result.spikes, axis=0), (columns[0], index)
        so_far = total.at[place].get(mode="fill", fill_value=0.0)
        after = active_set.weights.T
        if rule.updates_silent_inputs:
            after = apply_bounds(rule, before, active_set.weights, active, n_spikes, in_first_step)
        total = total.at[place].set(combine(network.reduction, so_far, after - before), mode="drop")
        counts = jnp.zeros(network.n_neurons).at[index].set(n_spikes, mode="drop")

        def fallback(carry):
            return jnp.array(True), *Sparse().change(network, learned, within, carry[1], spikes, active, valid, dt, key)

        return jax.lax.while_loop(lambda c: ~c[0], fallback, (fits, total, result.theta, counts))[1:]

    def simulate(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        engine_state: EventState,
        raster: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> ActiveSetResult:
        """Present one image, as far as the active set has capacity for it.

        Args:
            network: The network.
            learned: What it has learned before the presentation.
            engine_state: Columns to be corrected.
            raster: Spikes of the inputs in `active`, bool[n_steps, n_active].
            active: Indices of these inputs, int32[n_active]; n_input marks an unused place.
            valid: Whether the presentation is real, bool[]; otherwise no neuron fires, not even one that needs no
                input.
            dt: Time step, ms.
            key: Random key.

        Returns:
            The result, which is meaningless if its active set exceeds the capacity.
        """
        n_steps, n_active = raster.shape
        raster = raster & valid
        capacity, n_neurons = self.capacity, network.n_neurons
        rule, neuron, adaptation, dtype = network.rule, network.neuron, network.neuron.adaptation, learned.weights.dtype
        columns = learned.weights.at  # indexed by active inputs and by neurons
        arriving = dense.delayed(raster)
        gains = jnp.broadcast_to(network.gains(learned), (n_neurons,))

        def activate(active_set: ActiveSet, inactive: InactiveNeurons, new: Array) -> tuple[ActiveSet, InactiveNeurons]:
            """Move the neurons in `new` (bool[n_neurons]) from the inactive neurons to the active set."""

            def one(carry):
                active_set, inactive, new = carry
                j, k = jnp.argmax(new).astype(jnp.int32), active_set.n

                def copied(places, of_inactive):
                    return places.at[:, k].set(jax.lax.dynamic_index_in_dim(of_inactive, j, 1, False), mode="drop")

                active_set = dataclasses.replace(
                    active_set,
                    index=active_set.index.at[k].set(j, mode="drop"),
                    n=k + 1,
                    weights=active_set.weights.at[k].set(
                        columns[active, j].get(mode="fill", fill_value=0.0), mode="drop"
                    ),
                    theta=active_set.theta.at[k].set(inactive.theta[j], mode="drop"),
                    gains=active_set.gains.at[k].set(gains[j], mode="drop"),
                    membranes=jax.tree.map(copied, active_set.membranes, inactive.membranes),
                )
                return (
                    active_set,
                    dataclasses.replace(inactive, theta=inactive.theta.at[j].set(jnp.inf)),
                    new.at[j].set(False),
                )

            def more(carry):
                return jnp.any(carry[2]) & (carry[0].n <= capacity)

            return jax.lax.while_loop(more, one, (active_set, inactive, new))[:2]

        def raise_theta(theta: Array, was_reset: Array) -> Array:
            return theta if adaptation is None else theta + adaptation.theta_plus * was_reset

        def decay_theta(theta: Array, steps: int = 1) -> Array:
            if adaptation is not None:
                for _ in range(steps):  # one by one, so that rounding is that of the definition
                    theta = adaptation.decay_step(theta, dt)
            return theta

        def select_winners(draws: RandomDraws, excess: Array) -> tuple[Array, Array]:
            """Select, of neurons in order of index, which fire and which are reset (bool[1, ...])."""
            excess = jnp.where(valid, excess, -jnp.inf)
            spikes = winners(network.tie_break, excess, draws.tie, network.n_winners)
            return spikes, excess >= 0 if network.ghosts else spikes

        def fired(active_set: ActiveSet, spikes: Array, was_reset: Array) -> ActiveSet:
            """Apply spikes and resets (bool[1, capacity]) to the active set."""
            return dataclasses.replace(
                active_set,
                spikes=jnp.pad(spikes, ((0, 0), (0, 1))),
                theta=raise_theta(active_set.theta, was_reset[0]),
                membranes=neuron.fire(active_set.membranes, was_reset),
            )

        def step(carry, inputs, subthreshold):
            """Advance the active set by one step and, unless they are `subthreshold`, the inactive neurons too."""
            inactive, active_set, inhibition, pre = carry
            drive, arrive, s_pre, draws = inputs
            inhibition, current = network.inhibition.step(inhibition, active_set.spikes, dt)
            noise = neuron.noise(draws.neuron, (1, n_neurons))
            active_noise = jax.tree.map(lambda x: x.at[:, active_set.index].get(mode="fill", fill_value=1.0), noise)
            active_drive = active_set.gains * (active_set.weights @ arrive.astype(dtype))
            theta = decay_theta(active_set.theta)
            membranes, active_excess = neuron.integrate(
                active_set.membranes, active_drive + current[:, :-1], theta, dt, active_noise
            )
            active_set = dataclasses.replace(
                active_set, theta=theta, membranes=membranes, spikes=jnp.zeros_like(active_set.spikes)
            )
            # Loops of at most one turn: a `cond` would copy the state of all neurons in every step.
            if subthreshold:
                crossing = jnp.any(active_excess >= 0)

                def fire(carry):
                    in_order = jnp.argsort(active_set.index)
                    selected = select_winners(draws, active_excess[:, in_order])
                    spikes, was_reset = (x[:, jnp.argsort(in_order)] for x in selected)
                    return False, fired(carry[1], spikes, was_reset)

                active_set = jax.lax.while_loop(lambda c: c[0], fire, (crossing, active_set))[1]
            else:
                theta = decay_theta(inactive.theta)
                membranes, excess = neuron.integrate(inactive.membranes, drive + current[:, -1:], theta, dt, noise)
                inactive = InactiveNeurons(theta=theta, membranes=membranes)
                crossing = jnp.any(active_excess >= 0) | jnp.any(excess >= 0)

                def fire_all(carry):
                    _, active_set, inactive = carry
                    spikes, was_reset = select_winners(
                        draws, excess.at[0, active_set.index].set(active_excess[0], mode="drop")
                    )
                    active_set, inactive = activate(active_set, inactive, spikes[0] & (inactive.theta < jnp.inf))
                    inactive = InactiveNeurons(
                        theta=raise_theta(inactive.theta, was_reset[0]),
                        membranes=neuron.fire(inactive.membranes, was_reset),
                    )
                    own = (x.at[:, active_set.index].get(mode="fill", fill_value=False) for x in (spikes, was_reset))
                    return False, fired(active_set, *own), inactive

                _, active_set, inactive = jax.lax.while_loop(lambda c: c[0], fire_all, (crossing, active_set, inactive))
            pre = rule.pre_trace.step(pre, s_pre, dt)
            active_spikes = active_set.spikes[0, :-1]
            post, size = plasticity.update_traces(rule, active_set.post, active_spikes, dt)
            w = active_set.weights
            dw = size[:, None] * rule.on_post(w, pre, 0.0)
            if post.fast is not None:
                dw = jnp.where(s_pre, rule.on_pre(w, 0.0, post.fast[:, None]), 0.0) + dw
            weights = jnp.clip(w + dw, rule.w_min, rule.w_max)
            active_set = dataclasses.replace(active_set, weights=weights, post=post)
            return (inactive, active_set, inhibition, pre), (active_spikes, current[0, -1])

        def simulate_all(carry, segment):
            arrive, s_pre, draws = segment
            drives = gains * product(arrive.astype(dtype), active, learned.weights)
            xs = drives[:, None], arrive, s_pre, draws
            carry, (spikes, _) = jax.lax.scan(lambda c, x: step(c, x, subthreshold=False), carry, xs)
            return carry, spikes

        # The first step brings the columns to be corrected into their bounds.
        own = columns[active[:, None], engine_state.index].get(mode="fill", fill_value=0.0)
        active_set = ActiveSet(
            index=engine_state.index,
            n=engine_state.n,
            weights=own.T,
            theta=learned.theta.at[engine_state.index].get(mode="fill", fill_value=jnp.inf),
            gains=gains.at[engine_state.index].get(mode="fill", fill_value=1.0),
            membranes=neuron.init((1, capacity)),
            post=plasticity.initial_traces(rule, (capacity,)),
            spikes=jnp.zeros((1, capacity + 1), bool),
        )
        inactive = InactiveNeurons(
            theta=learned.theta.at[engine_state.index].set(jnp.inf, mode="drop"), membranes=neuron.init((1, n_neurons))
        )
        carry: Any = inactive, active_set, network.inhibition.init((1, capacity + 1)), jnp.zeros(n_active, dtype)

        def with_theta(carry, spikes, advanced):
            inactive, active_set, *_ = carry
            theta = inactive.theta.at[active_set.index].set(active_set.theta, mode="drop")
            spikes = spikes.reshape(n_steps, capacity)
            return ActiveSetResult(active_set=active_set, theta=theta, spikes=spikes, advanced=advanced)

        steps = arriving, raster, network.draws(key, n_steps, 1)
        length = self.segment_length(n_steps) if n_neurons >= self.min_neurons else None
        if length is None or not isinstance(neuron, LinearSubthreshold):
            return with_theta(*simulate_all(carry, steps), jnp.zeros(1, bool))

        segments = jax.tree.map(lambda x: x.reshape(-1, length, *x.shape[1:]), steps)
        kernel = neuron.kernel(length, dt)
        some = segments[0].astype(dtype)
        at_once = jnp.concatenate([jnp.sum(some, axis=1), jnp.einsum("nsi,s->ni", some, kernel)])
        totals, displacements = jnp.split(gains * product(at_once, active, learned.weights), 2)
        positive = (rule.w_min >= 0) & (network.gain > 0)

        def advance_inactive(carry, segment, displacement):
            inactive, *rest = carry
            xs = jnp.zeros((length, 0)), *segment
            carry, (spikes, common) = jax.lax.scan(lambda c, x: step(c, x, subthreshold=True), (None, *rest), xs)
            inactive = InactiveNeurons(
                theta=decay_theta(inactive.theta, length),
                membranes=neuron.advance(inactive.membranes, displacement + jnp.dot(kernel, common), length, dt),
            )
            return (inactive, *carry[1:]), spikes

        def one(carry, inputs):
            segment, total, displacement = inputs
            inactive = carry[0]
            bound = neuron.excess_bound(inactive.membranes, total, length, dt)[0] + SLACK
            subthreshold = positive & jnp.all(bound < decay_theta(inactive.theta, length))
            carry, spikes = jax.lax.cond(
                subthreshold,
                lambda c: advance_inactive(c, segment, displacement),
                lambda c: simulate_all(c, segment),
                carry,
            )
            return carry, (spikes, subthreshold)

        carry, (spikes, advanced) = jax.lax.scan(one, carry, (segments, totals, displacements))
        return with_theta(carry, spikes, advanced)

    def segment_length(self, n_steps: int) -> int | None:
        """Find the length of segments: the longest divisor of a presentation that is at most `segment`.

        Args:
            n_steps: Number of time steps of a presentation.

        Returns:
            The length in steps; None for a presentation that is not divided.
        """
        if self.segment is None:
            return None
        length = max(n for n in range(1, min(self.segment, n_steps) + 1) if n_steps % n == 0)
        return None if length in (1, n_steps) else length


def refusal(network: CompetitiveNetwork) -> str | None:
    """Say why this engine cannot train a network.

    Args:
        network: The network, with numbers that are not traced.

    Returns:
        The reason in one line; None if the engine can train it.
    """
    if network.longest_delay:
        return "its synapses have delays"
    if not isinstance(network.synapse, Delta):
        return f"{type(network.synapse).__name__} synapses have a state of their own"
    return changes_silent_neurons(network) or inhibits_without_spikes(network)
