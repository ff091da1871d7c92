"""Backpropagation through time."""

from typing import Literal

import jax

from jsnn.core.pytree import node, static
from jsnn.learners.losses import LOSSES
from jsnn.learners.optimiser import Optimiser
from jsnn.networks.feedforward import Feedforward, Lesson, Measured, Params


@node
class BPTT:
    """Backpropagation through all steps and layers of a presentation, with the surrogate for the derivative of a spike
    (STBP, Wu et al. 2018). It needs all states of all steps at once, and the weights of the layers above: no neuron
    could do it.
    """

    loss: Literal["mean_squared", "cross_entropy", "count_cross_entropy", "stepwise_cross_entropy"] = static(
        default="mean_squared"
    )
    optimiser: Optimiser = Optimiser()

    def gradient(self, network: Feedforward, params: Params, lesson: Lesson) -> tuple[Params, Measured]:
        """See `jsnn.learners.Learner`."""

        def loss(params):
            response = network.respond(params, lesson.x, lesson.n_steps, lesson.dt, lesson.key)
            value = LOSSES[self.loss](response.output, lesson.labels)
            return value, Measured.of(value, response, lesson.labels)

        return jax.grad(loss, has_aux=True)(params)
