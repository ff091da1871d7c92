"""The event engine: exact online learning at the cost of its events.

It computes what `jsnn.engines.dense` defines, for one presentation at a time, from three observations.

A neuron's weights change only once it has fired: until then its trace is zero, and a local rule does nothing at a
presynaptic spike while the postsynaptic trace is zero. So all drives of a presentation are a matrix product with the
weights it starts with, but for the few *touched* neurons that fire in it. Their columns are carried as a small block
`[n_active, capacity]`, to which the rule's own two functions apply in every step.

Neurons that have not fired are inhibited alike. So inhibition is computed among the touched neurons and one silent
neuron, which stands for all others.

Once the winners have silenced the rest, no other neuron can reach its threshold for a while, and it can be seen
beforehand: by the sum of its drives over a piece of the presentation. Such a piece is computed for the touched neurons
only; the others *coast* through it in one go, as their membranes are linear.

What does not fit is left to the sparse engine, whole: a presentation in which more than `capacity` neurons fire, and
one before which more than `capacity` columns are unsettled (the bounds or the normalisation would move them although
they do not fire).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Coasting, State
from jsnn.core.pytree import node
from jsnn.engines import Online, combine, dense, plasticity
from jsnn.engines.arrivals import product
from jsnn.engines.columns import SLACK, if_it, moves_silent, restless, settled, unsettled_columns
from jsnn.engines.dense import Dense
from jsnn.engines.frozen import frozen
from jsnn.engines.plasticity import PostTraces
from jsnn.engines.sparse import Sparse
from jsnn.networks.competitive import Chance, CompetitiveNetwork, Learned
from jsnn.networks.winner_take_all import winners
from jsnn.synapses import Delta


@node
class Pending:
    """Columns that the next presentation has to settle, fired or not."""

    index: Array  # int32[capacity]; n_neurons in a free slot, which is no neuron
    n: Array  # int32: how many; more than there are slots: the next presentation does not fit


@node
class Touched:
    """The neurons whose weights a presentation changes, in slots, of which `n` are in use."""

    index: Array  # int32[capacity]; n_neurons in a free slot
    n: Array  # int32; more than there are slots: the presentation does not fit
    weights: Array  # mV, [capacity, n_active]: a row a neuron, as they are changed together
    theta: Array  # mV, [capacity]; infinity in a free slot
    gains: Array  # of the drives, [capacity]
    membranes: State  # [1, capacity]
    post: PostTraces  # [capacity]
    spikes: Array  # bool[1, capacity + 1], of the step before; the last one is the silent neuron


@node
class Others:
    """All other neurons: the touched ones have no place here any more, and an infinite theta."""

    theta: Array  # mV, [n_neurons]
    membranes: State  # [1, n_neurons]


@node
class Attempt:
    """What became of a presentation, if it fits."""

    touched: Touched  # at the end
    theta: Array  # mV, [n_neurons]
    spikes: Array  # bool[n_steps, capacity]
    coasted: Array  # bool[n_pieces]: which pieces were computed for the touched neurons only


@dataclasses.dataclass(frozen=True)
class Event(Online):
    """The engine of this module.

    `capacity`: the most neurons that fire in a presentation. `piece`: steps that neurons coast through, where they can;
    it is made to divide the presentation. Of fewer than `many` neurons a step costs less than to see whether they can.
    """

    capacity: int = 6
    piece: int | None = None
    many: int = 0

    def start(self, network: CompetitiveNetwork, learned: Learned) -> Pending:
        """What the first presentation has to know."""
        unsettled = unsettled_columns(network, learned.weights)
        index = jnp.nonzero(unsettled, size=self.capacity, fill_value=network.n_neurons)[0]
        return Pending(index=index.astype(jnp.int32), n=jnp.sum(unsettled, dtype=jnp.int32))

    def present(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        memo: Pending,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, Pending, Array]:
        """See `jsnn.engines.Engine`; the batch is one."""
        tried = self.attempt(network, learned, memo, spikes[0], active[0], valid[0], dt, keys[0])
        return self.finish(network, learned, tried, spikes, active, valid, dt, keys)

    def finish(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        tried: Attempt,
        spikes: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        keys: Array,
    ) -> tuple[Learned, Pending, Array]:
        """The result of an attempt, or of the sparse engine if it did not fit."""
        touched, n_spikes = tried.touched, jnp.sum(tried.spikes, axis=0)
        fits = touched.n <= self.capacity
        index = jnp.where(fits, touched.index, network.n_neurons)
        columns = learned.weights.at[:, index].get(mode="fill", fill_value=0.0)
        columns = settled(network.rule, columns, touched.weights, active[0], n_spikes, tried.spikes[0])
        columns = network.normalise(columns)
        weights = learned.weights.at[:, index].set(columns, mode="drop")
        unsettled = unsettled_columns(network, columns) & (index < network.n_neurons)
        after = Pending(
            index=jnp.where(unsettled, index, network.n_neurons)[jnp.argsort(~unsettled)],
            n=jnp.sum(unsettled, dtype=jnp.int32),
        )
        counts = jnp.zeros((1, network.n_neurons)).at[0, index].set(n_spikes, mode="drop")
        rested = network.homeostasis(learned, tried.theta, counts[0], valid[0], spikes.shape[1] * dt)

        def in_full(carry):
            learned, _, counts = Sparse().present(network, carry[1], (), spikes, active, valid, dt, keys)
            return jnp.array(True), learned, self.start(network, learned), counts

        # A loop of one turn at most: a `cond` would copy the weights, here and in every presentation that fits.
        carry = fits, dataclasses.replace(if_it(fits, rested, learned), weights=weights), after, counts
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
        """See `jsnn.engines.Responder`."""
        still = frozen(network, jnp.min(learned.weights))
        none = self.nothing_pending(network)

        def one(presentation):
            raster, active, key = presentation
            tried = self.attempt(still, learned, none, raster, active, jnp.array(True), dt, key)
            counts = jnp.zeros(network.n_neurons)
            counts = counts.at[tried.touched.index].set(jnp.sum(tried.spikes, axis=0), mode="drop")

            def in_full(_):
                some = raster[None], active[None], dt, key[None]
                return jnp.array(True), Dense().respond(network, learned, *some)[0]

            return jax.lax.while_loop(lambda c: ~c[0], in_full, (tried.touched.n <= self.capacity, counts))[1]

        return jax.lax.map(one, (spikes, active, keys))

    def nothing_pending(self, network: CompetitiveNetwork) -> Pending:
        """Before a presentation of which all columns are settled."""
        return Pending(index=jnp.full(self.capacity, network.n_neurons, jnp.int32), n=jnp.zeros((), jnp.int32))

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
        """See `jsnn.engines.Online`: only the columns of the neurons that fired are read or written.

        A presentation does not fit, either, if a neuron fires in its first step whose weights are outside their bounds.
        """
        bounded = dataclasses.replace(learned, weights=within)
        tried = self.attempt(network, bounded, self.nothing_pending(network), spikes, active, valid, dt, key)
        touched, at_first, rule = tried.touched, tried.spikes[0], network.rule
        columns = (slice(None) if rule.unpaired else active[:, None]), touched.index  # silent inputs learn, or nothing
        lifted, before = (x.at[columns].get(mode="fill", fill_value=0.0) for x in (learned.weights, within))
        fits = (touched.n <= self.capacity) & ~jnp.any(at_first & jnp.any(lifted != before, axis=0))
        index = jnp.where(fits, touched.index, network.n_neurons)
        n_spikes, place = jnp.sum(tried.spikes, axis=0), (columns[0], index)
        so_far = total.at[place].get(mode="fill", fill_value=0.0)
        after = touched.weights.T
        if rule.unpaired:
            after = settled(rule, before, touched.weights, active, n_spikes, at_first)
        total = total.at[place].set(combine(network.reduction, so_far, after - before), mode="drop")
        counts = jnp.zeros(network.n_neurons).at[index].set(n_spikes, mode="drop")

        def in_full(carry):
            return jnp.array(True), *Sparse().change(network, learned, within, carry[1], spikes, active, valid, dt, key)

        return jax.lax.while_loop(lambda c: ~c[0], in_full, (fits, total, tried.theta, counts))[1:]

    def attempt(
        self,
        network: CompetitiveNetwork,
        learned: Learned,
        pending: Pending,
        raster: Array,
        active: Array,
        valid: Array,
        dt: Array | float,
        key: Array,
    ) -> Attempt:
        """Present `raster` bool[n_steps, n_active], as far as there are slots for it.

        If it is not `valid` (bool[]) no neuron fires, not even one that needs no input to do so.
        """
        n_steps, n_active = raster.shape
        raster = raster & valid
        capacity, n_neurons = self.capacity, network.n_neurons
        rule, neuron, adaptation, dtype = network.rule, network.neuron, network.neuron.adaptation, learned.weights.dtype
        columns = learned.weights.at  # of one neuron or several, at the inputs that may fire
        arriving = dense.delayed(raster)
        gains = jnp.broadcast_to(network.gains(learned), (n_neurons,))

        def touch(touched: Touched, others: Others, new: Array) -> tuple[Touched, Others]:
            """Slots for the neurons in `new` (bool[n_neurons])."""

            def one(carry):
                touched, others, new = carry
                j, k = jnp.argmax(new).astype(jnp.int32), touched.n

                def moved(slots, of_others):
                    return slots.at[:, k].set(jax.lax.dynamic_index_in_dim(of_others, j, 1, False), mode="drop")

                touched = dataclasses.replace(
                    touched,
                    index=touched.index.at[k].set(j, mode="drop"),
                    n=k + 1,
                    weights=touched.weights.at[k].set(columns[active, j].get(mode="fill", fill_value=0.0), mode="drop"),
                    theta=touched.theta.at[k].set(others.theta[j], mode="drop"),
                    gains=touched.gains.at[k].set(gains[j], mode="drop"),
                    membranes=jax.tree.map(moved, touched.membranes, others.membranes),
                )
                return touched, dataclasses.replace(others, theta=others.theta.at[j].set(jnp.inf)), new.at[j].set(False)

            def more(carry):
                return jnp.any(carry[2]) & (carry[0].n <= capacity)

            return jax.lax.while_loop(more, one, (touched, others, new))[:2]

        def grown(theta: Array, was_reset: Array) -> Array:
            return theta if adaptation is None else theta + adaptation.theta_plus * was_reset

        def decayed(theta: Array, steps: int = 1) -> Array:
            if adaptation is not None:
                for _ in range(steps):  # one by one, as rounding has it
                    theta = adaptation.decay_step(theta, dt)
            return theta

        def elect(chance: Chance, excess: Array) -> tuple[Array, Array]:
            """Of neurons in order: which fire, and which are reset (bool[1, ...])."""
            excess = jnp.where(valid, excess, -jnp.inf)
            spikes = winners(network.tie_break, excess, chance.tie, network.n_winners)
            return spikes, excess >= 0 if network.ghosts else spikes

        def fired(touched: Touched, spikes: Array, was_reset: Array) -> Touched:
            """The slots after those in `spikes` fired and those in `was_reset` were reset (bool[1, capacity])."""
            return dataclasses.replace(
                touched,
                spikes=jnp.pad(spikes, ((0, 0), (0, 1))),
                theta=grown(touched.theta, was_reset[0]),
                membranes=neuron.fire(touched.membranes, was_reset),
            )

        def step(carry, inputs, coasting):
            """One step of the touched neurons and, unless they are coasting, of the others."""
            others, touched, inhibition, pre = carry
            drive, arrive, s_pre, chance = inputs
            inhibition, current = network.inhibition.step(inhibition, touched.spikes, dt)
            noise = neuron.noise(chance.neuron, (1, n_neurons))
            own_noise = jax.tree.map(lambda x: x.at[:, touched.index].get(mode="fill", fill_value=1.0), noise)
            own_drive = touched.gains * (touched.weights @ arrive.astype(dtype))
            theta = decayed(touched.theta)
            membranes, own_excess = neuron.integrate(
                touched.membranes, own_drive + current[:, :-1], theta, dt, own_noise
            )
            touched = dataclasses.replace(
                touched, theta=theta, membranes=membranes, spikes=jnp.zeros_like(touched.spikes)
            )
            # Loops of one turn at most: a `cond` would copy the state of all neurons in every step.
            if coasting:
                crossing = jnp.any(own_excess >= 0)

                def fire(carry):
                    in_order = jnp.argsort(touched.index)
                    elected = elect(chance, own_excess[:, in_order])
                    spikes, was_reset = (x[:, jnp.argsort(in_order)] for x in elected)
                    return False, fired(carry[1], spikes, was_reset)

                touched = jax.lax.while_loop(lambda c: c[0], fire, (crossing, touched))[1]
            else:
                theta = decayed(others.theta)
                membranes, excess = neuron.integrate(others.membranes, drive + current[:, -1:], theta, dt, noise)
                others = Others(theta=theta, membranes=membranes)
                crossing = jnp.any(own_excess >= 0) | jnp.any(excess >= 0)

                def fire_all(carry):
                    _, touched, others = carry
                    spikes, was_reset = elect(chance, excess.at[0, touched.index].set(own_excess[0], mode="drop"))
                    touched, others = touch(touched, others, spikes[0] & (others.theta < jnp.inf))
                    others = Others(
                        theta=grown(others.theta, was_reset[0]), membranes=neuron.fire(others.membranes, was_reset)
                    )
                    own = (x.at[:, touched.index].get(mode="fill", fill_value=False) for x in (spikes, was_reset))
                    return False, fired(touched, *own), others

                _, touched, others = jax.lax.while_loop(lambda c: c[0], fire_all, (crossing, touched, others))
            pre = rule.pre_trace.step(pre, s_pre, dt)
            own_spikes = touched.spikes[0, :-1]
            post, size = plasticity.after(rule, touched.post, own_spikes, dt)
            w = touched.weights
            dw = size[:, None] * rule.on_post(w, pre, 0.0)
            if post.fast is not None:
                dw = jnp.where(s_pre, rule.on_pre(w, 0.0, post.fast[:, None]), 0.0) + dw
            weights = jnp.clip(w + dw, rule.w_min, rule.w_max)
            touched = dataclasses.replace(touched, weights=weights, post=post)
            return (others, touched, inhibition, pre), (own_spikes, current[0, -1])

        def in_full(carry, piece):
            arrive, s_pre, chance = piece
            drives = gains * product(arrive.astype(dtype), active, learned.weights)
            xs = drives[:, None], arrive, s_pre, chance
            carry, (spikes, _) = jax.lax.scan(lambda c, x: step(c, x, coasting=False), carry, xs)
            return carry, spikes

        # The first step brings pending columns into their bounds.
        own = columns[active[:, None], pending.index].get(mode="fill", fill_value=0.0)
        touched = Touched(
            index=pending.index,
            n=pending.n,
            weights=own.T,
            theta=learned.theta.at[pending.index].get(mode="fill", fill_value=jnp.inf),
            gains=gains.at[pending.index].get(mode="fill", fill_value=1.0),
            membranes=neuron.init((1, capacity)),
            post=plasticity.at_rest(rule, (capacity,)),
            spikes=jnp.zeros((1, capacity + 1), bool),
        )
        others = Others(
            theta=learned.theta.at[pending.index].set(jnp.inf, mode="drop"), membranes=neuron.init((1, n_neurons))
        )
        carry: Any = others, touched, network.inhibition.init((1, capacity + 1)), jnp.zeros(n_active, dtype)

        def attempted(carry, spikes, coasted):
            others, touched, *_ = carry
            theta = others.theta.at[touched.index].set(touched.theta, mode="drop")
            spikes = spikes.reshape(n_steps, capacity)
            return Attempt(touched=touched, theta=theta, spikes=spikes, coasted=coasted)

        steps = arriving, raster, network.chance(key, n_steps, 1)
        length = self.piece_of(n_steps) if n_neurons >= self.many else None
        if length is None or not isinstance(neuron, Coasting):
            return attempted(*in_full(carry, steps), jnp.zeros(1, bool))

        pieces = jax.tree.map(lambda x: x.reshape(-1, length, *x.shape[1:]), steps)
        kernel = neuron.kernel(length, dt)
        some = pieces[0].astype(dtype)
        at_once = jnp.concatenate([jnp.sum(some, axis=1), jnp.einsum("nsi,s->ni", some, kernel)])
        totals, pushes = jnp.split(gains * product(at_once, active, learned.weights), 2)
        positive = (rule.w_min >= 0) & (network.gain > 0)

        def coast(carry, piece, push):
            others, *rest = carry
            xs = jnp.zeros((length, 0)), *piece
            carry, (spikes, common) = jax.lax.scan(lambda c, x: step(c, x, coasting=True), (None, *rest), xs)
            others = Others(
                theta=decayed(others.theta, length),
                membranes=neuron.coast(others.membranes, push + jnp.dot(kernel, common), length, dt),
            )
            return (others, *carry[1:]), spikes

        def one(carry, inputs):
            piece, total, push = inputs
            others = carry[0]
            bound = neuron.ceiling(others.membranes, total, length, dt)[0] + SLACK
            asleep = positive & jnp.all(bound < decayed(others.theta, length))
            carry, spikes = jax.lax.cond(asleep, lambda c: coast(c, piece, push), lambda c: in_full(c, piece), carry)
            return carry, (spikes, asleep)

        carry, (spikes, coasted) = jax.lax.scan(one, carry, (pieces, totals, pushes))
        return attempted(carry, spikes, coasted)

    def piece_of(self, n_steps: int) -> int | None:
        """The length of the pieces: the longest up to `piece` that divides a presentation, None for no pieces."""
        if self.piece is None:
            return None
        length = max(n for n in range(1, min(self.piece, n_steps) + 1) if n_steps % n == 0)
        return None if length in (1, n_steps) else length


def refusal(network: CompetitiveNetwork) -> str | None:
    """Why this engine cannot train a network, in a line; None if it can."""
    if network.longest_delay:
        return "its synapses have delays"
    if not isinstance(network.synapse, Delta):
        return f"{type(network.synapse).__name__} synapses have a state of their own"
    return moves_silent(network) or restless(network)
