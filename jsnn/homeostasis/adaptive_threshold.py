"""The adaptive threshold, a component that every neuron can have."""

from typing import Literal

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import NonNegative, Positive


@node
class AdaptiveThreshold(Node):
    """Threshold that rises with a neuron's own spikes and sinks slowly (Diehl & Cook 2015, §2.3).

        theta <- theta + theta_plus               at every spike of the neuron
        d theta / dt = -theta / tau_theta         otherwise

    The neuron's threshold is `v_threshold + theta`. theta is learned state: it outlives a presentation, is shared by
    all presentations of a batch (each adds its spikes) and does not change during inference.

    `clock` says what the decay counts. "presentation": each presentation lasts n_steps * dt, so that a batch of B
    decays theta by exp(-B * n_steps * dt / tau_theta) and an epoch has the same homeostasis at every batch size.
    "step": every step of the simulation decays once, however many presentations it holds, as in BindsNET (its
    homeostasis weakens with the batch size; in float32 the factor exp(-1e-7) also rounds to 1 - 2^-23 or 1 - 2^-24).

    The defaults are for a hundred neurons that see images like MNIST's for 100 ms each: theta reaches an equilibrium
    within 4000 of them. Diehl & Cook have 0.05 mV and 1e7 ms, for presentations of 500 ms and more of them; with these
    numbers the default network learns more slowly (42 instead of 67 % after 2000 images of the excerpt).
    """

    theta_0: NonNegative = 0.0  # mV, theta of an untrained neuron
    theta_plus: NonNegative = 0.2  # mV, added at each spike
    tau_theta: Positive = 4e5  # ms
    clock: Literal["presentation", "step"] = static(default="presentation")

    def init(self, n_neurons: int) -> Array:
        """Create theta of untrained neurons; see `jsnn.core.protocols.Adaptation.init`."""
        return jnp.full(n_neurons, self.theta_0, float)

    def decay_step(self, theta: Array, dt: Array | float) -> Array:
        """Decay theta over one time step; see `jsnn.core.protocols.Adaptation.decay_step`."""
        return theta * jnp.exp(-dt / self.tau_theta) if self.clock == "step" else theta

    def decay_presentations(self, theta: Array, n: Array, duration: Array | float) -> Array:
        """Decay theta over whole presentations; see `jsnn.core.protocols.Adaptation.decay_presentations`."""
        return theta * jnp.exp(-n * duration / self.tau_theta) if self.clock == "presentation" else theta
