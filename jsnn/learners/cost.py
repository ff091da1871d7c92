"""What an answer costs, and what learning costs: operations, energy, memory. Functions of a network and its activity.

Synaptic operations are counted where something arrives: a spike makes an addition at each synapse it reaches, a pixel
or an activation that is not 0 a multiplication and an addition (as Deng et al. 2020 count, and NeuroBench's "effective"
operations, but for spikes that are averaged: each is an addition, see `jsnn.networks.feedforward.synaptic_operations`
and tests/test_neurobench.py). What a neuron does in every step whether or not anything arrives is counted apart, and
not hidden.
"""

import dataclasses
import math
from collections.abc import Sequence

from jsnn.core.pytree import node
from jsnn.core.ranges import NonNegative
from jsnn.networks.competitive import CompetitiveNetwork
from jsnn.networks.feedforward import Feedforward, Projection, ReLU


@node
class Energies:
    """Of one operation, pJ: float32 in 45 nm (Horowitz 2014): an addition 0.9, a multiplication 3.7. Memory traffic is
    not in it: on real chips it costs more than the arithmetic.
    """

    mac: NonNegative = 4.6
    accumulate: NonNegative = 0.9


IN_45_NM = Energies()


@dataclasses.dataclass(frozen=True)
class Price:
    """Operations of one presentation, means over many."""

    macs: float = 0.0  # multiplications with an addition, at synapses
    accumulates: float = 0.0  # additions, at synapses
    updates: float = 0.0  # of a neuron in a step: a MAC each (leak and sum), beside the synapses

    def energy(self, energies: Energies = IN_45_NM) -> float:
        """Of the synapses, pJ."""
        return float(self.macs * energies.mac + self.accumulates * energies.accumulate)

    def energy_of_neurons(self, energies: Energies = IN_45_NM) -> float:
        """Of the updates, pJ."""
        return float(self.updates * energies.mac)


def inputs_of(layer: Projection, seen: tuple[int, ...]) -> int:
    """Of one neuron of a layer that sees the shape `seen`, padding included."""
    if layer.kernel:
        return layer.kernel**2 * seen[-1]
    width = math.prod(w for _, w in layer.pooling)
    return math.prod(n // width for n in seen[:-1]) * seen[-1]


def dense_macs(network: Feedforward) -> list[int]:
    """Of each layer, if nothing were 0, padding included: what an ANN is usually priced at."""
    shapes = network.shapes
    each = zip(network.layers, shapes[:-1], shapes[1:], strict=True)
    return [inputs_of(layer, seen) * math.prod(made) for layer, seen, made in each]


def answering(network: Feedforward, operations: Sequence[float], n_steps: int, analog: bool) -> Price:
    """Of a feedforward network: `operations` of each layer (`Response.operations`); `analog`: its input is not spikes,
    so that its first layer multiplies.
    """
    if isinstance(network.neuron, ReLU):
        return Price(macs=sum(operations))
    first = operations[0] if analog else 0.0
    return Price(macs=first, accumulates=sum(operations) - first, updates=float(network.n_neurons * n_steps))


def answering_of_plastic(network: CompetitiveNetwork, input_spikes: float, output_spikes: float, n_steps: int) -> Price:
    """Of a network that learned by plasticity: input and lateral synapses; the inhibitory layer's neurons, where there
    is one, are updated too.
    """
    lateral = output_spikes * (network.n_neurons - 1)
    layers = 2 if hasattr(network.inhibition, "neuron") else 1
    return Price(
        accumulates=input_spikes * network.n_neurons + lateral, updates=float(layers * network.n_neurons * n_steps)
    )


def backpropagated(network: Feedforward, n_steps: int) -> float:
    """MACs of the errors that backpropagation brings to each neuron and step, through all synapses above it."""
    return float(sum(dense_macs(network)[1:]) * (1 if isinstance(network.neuron, ReLU) else n_steps))


def learning_of_plastic(network: CompetitiveNetwork, input_spikes: float, output_spikes: float) -> Price:
    """Of local plasticity in one presentation, beside answering it: the synapses whose weights a spike changes, a MAC
    each (presynaptic spikes only where the rule has something for them), and the normalisation of all.
    """
    pre = 0.0 if network.rule.post_trace is None else input_spikes * network.n_neurons
    normalisation = 0.0 if network.norm is None else float(network.n_input * network.n_neurons)
    return Price(macs=pre + output_spikes * network.n_input + normalisation)


def memory(network: Feedforward, n_steps: int, bits: int = 32) -> dict[str, int]:
    """Bytes: of the weights; of the neurons' states; of one step's activations (a bit a spike); and of what
    backpropagation keeps of a presentation (a state and a spike of each neuron and step).
    """
    weights = sum(
        (inputs_of(layer, seen) + network.bias) * layer.size
        for layer, seen in zip(network.layers, network.shapes, strict=False)
    )
    n, spiking = network.n_neurons, not isinstance(network.neuron, ReLU)
    steps = (network.chunk or 0) + n_steps // network.chunk if network.chunk else n_steps
    return {
        "weights": weights * bits // 8,
        "states": n * bits // 8 if spiking else 0,
        "activations": n // 8 if spiking else n * bits // 8,
        "kept_for_learning": n * bits // 8 * steps if spiking else n * bits // 8,
    }


def latency(accuracy_after: Sequence[float], share: float = 0.99) -> int:
    """The first step after which the accuracy is at least `share` of that after the last."""
    return next(t for t, a in enumerate(accuracy_after, 1) if a >= share * accuracy_after[-1])
