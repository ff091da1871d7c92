"""The competitive network: inputs, one plastic projection, and a layer of spiking neurons that inhibit each other.

What it has learned (`Learned`) outlives a presentation; what happens within one (`Fast`) is reset before each. Every
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
    """The learned state of a network, which training changes and inference cannot."""

    weights: Array  # mV, [n_input, n_neurons]
    theta: Array  # mV, [n_neurons]: the adaptive part of the thresholds; zero for a fixed threshold
    scale: Array | None = None  # [n_neurons], factors of the weighted inputs; None: no synaptic scaling
    delay: Array | None = None  # uint8[n_input, n_neurons], steps: drawn once, never learned; None: no delays


@node
class Fast:
    """The state of a network within a presentation, for a batch of presentations."""

    neuron: State
    synapse: State
    inhibition: State
    spikes: Array  # bool[batch, n_neurons], spikes of the step before


@node
class RandomDraws:
    """The random numbers of a presentation, drawn before it; neurons draw their own from a key of each step."""

    neuron: Array  # keys of the steps, [n_steps]
    tie: Array | None  # float32[n_steps, batch, n_winners] in [0, 1), for tie_break = "random"


@node
class Inference(Node):
    """Factors on input gain and lateral inhibition at inference.

    Inference may use other settings than learning. To learn, one neuron has to win an image. To classify, it helps if
    several respond, each as often as the image resembles its weights: more input gain and less inhibition let them.
    With 1 and 1 the network responds as it learns.
    """

    gain: Positive = 1.0
    competition: NonNegative = 1.0


@node
class CompetitiveNetwork(Node):
    """Network of one layer of spiking neurons with lateral inhibition, which learns by local plasticity.

    `inhibition` makes it the two-layer or the three-layer network of the literature.

    `ghosts`: neurons that cross their threshold but lose the winner-take-all are nevertheless reset, made refractory
    and raise their theta, as in BindsNET; otherwise only neurons that fire change.

    `lockstep`: the presentations of a batch change the weights together in every step, as in BindsNET; otherwise each
    learns on its own from the weights that the batch starts with, and their changes are combined at its end.
    """

    n_input: Count = static(default=784)
    n_neurons: Count = static(default=100)
    neuron: Neuron = LIF(adaptation=AdaptiveThreshold())
    rule: Rule = STDP()
    synapse: Synapse = Delta()
    inhibition: Inhibition = DirectInhibition()
    tie_break: TieBreak = static(default="furthest")
    n_winners: Count = static(default=1)  # largest number of neurons that fire in a step, unless tie_break is "none"
    ghosts: bool = static(default=False)
    w_init: Positive = 0.3  # mV; without effect where `norm_at_start` normalises the weights
    longest_delay: Annotated[int, Ge(0), Le(31)] = static(
        default=0
    )  # steps, in addition to the one step of every projection
    gain: Positive = 1.0  # factor of the input: the drive is gain * scale * (spikes @ weights)
    norm: Positive | None = 78.4  # mV, length of a neuron's weights; None: never normalised
    norm_order: Literal[1, 2] = static(default=1)  # length: 1, sum of the weights; 2, root of the sum of their squares
    norm_at_start: bool = static(default=True)  # False: only after the first presentation, as in BindsNET
    scaling: SynapticScaling | None = None
    answer: Inference = Inference()
    reduction: Reduction = static(default="sum")  # how the changes of a batch are combined
    lockstep: bool = static(default=True)  # True: weights change in every step; False: after the batch (engines.batch)

    def init(self, key: Array) -> Learned:
        """Create an untrained network.

        Weights are uniform in [0, w_init], then normalised if `norm_at_start`; delays are uniform in [0, longest_delay]
        before they are rounded to steps.

        Args:
            key: Random key.

        Returns:
            The state of the untrained network.
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
        """Create the state at the start of a presentation, for a batch of `batch` presentations."""
        shape = (batch, self.n_neurons)
        return Fast(
            neuron=self.neuron.init(shape),
            synapse=self.synapse.init(shape),
            inhibition=self.inhibition.init(shape),
            spikes=jnp.zeros(shape, bool),
        )

    def normalise(self, weights: Array) -> Array:
        """Scale the weights of each neuron, [n_input, n], to the length `norm`; a column of zeros stays."""
        if self.norm is None:
            return weights
        length = self.length(weights)
        return weights * (self.norm / jnp.where(length == 0, 1.0, length))

    def length(self, weights: Array) -> Array:
        """Compute the length that the normalisation preserves, [n], of each neuron's weights, [n_input, n]."""
        return jnp.linalg.norm(weights, ord=self.norm_order, axis=0)

    def gains(self, learned: Learned) -> Array | float:
        """Return the factors of the weighted input spikes: a number, or [n_neurons] with synaptic scaling."""
        return self.gain if learned.scale is None else self.gain * learned.scale

    def annealed(self, n_seen: Array | float) -> "CompetitiveNetwork":
        """Return the network as it is for the next presentation, with rates that fall over training as they then are.

        Args:
            n_seen: Number of presentations before the next one.

        Returns:
            The network.
        """
        return self if self.scaling is None else dataclasses.replace(self, scaling=self.scaling.annealed(n_seen))

    def for_inference(self) -> "CompetitiveNetwork":
        """Return the network with its settings of inference: input gain and lateral inhibition times their factors."""
        strength = self.inhibition.strength * self.answer.competition
        inhibition = dataclasses.replace(self.inhibition, strength=strength)  # pyright: ignore[reportArgumentType]
        return dataclasses.replace(self, gain=self.gain * self.answer.gain, inhibition=inhibition)

    def homeostasis(self, learned: Learned, theta: Array, counts: Array, n: Array, duration: Array | float) -> Learned:
        """Update thresholds and scales after some presentations.

        Args:
            learned: What the network has learned before them.
            theta: Adaptive part of the thresholds, mV, [n_neurons], with the increments of their spikes.
            counts: Spikes of each neuron in all of them, [n_neurons].
            n: Number of presentations.
            duration: Duration of each, ms.

        Returns:
            `learned` with the new theta and scale.
        """
        adaptation, scale, n = self.neuron.adaptation, learned.scale, n.astype(theta.dtype)
        if adaptation is not None:
            theta = adaptation.decay_presentations(theta, n, duration)
        if scale is not None and self.scaling is not None:
            scale = self.scaling.step(scale, counts, n)
        return dataclasses.replace(learned, theta=theta, scale=scale)

    def draws(self, key: Array, n_steps: int, batch: int) -> RandomDraws:
        """Draw the random numbers of a presentation.

        Args:
            key: Random key.
            n_steps: Number of time steps.
            batch: Number of presentations in the batch.

        Returns:
            The draws of all steps.
        """
        key_neuron, key_tie = jax.random.split(key)
        tie = jax.random.uniform(key_tie, (n_steps, batch, self.n_winners)) if self.tie_break == "random" else None
        return RandomDraws(neuron=jax.random.split(key_neuron, n_steps), tie=tie)

    def step(
        self, fast: Fast, drive: Array, theta: Array, dt: Array | float, draws: RandomDraws
    ) -> tuple[Fast, Array, Array]:
        """Advance the whole layer by one time step.

        Args:
            fast: State before the step.
            drive: Input through the plastic projection, mV, [batch, n_neurons].
            theta: Adaptive part of the thresholds, mV, [n_neurons].
            dt: Time step, ms.
            draws: Random numbers of this step.

        Returns:
            The state with this step's spikes in it; which neurons were reset, bool[batch, n_neurons] (those that
                fired, and
            with `ghosts` those that lost); and the potentials before the reset, mV, [batch, n_neurons].
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
        """Advance neurons and synapses by one time step, given the inhibition that they receive.

        Args:
            layer: States of the neurons and of the synapses.
            drive: Input through the plastic projection, mV, [batch, n_neurons].
            lateral: Inhibition, <= 0, mV, [batch, n_neurons].
            theta: Adaptive part of the thresholds, mV, [n_neurons].
            dt: Time step, ms.
            draws: Random numbers of this step.

        Returns:
            The states after the step; the spikes, bool[batch, n_neurons]; which neurons were reset, likewise; and the
            potentials before the reset, mV, [batch, n_neurons].
        """
        neuron, synapse = layer
        synapse, current = self.synapse.step(synapse, drive, lateral, neuron.v, dt)
        noise = self.neuron.noise(draws.neuron, drive.shape)
        neuron, excess = self.neuron.integrate(neuron, current, theta, dt, noise)
        spikes = winners(self.tie_break, excess, draws.tie, self.n_winners)
        was_reset = excess >= 0 if self.ghosts else spikes
        return (self.neuron.fire(neuron, was_reset), synapse), spikes, was_reset, neuron.v
