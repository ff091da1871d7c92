"""The leaky integrate-and-fire neuron."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Finite, NonNegative, Positive, Real
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.neurons import membrane
from jsnn.neurons.membrane import Membrane, Reset


@node
class LIF(Node):
    """Leaky integrate-and-fire neuron, integrated exactly between input spikes.

        v <- v_rest + (v - v_rest) * exp(-dt / tau_m) + I

    with I the sum of the weights (mV) that arrive in the step; a spike where v >= v_threshold + theta, then v <-
    v_reset, or v <- v - (v_threshold - v_reset) where `reset` is "soft". Input that arrives within `refractory` ms of a
    spike is lost, inhibition included; the leak continues. With `adaptation` it is the adaptive LIF of Diehl & Cook
    (2015) in its current-based form.
    """

    tau_m: Positive = 100.0  # ms, membrane time constant
    v_rest: Finite = -65.0  # mV
    v_threshold: Finite = -52.0  # mV
    v_reset: Finite = -60.0  # mV
    v_floor: Real = float("-inf")  # mV; the potential does not fall below it
    refractory: NonNegative | None = 5.0  # ms; None: no refractory period
    reset: Reset = static(default="hard")
    adaptation: AdaptiveThreshold | None = None

    def init(self, shape: tuple[int, ...]) -> Membrane:
        """Create membranes at rest; see `jsnn.core.protocols.Neuron.init`."""
        return membrane.at(self.v_rest, shape, self.refractory)

    def noise(self, key: Array, shape: tuple[int, ...]) -> tuple[()]:
        """Return (): the neuron is deterministic."""
        del key, shape
        return ()

    def integrate(
        self, state: Membrane, current: Array, theta: Array, dt: Array | float, noise: tuple[()]
    ) -> tuple[Membrane, Array]:
        """Advance by one time step; see `jsnn.core.protocols.Neuron.integrate`."""
        del noise
        v = self.v_rest + (state.v - self.v_rest) * jnp.exp(-dt / self.tau_m)
        v = jnp.maximum(v + jnp.where(membrane.is_refractory(state, dt), 0.0, current), self.v_floor)
        return membrane.after(state, v, dt), v - (self.v_threshold + theta)

    def drive(self, current: Array | float, dt: Array | float) -> Array | float:
        """Convert a steady current to the input of one time step, exactly for any dt.

        See `jsnn.core.protocols.CurrentDriven.drive`.
        """
        return current * -jnp.expm1(-dt / self.tau_m)

    def fire(self, state: Membrane, spikes: Array) -> Membrane:
        """Reset the neurons that spiked; see `jsnn.core.protocols.Neuron.fire`."""
        v = self.v_reset if self.reset == "hard" else state.v - (self.v_threshold - self.v_reset)
        return membrane.reset(state, spikes, v, self.refractory)

    def excess_bound(self, state: Membrane, total: Array, n_steps: int, dt: Array | float) -> Array:
        """Bound the excess; see `jsnn.core.protocols.LinearSubthreshold.excess_bound`."""
        without_input = self.advance(state, jnp.zeros(()), n_steps, dt).v
        return membrane.linear_potential_bound(state, without_input, self.v_floor, total, dt) - self.v_threshold

    def kernel(self, n_steps: int, dt: Array | float) -> Array:
        """Return what the leak leaves of each step's input, exp(-s dt / tau_m) with s = n_steps - 1, ..., 0."""
        return jnp.exp(-dt / self.tau_m * jnp.arange(n_steps - 1, -1, -1))

    def advance(self, state: Membrane, displacement: Array, n_steps: int, dt: Array | float) -> Membrane:
        """Advance by several steps without a spike; see `jsnn.core.protocols.LinearSubthreshold.advance`."""
        v = self.v_rest + (state.v - self.v_rest) * jnp.exp(-n_steps * dt / self.tau_m) + displacement
        return membrane.after(state, v, dt, n_steps)

    def potential_bound(self, state: Membrane, current_bound: Array, dt: Array | float) -> Array:
        """Bound the potential; see `jsnn.core.protocols.BoundedPotential.potential_bound`."""
        del dt
        return jnp.maximum(jnp.maximum(state.v, self.v_rest), self.v_floor) + current_bound
