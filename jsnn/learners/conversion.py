"""A spiking network that is not trained: its weights are those of an ANN."""

from typing import Annotated, Literal

import jax.numpy as jnp
from annotated_types import Gt, Le
from jax import Array

from jsnn.core.pytree import node, static
from jsnn.core.ranges import Count
from jsnn.learners.bptt import BPTT
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params
from jsnn.neurons import IF


@node
class Conversion:
    """An ANN of rectified linear units, trained by backpropagation, whose weights a network of integrate-and-fire
    neurons takes over (Diehl et al. 2015; Rueckauer et al. 2017): with a soft reset, the rate of such a neuron is its
    mean input in units of D = v_threshold - v_reset, clipped to [0, 1] spikes a step. So activations have to be at most
    1, and weights are multiples of D:

        W_l <- D W_l lambda_(l-1) / lambda_l,    lambda_l = a percentile of layer l's activations over training images

    (eq. 6 of Rueckauer et al.; pixels are in [0, 1]: lambda_0 = 1). Neurons should begin halfway between v_reset and
    v_threshold (`IF.v_init`): rates are then rounded, not cut off (Bu et al. 2022). The output integrates and never
    fires. A refractory period, a floor or a hard reset would change the rates: they are refused
    (`jsnn.runs.validation`).
    """

    percentile: Annotated[float, Gt(0), Le(100)] = 99.9
    n_images: Count = static(default=500)  # training images, the first ones, from which lambda is taken
    loss: Literal["mean_squared", "cross_entropy"] = static(default="cross_entropy")
    optimiser: Optimiser = Optimiser()

    def gradient(self, network: Feedforward, params: Params, batch: LabelledBatch) -> tuple[Params, BatchMetrics]:
        """Of the ANN; see `jsnn.learners.Learner`."""
        return BPTT(loss=self.loss).gradient(network, params, batch)

    def convert(self, network: Feedforward, params: Params, images: Array, neuron: IF) -> Params:
        """The parameters of a spiking network of `neuron`, of those of the ANN `network`, which saw `images`
        float32[n, height, width, channels]. Weights that are not finite are those of a layer whose lambda is 0.
        """
        distance = neuron.v_threshold - neuron.v_reset
        before, synapses = jnp.ones(()), []
        activations = network.activations(params, images)
        for i, own in enumerate(params["synapses"]):
            last = i == len(params["synapses"]) - 1
            after = before if last else jnp.percentile(activations[i], self.percentile)
            ((name, layer),) = own.items()
            scaled = {"kernel": layer["kernel"] * (distance * before / after)} | (
                {"bias": layer["bias"] * (distance / after)} if "bias" in layer else {}
            )
            synapses.append({name: scaled})
            before = after
        return {"synapses": synapses, "neurons": [{} for _ in synapses]}
