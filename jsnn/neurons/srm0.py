"""The spike-response model SRM0 with escape noise."""

import jax
import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Finite, NonNegative, Positive, Real
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.neurons import membrane
from jsnn.neurons.membrane import Membrane


@node
class SRM0(Node):
    """Spike-response model SRM0 with an exponential kernel and escape noise (Gerstner & Kistler 2002, §4.2 and §5.3).

        v <- v_rest + (v - v_rest) * exp(-dt / tau_m) + epsilon_0 * I
        P(spike in dt) = 1 - exp(-rho dt),    rho = rho_0 * exp((v - v_threshold - theta) / delta)

    Implemented as a noisy threshold: with E ~ Exp(1) the neuron crosses where v - v_threshold - theta >= delta * log(E
    / (rho_0 dt)), which has that probability; by how much it crosses is what the winner-take-all needs. It does not
    fire while refractory, unless `fires_in_refractory` (BindsNET's does).

    E is one of 2^32 equally likely values: the probability of a spike in a step is right to 2^-32, and a neuron whose
    own is below 2^-33 (23 delta below the threshold, at rho_0 dt = 1) does not fire at all.
    """

    tau_m: Positive = 100.0  # ms
    v_rest: Finite = -65.0  # mV
    v_threshold: Finite = -52.0  # mV
    v_reset: Finite = -60.0  # mV
    v_floor: Real = float("-inf")  # mV; the potential does not fall below it
    refractory: NonNegative | None = 5.0  # ms; None: no refractory period
    epsilon_0: Positive = 1.0  # gain of the input
    rho_0: Positive = 1.0  # 1/ms, rate at the threshold
    delta: Positive = 5.0  # mV, width of the threshold
    fires_in_refractory: bool = static(default=False)
    adaptation: AdaptiveThreshold | None = None

    def init(self, shape: tuple[int, ...]) -> Membrane:
        """Create membranes at rest; see `jsnn.core.protocols.Neuron.init`."""
        return membrane.at(self.v_rest, shape, self.refractory)

    def noise(self, key: Array, shape: tuple[int, ...]) -> Array:
        """Draw E ~ Exp(1) for each neuron; see `jsnn.core.protocols.Neuron.noise`.

        E is computed from the middles of 2^32 equal parts of [0, 1]; it is never 0, which would be below any rate.
        """
        u = (jax.random.bits(key, shape, jnp.uint32).astype(float) + 0.5) * 2.0**-32
        return -jnp.log1p(-jnp.minimum(u, 1.0 - 2.0**-24))  # float32 rounds the last of them to 1

    def integrate(
        self, state: Membrane, current: Array, theta: Array, dt: Array | float, noise: Array
    ) -> tuple[Membrane, Array]:
        """Advance by one time step; see `jsnn.core.protocols.Neuron.integrate`."""
        v = self.v_rest + (state.v - self.v_rest) * jnp.exp(-dt / self.tau_m)
        v = jnp.maximum(v + jnp.where(membrane.is_refractory(state, dt), 0.0, self.epsilon_0 * current), self.v_floor)
        excess = v - (self.v_threshold + theta) - self.delta * jnp.log(noise / (self.rho_0 * dt))
        if not self.fires_in_refractory:
            excess = jnp.where(membrane.is_refractory(state, dt), -jnp.inf, excess)
        return membrane.after(state, v, dt), excess

    def drive(self, current: Array | float, dt: Array | float) -> Array | float:
        """Convert a steady current to the input of one time step, before `epsilon_0` multiplies it.

        See `jsnn.core.protocols.CurrentDriven.drive`.
        """
        return current * -jnp.expm1(-dt / self.tau_m) / self.epsilon_0

    def fire(self, state: Membrane, spikes: Array) -> Membrane:
        """Reset the neurons that spiked; see `jsnn.core.protocols.Neuron.fire`."""
        return membrane.reset(state, spikes, self.v_reset, self.refractory)
