"""Lateral inhibition through a population of inhibitory neurons."""

import jax.numpy as jnp
from jax import Array

from jsnn.core.protocols import Neuron, State, Synapse
from jsnn.core.pytree import Node, node
from jsnn.core.ranges import NonNegative
from jsnn.neurons import LIF
from jsnn.synapses import Delta


@node
class LayerState:
    """State of the inhibitory population: membranes, synapses and the spikes of the step before, [batch, n_neurons]."""

    membrane: State
    synapse: State
    spikes: Array


@node
class InhibitoryLayer(Node):
    """Inhibition through a population of inhibitory neurons: the three-layer network of Diehl & Cook (2015).

    Excitatory neuron j drives inhibitory neuron j, which inhibits all excitatory neurons but neuron j.

        inhibitory j receives   excitation * s_j                          through its `synapse`
        excitatory j receives   -strength * (sum_k s^inh_k - s^inh_j)     through the network's

    Every projection delays one step, so inhibition arrives two steps after the spike that caused it.
    """

    neuron: Neuron = LIF(tau_m=10.0, v_rest=-60.0, v_reset=-45.0, v_threshold=-40.0, refractory=2.0)
    synapse: Synapse = Delta()
    excitation: NonNegative = 22.5  # mV, excitatory to inhibitory
    strength: NonNegative = 120.0  # mV, inhibitory to excitatory

    def init(self, shape: tuple[int, ...]) -> LayerState:
        """Create inhibitory neurons at rest; see `jsnn.core.protocols.Inhibition.init`."""
        return LayerState(
            membrane=self.neuron.init(shape), synapse=self.synapse.init(shape), spikes=jnp.zeros(shape, bool)
        )

    def step(self, state: LayerState, spikes: Array, dt: Array | float) -> tuple[LayerState, Array]:
        """Advance by one time step; see `jsnn.core.protocols.Inhibition.step`.

        The inhibition comes from the inhibitory spikes of the step before; then the population receives the excitatory
        ones.
        """
        s = state.spikes.astype(float)
        current = -self.strength * (jnp.sum(s, axis=-1, keepdims=True) - s)
        drive = self.excitation * spikes.astype(float)
        synapse, drive = self.synapse.step(state.synapse, drive, 0.0, state.membrane.v, dt)
        membrane, excess = self.neuron.integrate(state.membrane, drive, jnp.zeros(()), dt, ())
        fired = excess >= 0
        return LayerState(membrane=self.neuron.fire(membrane, fired), synapse=synapse, spikes=fired), current
