"""The network: an input layer, one plastic projection, and a layer of spiking neurons that inhibit each other.

What it learned (`Learned`) outlives a presentation; what happens within one (`Fast`) starts afresh at each. Every
projection delays one step: an input spike of step t moves the membranes in step t + 1, or as much later as the delay of
its synapse says, which delays its plasticity too.
"""

import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jax import Array

from jsnn.core.protocols import Inhibition, Neuron, Reduction, Rule, State, Synapse
from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Count, NonNegative, Positive
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.homeostasis.synaptic_scaling import SynapticScaling
from jsnn.inhibition import DirectInhibition
from jsnn.networks.winner_take_all import TieBreak, winners
from jsnn.neurons import LIF
from jsnn.rules import STDP
from jsnn.synapses import Delta


@node
class Learned(Node):
    """What training changes, and evaluation cannot: it is not in the carry there."""

    weights: Array  # mV, [n_input, n_neurons]
    theta: Array  # mV, [n_neurons]: the adaptive part of the thresholds; zero for a fixed threshold
    scale: Array | None = None  # [n_neurons], of the weights of each; None: no synaptic scaling
    delay: Array | None = None  # uint8[n_input, n_neurons], steps: fixed at birth; None: no delays


@node
class Fast:
    """What a presentation starts afresh, for a batch of them."""

    neuron: State
    synapse: State
    inhibition: State
    spikes: Array  # bool[batch, n_neurons], of the step before


@node
class RandomDraws:
    """What is random in the steps of a presentation: drawn before it, apart from what neurons draw in a step."""

    neuron: Array  # keys, [n_steps]
    tie: Array | None  # float32[n_steps, batch, n_winners] in [0, 1), for a random tie-break


@node
class Inference(Node):
    """How a trained network is asked: the same neurons, weights and thresholds, but a softer competition.

    To learn, one neuron has to win an image. To answer, it helps if several do, each as often as the image is like its
    weights: `gain` times the drive and `competition` times the lateral inhibition let them, and read-outs see more than
    the name of one winner. 1 and 1: as it learned.
    """

    gain: Positive = 1.0
    competition: NonNegative = 1.0


