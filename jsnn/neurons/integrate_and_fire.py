"""The integrate-and-fire neuron, without leak."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node, static
from jsnn.core.ranges import Finite, NonNegative, Real
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.neurons import membrane
from jsnn.neurons.membrane import Membrane, Reset


@node
class IF(Node):
    """Integrate-and-fire neuron without leak.

        v <- v + I while not refractory

    A spike where v >= v_threshold + theta, then v <- v_reset, or v <- v - (v_threshold - v_reset) where `reset` is
    "soft". It starts at `v_init`. Input within `refractory` ms of a spike is lost, inhibition included.
    """

    v_threshold: Finite = -52.0  # mV
    v_reset: Finite = -60.0  # mV
    v_init: Finite | None = None  # mV; None: v_reset
    v_floor: Real = float("-inf")  # mV; the potential does not fall below it
    refractory: NonNegative | None = 5.0  # ms; None: no refractory period
    reset: Reset = static(default="hard")
    adaptation: AdaptiveThreshold | None = None

    def init(self, shape: tuple[int, ...]) -> Membrane:
        """Create membranes at `v_init`; see `jsnn.core.protocols.Neuron.init`."""
        return membrane.at(self.v_reset if self.v_init is None else self.v_init, shape, self.refractory)

    def noise(self, key: Array, shape: tuple[int, ...]) -> tuple[()]:
        """Return (): the neuron is deterministic."""
        del key, shape
        return ()

    def integrate(
        self, state: Membrane, current: Array, theta: Array, dt: Array | float, noise: tuple[()]
    ) -> tuple[Membrane, Array]:
        """Advance by one time step; see `jsnn.core.protocols.Neuron.integrate`."""
        del noise
        v = jnp.maximum(state.v + jnp.where(membrane.is_refractory(state, dt), 0.0, current), self.v_floor)
        return membrane.after(state, v, dt), v - (self.v_threshold + theta)

    def drive(self, current: Array | float, dt: Array | float) -> Array | float:
        """Convert a steady current, here in mV per ms as nothing settles without leak, to the input of one time step.

        See `jsnn.core.protocols.CurrentDriven.drive`.
        """
        return current * dt

    def fire(self, state: Membrane, spikes: Array) -> Membrane:
        """Reset the neurons that spiked; see `jsnn.core.protocols.Neuron.fire`."""
        v = self.v_reset if self.reset == "hard" else state.v - (self.v_threshold - self.v_reset)
        return membrane.reset(state, spikes, v, self.refractory)

    def excess_bound(self, state: Membrane, total: Array, n_steps: int, dt: Array | float) -> Array:
        """Bound the excess; see `jsnn.core.protocols.LinearSubthreshold.excess_bound`."""
        del n_steps
        return membrane.linear_potential_bound(state, state.v, self.v_floor, total, dt) - self.v_threshold

    def kernel(self, n_steps: int, dt: Array | float) -> Array:
        """Return ones: without leak every input stays; see `jsnn.core.protocols.LinearSubthreshold.kernel`."""
        del dt
        return jnp.ones(n_steps)

    def advance(self, state: Membrane, displacement: Array, n_steps: int, dt: Array | float) -> Membrane:
        """Advance by several steps without a spike; see `jsnn.core.protocols.LinearSubthreshold.advance`."""
        return membrane.after(state, state.v + displacement, dt, n_steps)
