"""Backpropagation through time."""

from typing import Literal

import jax

from jsnn.core.pytree import node, static
from jsnn.learners.gradient_learner import GradientLearner
from jsnn.learners.losses import LOSSES
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import BatchMetrics, Feedforward, LabelledBatch, Params


@node
class BPTT(GradientLearner):
    """Backpropagation through all steps and layers of a presentation, with the surrogate for the derivative of a spike
    (STBP, Wu et al. 2018). It needs all states of all steps at once, and the weights of the layers above: no neuron
    could do it.
    """

    loss: Literal["mean_squared", "cross_entropy", "count_cross_entropy", "stepwise_cross_entropy"] = static(
        default="mean_squared"
    )
    optimiser: Optimiser = Optimiser()

    def gradient(self, network: Feedforward, params: Params, batch: LabelledBatch) -> tuple[Params, BatchMetrics]:
        """The gradient of the loss; see `GradientLearner.gradient`."""

        def loss(params):
            response = network.respond(params, batch.x, batch.n_steps, batch.dt, batch.key)
            value = LOSSES[self.loss](response.output, batch.labels)
            return value, BatchMetrics.of(value, response, batch.labels)

        return jax.grad(loss, has_aux=True)(params)
