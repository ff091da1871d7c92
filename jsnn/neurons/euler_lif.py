"""The leaky integrate-and-fire neuron as Diehl & Cook simulate it."""

import dataclasses

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Finite, NonNegative, Positive, Real
from jsnn.homeostasis.adaptive_threshold import AdaptiveThreshold
from jsnn.neurons import membrane
from jsnn.neurons.membrane import Membrane


@node
class EulerLIF(Node):
    """Leaky integrate-and-fire neuron under a synaptic current, integrated by the forward Euler method.

        v <- max(v + dt / tau_m * (v_rest - v + I), v_floor)

    with I the synaptic current in mV, that is, in units of the leak conductance (Diehl & Cook 2015, §2.1, eq. 1). A
    spike where v >= v_threshold + theta, then v <- v_reset. The membrane is held there until `refractory` ms after the
    spike; input that arrives meanwhile acts afterwards as far as its conductance is still open.

    The floor is the reversal potential of inhibition, which the equation itself never passes. The Euler step does where
    dt / tau_m times the conductances is more than 1 (a dozen neurons that inhibit at once, at dt = 0.5 ms), and from
    there it may jump over the threshold: a layer of 1600 neurons then fires as one, until every theta is out of reach.

    The defaults are their excitatory neurons. theta starts at 20 mV above a threshold of -72 mV, below rest: a neuron
    that stays silent sinks until it fires (Diehl's released code; the paper has the sum, -52 mV).
    """

    tau_m: Positive = 100.0  # ms, membrane time constant
    v_rest: Finite = -65.0  # mV
    v_threshold: Finite = -72.0  # mV, without theta
    v_reset: Finite = -65.0  # mV
    v_floor: Real = -100.0  # mV
    refractory: NonNegative | None = 5.0  # ms; None: no refractory period
    adaptation: AdaptiveThreshold | None = AdaptiveThreshold(theta_0=20.0, theta_plus=0.05, tau_theta=1e7)

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
        """Advance by one time step; see `jsnn.core.protocols.Neuron.integrate`.

        A neuron is refractory as judged at the end of the step: where its refractory period ends with the step, it
        moves.
        """
        del noise
        after = membrane.after(state, state.v, dt)
        held = membrane.is_refractory(after, dt)
        v = jnp.maximum(state.v + dt / self.tau_m * (self.v_rest - state.v + current), self.v_floor)
        v = jnp.where(held, state.v, v)
        excess = jnp.where(held, -jnp.inf, v - (self.v_threshold + theta))
        return dataclasses.replace(after, v=v), excess

    def drive(self, current: Array | float, dt: Array | float) -> Array | float:
        """Return R * I as it is: `integrate` takes the current in the unit of the potential."""
        del dt
        return current

    def fire(self, state: Membrane, spikes: Array) -> Membrane:
        """Reset the neurons that spiked; see `jsnn.core.protocols.Neuron.fire`."""
        return membrane.reset(state, spikes, self.v_reset, self.refractory)

    def potential_bound(self, state: Membrane, current_bound: Array, dt: Array | float) -> Array:
        """Bound the potential; see `jsnn.core.protocols.BoundedPotential.potential_bound`."""
        return jnp.maximum(state.v, self.v_rest) + dt / self.tau_m * current_bound
