"""Synaptic scaling: homeostasis of a neuron's input, as a component that every network can have."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative, Positive


@node
class SynapticScaling(Node):
    """All synapses of a neuron grow together while it fires less than its target, and shrink while it fires more
    (Turrigiano et al. 1998; here as an exponential approach, once a presentation).

        scale_j <- scale_j * exp(eta_k * (target - n_j))      after presentation k, in which neuron j fired n_j times
        eta_k = eta / (1 + k * target / settle)

    The neuron is driven by `scale_j` times its weights; the weights themselves, which the rule learns and the
    normalisation keeps, stay as they are. scale is learned state: it starts at 1, outlives a presentation and does not
    move in evaluation. In a batch every presentation counts, so an epoch has the same homeostasis at every batch size.

    eta_k falls as a stochastic approximation's has to (Robbins & Monro 1951) if `settle` is finite: with a constant eta
    every spike goes on moving its neuron by a share eta of the threshold: noise in who wins the next image.

    Where it has settled, all neurons fire `target` times a presentation on average, whatever drives them and whatever
    their membrane: that is what makes neurons and encoders comparable. It is not the adaptive threshold in other words:
    that one has no target (its equilibrium rate follows from theta_plus, tau_theta and the drive), acts within the
    presentation, and moves the threshold instead of the input.
    """

    target: Positive = 0.05  # spikes a presentation
    eta: NonNegative = 0.01  # a spike, at first
    settle: Positive = float("inf")  # spikes, of a neuron at its target, after which it is half of that

    def annealed(self, n_seen: Array | float) -> "SynapticScaling":
        """The scaling after `n_seen` presentations: its rate is what it then is, and stays."""
        return dataclasses.replace(self, eta=self.eta / (1.0 + n_seen * self.target / self.settle), settle=jnp.inf)

    def step(self, scale: Array, counts: Array, n: Array) -> Array:
        """The scale after `n` presentations in which the neurons fired `counts` times in all, each [n_neurons]."""
        return scale * jnp.exp(self.eta * (n * self.target - counts))
