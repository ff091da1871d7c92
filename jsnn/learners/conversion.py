"""A spiking network that is not trained: its weights are those of an ANN."""

import dataclasses
from typing import Annotated, Any, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Gt, Le
from jax import Array

from jsnn.core.errors import InputError
from jsnn.core.pytree import node, static
from jsnn.core.ranges import Count
from jsnn.data import Dataset
from jsnn.encoders import BindsnetRankOrder, Direct, RankOrder, Recording
from jsnn.engines.stimulus import TRAIN
from jsnn.grid.groups import Lane, Schedule, Trial
from jsnn.grid.layout import Layout, fetch
from jsnn.learners import cost, updates
from jsnn.learners.bptt import BPTT
from jsnn.learners.cost import Price
from jsnn.learners.gradient_learner import GradientLearner
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params, ReLU
from jsnn.neurons import IF


@node
class Conversion(GradientLearner):
    """An ANN of rectified linear units, trained by backpropagation, whose weights a network of integrate-and-fire
    neurons takes over (Diehl et al. 2015; Rueckauer et al. 2017): with a soft reset, the rate of such a neuron is its
    mean input in units of D = v_threshold - v_reset, clipped to [0, 1] spikes a step. So activations have to be at most
    1, and weights are multiples of D:

        W_l <- D W_l lambda_(l-1) / lambda_l,    lambda_l = a percentile of layer l's activations over training images

    (eq. 6 of Rueckauer et al.; pixels are in [0, 1]: lambda_0 = 1). Neurons should begin halfway between v_reset and
    v_threshold (`IF.v_init`): rates are then rounded, not cut off (Bu et al. 2022). The output integrates and never
    fires. A refractory period, a floor or a hard reset would change the rates: they are refused
    (`check_network`).
    """

    percentile: Annotated[float, Gt(0), Le(100)] = 99.9
    n_images: Count = static(default=500)  # training images, the first ones, from which lambda is taken
    loss: Literal["mean_squared", "cross_entropy"] = static(default="cross_entropy")
    optimiser: Optimiser = Optimiser()

    def gradient(self, network: Feedforward, params: Params, batch: LabelledBatch) -> tuple[Params, BatchMetrics]:
        """The gradient of the ANN's loss; see `GradientLearner.gradient`."""
        return BPTT(loss=self.loss).gradient(network, params, batch)

    def as_trained(self, trial: Trial) -> Trial:
        """The ANN of a trial, which sees pixels once."""
        inputs = trial.inputs
        if isinstance(inputs.encoder, Recording):  # the sum of its bins, for an ANN knows no time
            inputs = dataclasses.replace(inputs, encoder=Recording(accumulated=True))
        else:
            inputs = dataclasses.replace(inputs, encoder=Direct(), n_steps=1)
        network = dataclasses.replace(trial.network, neuron=ReLU(), readout="membrane")
        return dataclasses.replace(trial, inputs=inputs, network=network)

    def finished(self, lane: Lane, layout: Layout, params: Params, data: Dataset, schedule: Schedule) -> Params:
        """The parameters of the spiking networks, from those of their ANNs. Raises InputError where a layer of an ANN
        is silent.
        """
        trials, n = lane.cells[0].trials, min(self.n_images, schedule.n_train)
        converted = jax.jit(_convert, static_argnums=0)(layout, trials, params, data.train_images[:n])
        _check_scales(converted, lane)
        return converted

    def learning_cost(self, network: Feedforward, answered: Price, n_steps: int) -> Price:
        """What it costs to train the ANN: nothing is learned from spikes."""
        macs = sum(cost.dense_macs(network)) + sum(cost.dense_macs(network)[1:])
        return Price(macs=float(macs))

    def check_network(self, trial: Trial, where: str) -> None:
        """Raises InputError for a network whose neurons cannot have the rates of an ANN's units."""
        network, neuron, encoder = trial.network, trial.network.neuron, trial.inputs.encoder
        if not isinstance(neuron, IF) or neuron.reset != "soft" or network.readout != "membrane":
            raise InputError(f'{where}: conversion is for the neuron if, neuron.reset = "soft", readout = "membrane"')
        if neuron.refractory:
            what = f"neuron.refractory = {neuron.refractory}"
            raise InputError(f'{where}: {what}: conversion is for neurons without it, which would lower rates: "none"')
        if neuron.v_floor > float("-inf"):
            what = f"neuron.v_floor = {neuron.v_floor}"
            raise InputError(f"{where}: {what}: conversion is for neurons without it, which would raise rates: -inf")
        if neuron.v_init is not None and not neuron.v_init >= neuron.v_reset:
            half = (neuron.v_reset + neuron.v_threshold) / 2
            what = f"neuron.v_init = {neuron.v_init}"
            raise InputError(f"{where}: {what}: it should be from v_reset to v_threshold; halfway is {half:g}")
        if isinstance(encoder, RankOrder | BindsnetRankOrder):
            what = 'encoder = "direct", "poisson"'
            raise InputError(f"{where}: the rates of the inputs should be those of pixels: {what}")
        if network.bias and not isinstance(encoder, Direct | Recording):
            raise InputError(f'{where}: network.bias: it fits an ANN that saw pixels; with it, encoder = "direct"')
        if network.learn:
            raise InputError(f"{where}: network.learn: an ANN has no neurons that could learn")
        shape = f"network.architecture = {network.architecture!r}"
        if len(network.layers) < 2:
            raise InputError(f"{where}: {shape}: conversion is for hidden layers, whose units become neurons")
        spikes = network.layers[1:] if updates.is_analog(encoder) else network.layers
        if any(kind == "MP" for layer in spikes for kind, _ in layer.pooling):
            what = "the maximum of spikes is not that of their rates: AP in the place of MP"
            raise InputError(f"{where}: {shape}: {what}")

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


def converted(trial: Trial, params: Params, pixels: Array) -> Params:
    """The parameters of a spiking network, of those of the ANN that was trained for it; `pixels` uint8[n, n_input] are
    training images.
    """
    ann = trial.learner.as_trained(trial)
    images = updates.shown(ann, trial.inputs.key(TRAIN), pixels)[0]
    return trial.learner.convert(ann.network, params, images, cast(IF, trial.network.neuron))


def _convert(layout: Layout, trials: Trial, params: Params, pixels: Array) -> Params:
    return layout.map(converted, trials, params, shared=(pixels,))


def _check_scales(params: Params, lane: Lane) -> None:
    """Refuses converted weights that are not finite: activations of their layer were divided by a percentile of 0."""
    trials, n = cast(Any, lane.cells[0].trials), len(lane.cells[0].index)
    for number, layer in enumerate(params["synapses"], 1):
        finite = [np.isfinite(fetch(w)).reshape(n, -1).all(axis=1) for w in jax.tree.leaves(layer)]
        bad = np.flatnonzero(~np.all(finite, axis=0))
        if len(bad):
            percentile = float(np.asarray(trials.learner.percentile)[bad[0]])
            raise InputError(
                f"rule.percentile = {percentile:g} of trial {lane.cells[0].index[bad[0]]}: this percentile of the "
                f"activations of layer {number} is 0; it should be higher, or the ANN less silent"
            )
