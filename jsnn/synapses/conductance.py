"""Conductance-based synapses with reversal potentials."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.pytree import Node, node
from jsnn.core.ranges import Finite, Positive


@node
class Conductances:
    """State of conductance-based synapses, in units of the leak conductance, each float32[..., n_neurons]."""

    excitatory: Array
    inhibitory: Array


@node
class Conductance(Node):
    """Conductance-based synapse: every spike opens a conductance, which closes exponentially.

        tau_e dg_e/dt = -g_e,   tau_i dg_i/dt = -g_i,   g <- g + w at a spike
        I = g_e (e_excitatory - v) + g_i (e_inhibitory - v)

    (Diehl & Cook 2015, §2.1, eq. 1 and 2.) Weights are numbers: conductances in units of the leak's, so that I is in mV
    and belongs on the right of tau_m dv/dt = v_rest - v + I (`jsnn.neurons.EulerLIF`).

    Integrated by the forward Euler method, as in the published simulation: in a step of dt the current is that of the
    conductances at its beginning, and they lose the share dt / tau. At dt = 0.5 ms and tau_e = 1 ms that is a half,
    where the equation itself would leave exp(-0.5) = 0.61; the charge of a spike, tau w, is the same as the equation's.
    dt has to be shorter than both time constants.
    """

    tau_excitatory: Positive = 1.0  # ms
    tau_inhibitory: Positive = 2.0  # ms
    e_excitatory: Finite = 0.0  # mV, reversal potential
    e_inhibitory: Finite = -100.0  # mV, reversal potential

    def init(self, shape: tuple[int, ...]) -> Conductances:
        """Create closed conductances; see `jsnn.core.protocols.Synapse.init`."""
        return Conductances(excitatory=jnp.zeros(shape), inhibitory=jnp.zeros(shape))

    def step(
        self, state: Conductances, excitation: Array, inhibition: Array | float, v: Array, dt: Array | float
    ) -> tuple[Conductances, Array]:
        """Advance by one time step; see `jsnn.core.protocols.Synapse.step`. The current is in mV."""
        g_e, g_i = state.excitatory + excitation, state.inhibitory - inhibition
        current = g_e * (self.e_excitatory - v) + g_i * (self.e_inhibitory - v)
        after = Conductances(
            excitatory=g_e * (1.0 - dt / self.tau_excitatory), inhibitory=g_i * (1.0 - dt / self.tau_inhibitory)
        )
        return after, current

    def current_bound(self, state: Conductances, v: Array, dt: Array | float) -> Array:
        """Bound the current of the excitatory conductance until it has closed, at the lowest possible potential.

        See `jsnn.core.protocols.Synapse.current_bound`.
        """
        lowest = jnp.minimum(v, self.e_inhibitory)
        return state.excitatory * (self.tau_excitatory / dt) * jnp.maximum(self.e_excitatory - lowest, 0.0)