@node
class CompetitiveNetwork(Node):
    """784 -> 100 with lateral inhibition, or any other size: `inhibition` makes it the two- or the three-layer network.

    `ghosts`: the losers of a tie-break are nevertheless reset, made refractory and raise their theta, as in BindsNET;
    otherwise only neurons that fire change.
    `lockstep`: the presentations of a batch change the weights together in every step, as in BindsNET; otherwise each
    learns on its own from the weights that the batch starts with, and their changes meet at its end.
    """

    n_input: Count = static(default=784)
    n_neurons: Count = static(default=100)
    neuron: Neuron = LIF(adaptation=AdaptiveThreshold())
    rule: Rule = STDP()
    synapse: Synapse = Delta()
    inhibition: Inhibition = DirectInhibition()
    tie_break: TieBreak = static(default="furthest")
    n_winners: Count = static(default=1)  # who fire in a step at most, where ties are broken
    ghosts: bool = static(default=False)
    w_init: Positive = 0.3  # mV; where `norm` holds at the start, all of them give the same weights
    longest_delay: Annotated[int, Ge(0), Le(31)] = static(default=0)  # steps; of a synapse, besides the one of all
    gain: Positive = 1.0  # of the input projection: the drive is gain * scale * (spikes @ weights)
    norm: Positive | None = 78.4  # mV, length of a neuron's weights; None: never normalised
    norm_order: Literal[1, 2] = static(default=1)  # 1: their sum is kept; 2: the root of the sum of their squares
    norm_at_start: bool = static(default=True)  # False: only after the first presentation, as in BindsNET
    scaling: SynapticScaling | None = None
    answer: Inference = Inference()
    reduction: Reduction = static(default="sum")  # of a batch's changes
    lockstep: bool = static(default=True)  # True: in every step (engines.plasticity); False: once (engines.batch)

    def init(self, key: Array) -> Learned:
        """Untrained: random weights, uniform in [0, w_init], then normalised if `norm_at_start`; and random delays,
        uniform in [0, longest_delay] before they are rounded to steps.
        """
        shape, adaptation = (self.n_input, self.n_neurons), self.neuron.adaptation
        weights = self.w_init * jax.random.uniform(key, shape)
        delay = None
        if self.longest_delay:
            delay = self.longest_delay * jax.random.uniform(jax.random.fold_in(key, 1), shape)
            delay = jnp.round(delay).astype(jnp.uint8)
        return Learned(
            weights=self.normalise(weights) if self.norm_at_start else weights,
            theta=jnp.zeros(self.n_neurons) if adaptation is None else adaptation.init(self.n_neurons),
            scale=None if self.scaling is None else jnp.ones(self.n_neurons),
            delay=delay,
        )

    def reset(self, batch: int) -> Fast:
        """The start of a presentation."""
        shape = (batch, self.n_neurons)
        return Fast(
            neuron=self.neuron.init(shape),
            synapse=self.synapse.init(shape),
            inhibition=self.inhibition.init(shape),
            spikes=jnp.zeros(shape, bool),
        )

    def normalise(self, weights: Array) -> Array:
        """Each neuron's weights scaled to the length `norm`; a column of zeros stays."""
        if self.norm is None:
            return weights
        length = self.length(weights)
        return weights * (self.norm / jnp.where(length == 0, 1.0, length))

    def length(self, weights: Array) -> Array:
        """What the normalisation keeps of each neuron's weights `[n_input, n]`: [n]."""
        return jnp.linalg.norm(weights, ord=self.norm_order, axis=0)

    def gains(self, learned: Learned) -> Array | float:
        """What the spikes that arrive, weighted, are multiplied by: a number, or [n_neurons]."""
        return self.gain if learned.scale is None else self.gain * learned.scale

    def annealed(self, n_seen: Array | float) -> "CompetitiveNetwork":
        """The network for the presentation before which it has seen `n_seen` others: what slows down with them."""
        return self if self.scaling is None else dataclasses.replace(self, scaling=self.scaling.annealed(n_seen))

    def for_inference(self) -> "CompetitiveNetwork":
        """The network that answers, once it has learned."""
        strength = self.inhibition.strength * self.answer.competition
        inhibition = dataclasses.replace(self.inhibition, strength=strength)  # pyright: ignore[reportArgumentType]
        return dataclasses.replace(self, gain=self.gain * self.answer.gain, inhibition=inhibition)

    def homeostasis(self, learned: Learned, theta: Array, counts: Array, n: Array, duration: Array | float) -> Learned:
        """`learned` with the thresholds and scales after `n` presentations, of `duration` ms each, in which the neurons
        fired `counts` [n_neurons] times in all and their spikes brought the thresholds to `theta`.
        """
        adaptation, scale, n = self.neuron.adaptation, learned.scale, n.astype(theta.dtype)
        if adaptation is not None:
            theta = adaptation.decay_presentations(theta, n, duration)
        if scale is not None and self.scaling is not None:
            scale = self.scaling.step(scale, counts, n)
        return dataclasses.replace(learned, theta=theta, scale=scale)

    def draws(self, key: Array, n_steps: int, batch: int) -> RandomDraws:
        """The random numbers of a presentation."""
        key_neuron, key_tie = jax.random.split(key)
        tie = jax.random.uniform(key_tie, (n_steps, batch, self.n_winners)) if self.tie_break == "random" else None
        return RandomDraws(neuron=jax.random.split(key_neuron, n_steps), tie=tie)

    def step(
        self, fast: Fast, drive: Array, theta: Array, dt: Array | float, draws: RandomDraws
    ) -> tuple[Fast, Array, Array]:
        """One step of all membranes: `drive` (mV) `[batch, n_neurons]` came through the input projection; `draws` is
        of this step.

        Returns the state with this step's spikes in it, which neurons were reset (`bool[batch, n_neurons]`:
        those that fired, and the ghosts where there are any), and their potentials before that (mV, likewise).
        """
        inhibition, lateral = self.inhibition.step(fast.inhibition, fast.spikes, dt)
        layer, spikes, was_reset, v = self.move((fast.neuron, fast.synapse), drive, lateral, theta, dt, draws)
        return Fast(neuron=layer[0], synapse=layer[1], inhibition=inhibition, spikes=spikes), was_reset, v

    def move(
        self,
        layer: tuple[State, State],
        drive: Array,
        lateral: Array,
        theta: Array,
        dt: Array | float,
        draws: RandomDraws,
    ) -> tuple[tuple[State, State], Array, Array, Array]:
        """One step of the layer's neurons and synapses, its inhibition apart: their state, who fired, who was reset,
        and the potentials (mV) before resets.
        """
        neuron, synapse = layer
        synapse, current = self.synapse.step(synapse, drive, lateral, neuron.v, dt)
        noise = self.neuron.noise(draws.neuron, drive.shape)
        neuron, excess = self.neuron.integrate(neuron, current, theta, dt, noise)
        spikes = winners(self.tie_break, excess, draws.tie, self.n_winners)
        was_reset = excess >= 0 if self.ghosts else spikes
        return (self.neuron.fire(neuron, was_reset), synapse), spikes, was_reset, neuron.v
