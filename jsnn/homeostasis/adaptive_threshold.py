"""The adaptive threshold: homeostasis of a neuron, as a component that every neuron can have."""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import NonNegative, Positive


@node
class AdaptiveThreshold(Node):
    """A threshold that rises with a neuron's own spikes and sinks slowly (Diehl & Cook 2015, §2.3).

        theta <- theta + theta_plus               at every spike of the neuron
        d theta / dt = -theta / tau_theta         otherwise

    The neuron's threshold is `v_threshold + theta`. theta is learned state: it outlives a presentation, is shared by
    all presentations of a batch (each adds its spikes) and does not move in evaluation.

    `clock` says what the decay counts. "presentation": each presentation lasts n_steps * dt, so that a batch of B
    decays theta by exp(-B * n_steps * dt / tau_theta) and an epoch has the same homeostasis at every batch size.
    "step": every step of the simulation decays once, however many presentations it holds, which is what BindsNET
    does (its homeostasis weakens with the batch; in float32 the factor exp(-1e-7) also rounds to 1 - 2^-23 or 1 -
    2^-24).

    The defaults are for a hundred neurons that see images like MNIST's for 100 ms each: theta reaches an equilibrium
    within 4000 of them. Diehl & Cook have 0.05 mV and 1e7 ms, for presentations of 500 ms and more of them; with these
    numbers the default network learns more slowly (42 instead of 67 % after 2000 images of the excerpt).
    """

    theta_0: NonNegative = 0.0  # mV, of an untrained neuron
    theta_plus: NonNegative = 0.2  # mV a spike
    tau_theta: Positive = 4e5  # ms
    clock: Literal["presentation", "step"] = static(default="presentation")

    def init(self, n_neurons: int) -> Array:
        """theta of untrained neurons."""
        return jnp.full(n_neurons, self.theta_0, float)

    def decay_step(self, theta: Array, dt: Array | float) -> Array:
        """theta after one step without spikes."""
        return theta * jnp.exp(-dt / self.tau_theta) if self.clock == "step" else theta

    def decay_presentations(self, theta: Array, n: Array, duration: Array | float) -> Array:
        """theta after `n` presentations of `duration` ms."""
        return theta * jnp.exp(-n * duration / self.tau_theta) if self.clock == "presentation" else theta
