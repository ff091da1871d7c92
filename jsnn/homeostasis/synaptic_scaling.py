"""Synaptic scaling, a component that every competitive network can have."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative, Positive


@node
class SynapticScaling(Node):
    """Synaptic scaling: a neuron's input grows while it fires less than its target, and shrinks while it fires more.

        scale_j <- scale_j * exp(eta_k * (target - n_j))      after presentation k, in which neuron j fired n_j times
        eta_k = eta / (1 + k * target / settle)

    After Turrigiano et al. (1998), here as an exponential approach, once a presentation. The neuron is driven by
    `scale_j` times its weights; the weights themselves, which the rule learns and the normalisation keeps, stay as they
    are. scale is learned state: it starts at 1, outlives a presentation and does not change during inference. In a
    batch every presentation counts, so an epoch has the same homeostasis at every batch size.

    eta_k falls as a stochastic approximation's has to (Robbins & Monro 1951) if `settle` is finite: with a constant eta
    every spike goes on moving its neuron by a share eta of the threshold, which is noise in who wins the next image.

    At equilibrium all neurons fire `target` times a presentation on average, whatever drives them and whatever their
    membrane: that makes neurons and encoders comparable. The adaptive threshold is something else: it has no target
    (its equilibrium rate follows from theta_plus, tau_theta and the drive), acts within the presentation, and moves the
    threshold instead of the input.
    """

    target: Positive = 0.05  # mean spikes in a presentation
    eta: NonNegative = 0.01  # relative change of the scale per spike, initially
    settle: Positive = float("inf")  # spikes of a neuron at its target after which the rate has halved

    def annealed(self, n_seen: Array | float) -> "SynapticScaling":
        """Return the scaling as it is after `n_seen` presentations, with a rate that stays.

        Args:
            n_seen: Number of presentations before the next one.

        Returns:
            A scaling of constant rate eta / (1 + n_seen * target / settle).
        """
        return dataclasses.replace(self, eta=self.eta / (1.0 + n_seen * self.target / self.settle), settle=jnp.inf)

    def step(self, scale: Array, counts: Array, n: Array) -> Array:
        """Update the scales after some presentations.

        Args:
            scale: Scales before them, float32[n_neurons].
            counts: Spikes of each neuron in all of them, float32[n_neurons].
            n: Number of presentations.

        Returns:
            The scales after them, float32[n_neurons].
        """
        return scale * jnp.exp(self.eta * (n * self.target - counts))
